"""Time of an epoch in mini-batches beside a hand-written loop that slices tensors, in one run.

    python benchmarks/epoch_time.py CORPUS [--batch-size 64] [--epochs 10] [--json]

CORPUS is the folder with fastai-2022/; without it only the two generated workbooks (two moons, and
a 784-128-10 network on 1,000 rows) are timed. Both sides start from the same weights, shuffle with
the same generator, use the fused Adam of torch and compute the loss of all rows after each epoch,
which has to be the same to 1e-10. The time of xl2torch is that of the whole epoch as ``fit`` makes
it, with its record; ``steps only`` is beside a loop that does not look at all rows. The first
epoch, in which the optimizer makes its state, is left out on both sides. Blocks alternate, the
ratio is the median over the block ratios, and the hand-written loop timed against itself shows the
noise.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from step_time import classifier, moons, titanic_nnet
from torch import nn

import xl2torch

BLOCKS = 21
RATE, SEED = 1e-3, 5
MODELS = {"titanic nnet": titanic_nnet, "moons": moons, "MLP 784-128-10": classifier}

Run = Callable[[], tuple[float, list[float]]]
"""Seconds of an epoch after the first, and the loss of all rows after each."""


def by_hand(module: Any, size: int, epochs: int, looks: bool) -> tuple[float, list[float]]:
    """The loop that people write."""
    module = copy.deepcopy(module)
    x, y = module.x, module.y
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=True)
    generator = torch.Generator().manual_seed(SEED)
    losses, began = [], 0.0
    for epoch in range(epochs):
        if epoch == 1:
            began = time.perf_counter()
        order = torch.randperm(len(x), generator=generator)
        x_epoch, y_epoch = x[order], y[order]
        for start in range(0, len(x), size):
            loss = module.loss(x_epoch[start : start + size], y_epoch[start : start + size])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if looks:
            with torch.no_grad():
                losses.append(module().item())
    return (time.perf_counter() - began) / (epochs - 1), losses


def ours(model: xl2torch.SheetModel, size: int, epochs: int) -> tuple[float, list[float]]:
    """The same by fit."""
    result = xl2torch.fit(
        model, "adam", init="file", lr=RATE, seed=SEED, batch_size=size, epochs=epochs
    )
    rows = result.iterations
    return (rows[-1].seconds - rows[1].seconds) / (epochs - 1), [row.objective for row in rows[1:]]


def compare(first: Run, second: Run) -> tuple[float, float]:
    """Median block ratio first/second, and the second's median time of an epoch in ms."""
    first(), second()
    ratios, times = [], []
    for index in range(BLOCKS):
        pair = (first, second) if index % 2 else (second, first)
        seconds = {run: run()[0] for run in pair}
        ratios.append(seconds[first] / seconds[second])
        times.append(seconds[second] * 1e3)
    return statistics.median(ratios), statistics.median(times)


def timed(model: xl2torch.SheetModel, hand: nn.Module, size: int, epochs: int) -> dict[str, Any]:
    """Ratios of one model, once the losses of both sides are the same."""
    losses = [torch.tensor(run[1]) for run in (
        ours(model, size, epochs), by_hand(hand, size, epochs, True)
    )]  # fmt: skip
    torch.testing.assert_close(*losses, rtol=1e-10, atol=0)

    def mine() -> tuple[float, list[float]]:
        return ours(model, size, epochs)

    def loop() -> tuple[float, list[float]]:
        return by_hand(hand, size, epochs, True)

    def again() -> tuple[float, list[float]]:
        return by_hand(hand, size, epochs, True)

    def steps() -> tuple[float, list[float]]:
        return by_hand(hand, size, epochs, False)

    ratio, millis = compare(mine, loop)
    return {
        "ratio": ratio, "steps_only_ratio": compare(mine, steps)[0],
        "self_ratio": compare(again, loop)[0], "by_hand_ms": millis,
        "largest_difference": float((losses[0] / losses[1] - 1).abs().max()),
    }  # fmt: skip


def main() -> None:
    """Time all models that are there and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="?", type=Path)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        name: timed(*make(options.corpus or Path()), options.batch_size, options.epochs)
        for name, make in MODELS.items()
        if make is not titanic_nnet or options.corpus
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    print(
        f"{'model':16} {'by hand':>10} {'ratio':>7} {'steps only':>11} {'itself':>7} {'losses':>8}"
    )
    for name, row in results.items():
        print(
            f"{name:16} {row['by_hand_ms']:7.2f} ms {row['ratio']:7.3f} "
            f"{row['steps_only_ratio']:11.3f} {row['self_ratio']:7.3f} "
            f"{row['largest_difference']:8.0e}"
        )


if __name__ == "__main__":
    main()
