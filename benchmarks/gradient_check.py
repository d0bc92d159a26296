"""Time of a numeric gradient, all cells at once, beside one forward and backward pass.

    python benchmarks/gradient_check.py CORPUS [--json]

CORPUS is the folder with fastai-2022/. Both are timed in turns, in one run; the ratio is the median
over the turns. Central differences of 20 variable cells are 40 computations of the sheet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import xl2torch
from xl2torch.gradients.check import check
from xl2torch.gradients.difference import all_cells, default_differences
from xl2torch.model.sheet_model import SheetModel

TURNS = 31
REPEATS = 10


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one call, the mean of a few."""
    began = time.perf_counter()
    for _ in range(REPEATS):
        work()
    return (time.perf_counter() - began) / REPEATS


def measure(model: SheetModel) -> dict[str, float]:
    """Seconds of each, and the ratios to forward and backward."""
    cells = all_cells(model)
    parameters = [model.parameter(variable) for variable in model.variables]
    works: dict[str, Callable[[], object]] = {
        "backward": lambda: torch.autograd.grad(model(), parameters),
        "numeric": lambda: default_differences(model, cells, "central"),
        "whole check": lambda: check(model),
    }
    turns = [{name: seconds(work) for name, work in works.items()} for _ in range(TURNS)]
    found = {name: statistics.median(turn[name] for turn in turns) for name in works}
    for name in ("numeric", "whole check"):
        ratios = [turn[name] / turn["backward"] for turn in turns]
        found[f"{name}, ratio"] = statistics.median(ratios)
    return found


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    workbook = xl2torch.load(arguments.corpus / "fastai-2022" / "titanic.xlsx")
    report = {name: measure(xl2torch.compile(workbook, name)) for name in ("nnet", "mmult")}
    if arguments.json:
        print(json.dumps(report))
        return
    for name, row in report.items():
        print(f"titanic {name}: forward and backward {row['backward'] * 1e3:.3f} ms")
        for kind in ("numeric", "whole check"):
            print(f"  {kind}: {row[kind] * 1e3:.3f} ms, ratio {row[f'{kind}, ratio']:.2f}")


if __name__ == "__main__":
    main()
