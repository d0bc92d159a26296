"""Time of a training step (forward, backward, Adam) beside hand-written torch, in one run.

Forward and backward alone are timed too. Both sides use the fused Adam of torch, as training does.

    python benchmarks/step_time.py CORPUS [--only survival,moons] [--compile] [--json]

CORPUS is the folder with fastai-2022/; without it only survival.xlsx and two generated workbooks
(two moons, and a 784-128-10 network on 1,000 rows) are timed. Both modules start
from the same weights; equal losses and gradients are checked first. Blocks of 20 steps alternate,
the ratio is the median over the block ratios, and the hand-written module timed against itself
shows the noise. With --compile a compiled step, as train --compile makes it, stands beside the same
hand-written one; where training would not use it, its part of a plain step's time is told.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from books import MLP_VARIABLES, MOONS_VARIABLES, write_mlp, write_moons
from by_hand.models import (
    Classifier,
    Convolution,
    DotProduct,
    Moons,
    SixFilters,
    Survival,
    TitanicMmult,
    TitanicNnet,
)
from torch import Tensor, nn

import xl2torch
from xl2torch.training.compilation import compiled_program
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_ranges

STEPS = 20
BLOCKS = 101
ROOT = Path(__file__).resolve().parent.parent


def cells(workbook: Workbook, text: str) -> Tensor:
    """Numbers of a range, blanks 0."""
    area = parse_ranges(workbook, text, workbook.sheets[0].name)[0]
    block = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    return torch.from_numpy(block.numbers.copy())


def titanic_nnet(corpus: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = xl2torch.load(corpus / "fastai-2022" / "titanic.xlsx")
    x, y = cells(workbook, "nnet!G4:P715"), cells(workbook, "nnet!A4:A715").flatten()
    hand = TitanicNnet(x, y, cells(workbook, "nnet!R4:AA5"))
    return xl2torch.compile(workbook, "nnet"), hand


def titanic_mmult(corpus: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = xl2torch.load(corpus / "fastai-2022" / "titanic.xlsx")
    x, y = cells(workbook, "mmult!G4:P715"), cells(workbook, "mmult!A4:A715").flatten()
    hand = TitanicMmult(x, y, cells(workbook, "mmult!S4:T13"))
    return xl2torch.compile(workbook, "mmult"), hand


def dotprod(corpus: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = xl2torch.load(corpus / "fastai-2022" / "collab_filter.xlsx")
    block = workbook.sheet("dotprod").cells.block(2, 8, 16, 22)
    ratings, rated = torch.from_numpy(block.numbers.copy()), torch.from_numpy(block.kinds == 0)
    movies, users = cells(workbook, "dotprod!H19:V23"), cells(workbook, "dotprod!B25:F39")
    return xl2torch.compile(workbook, "dotprod"), DotProduct(ratings, rated, movies, users)


def survival(_: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = xl2torch.load(ROOT / "workbooks" / "survival.xlsx")
    table = cells(workbook, "Model!B12:E311")
    age, male, travel_class, y = table.T
    x = torch.stack([age / 80, male, (travel_class - 1) / 2, torch.ones_like(age)], dim=1)
    hidden, output = cells(workbook, "Model!F6:I8"), cells(workbook, "Model!M6:P6").flatten()
    return xl2torch.compile(workbook), Survival(x, y, hidden, output)


FILTERS = {
    "fastai-2017": "AD11:AF13,AD38:AF40,BI11:BK13,BI15:BK17,BI38:BK40,BI42:BK44",
    "fastai-2022": "AD11:AF13,AD38:AF40,BI11:BK13,BI15:BK17,BI38:BK40,BI42:BK44",
}


def convolution(
    corpus: Path, year: str, kind: type[Convolution] = Convolution
) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module: the filters are trained, the output cell the objective."""
    workbook = xl2torch.load(corpus / year / "conv-example.xlsx")
    sheet, filters = "conv-example", FILTERS[year].split(",")
    image = cells(workbook, f"{sheet}!A2:AB29")
    dense = [cells(workbook, f"{sheet}!{area}")[::2, ::2] for area in ("DN4:EL26", "DN33:EL55")]
    weights = [cells(workbook, f"{sheet}!{area}") for area in filters]
    first = torch.stack(weights[:2])[:, None]
    second = torch.stack([torch.stack(weights[2:4]), torch.stack(weights[4:])])
    hand = kind(image, torch.stack(dense), first, second, year == "fastai-2022")
    return xl2torch.compile(workbook, sheet, "EN4", filters), hand


def moons(_: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = _generated(write_moons)
    table = cells(workbook, "A16:C515")
    layers = [cells(workbook, area) for area in MOONS_VARIABLES]
    hand = Moons(table[:, :2].contiguous(), table[:, 2].contiguous(), layers)
    return xl2torch.compile(workbook, None, "B1", MOONS_VARIABLES), hand


def classifier(_: Path) -> tuple[xl2torch.SheetModel, nn.Module]:
    """Compiled and hand-written module."""
    workbook = _generated(write_mlp)
    table = cells(workbook, "data!A3:ADE1002")
    layers = [cells(workbook, area) for area in MLP_VARIABLES]
    hand = Classifier(table[:, 1:].contiguous(), table[:, 0].long(), layers)
    return xl2torch.compile(workbook, "data", "A1", MLP_VARIABLES), hand


@cache
def _generated(write: Callable[[Path], None]) -> Workbook:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.xlsx"
        write(path)
        return xl2torch.load(path)


MODELS: dict[str, Callable[[Path], tuple[xl2torch.SheetModel, nn.Module]]] = {
    "titanic nnet": titanic_nnet,
    "titanic mmult": titanic_mmult,
    "dotprod": dotprod,
    "survival": survival,
    "moons": moons,
    "MLP 784-128-10": classifier,
    "conv 2017": lambda corpus: convolution(corpus, "fastai-2017"),
    "conv 2022": lambda corpus: convolution(corpus, "fastai-2022"),
    "conv 2022 of six": lambda corpus: convolution(corpus, "fastai-2022", SixFilters),
}


_GENERATED = ("survival", "moons", "MLP 784-128-10")


def check_equal(ours: nn.Module, hand: nn.Module) -> None:
    """Losses to 1e-12, gradients to 1e-9; a sheet's ranges may be parts of a layer's tensors."""
    losses, gradients = [], []
    for module in (ours, hand):
        loss = module()
        losses.append(loss.detach())
        found = torch.autograd.grad(loss, list(module.parameters()))
        gradients.append(torch.cat([gradient.flatten() for gradient in found]).sort().values)
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-13)


def stepper(module: nn.Module) -> Callable[[], None]:
    """A function that makes one training step."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-6, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        module().backward()
        optimizer.step()

    return step


def compiled_stepper(model: xl2torch.SheetModel) -> tuple[Callable[[], None] | None, str]:
    """One training step with the compiled program, and what came of compiling."""
    program, remark = compiled_program(model, torch.float64)
    if program is None:
        return None, remark
    parameters = [model.parameter(variable) for variable in model.variables]
    optimizer = torch.optim.Adam(parameters, lr=1e-6, fused=True)

    def step() -> None:
        for parameter, gradient in zip(parameters, program().gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    return step, remark


def slopes(module: nn.Module) -> Callable[[], None]:
    """A function that computes the loss and its gradients."""
    parameters = list(module.parameters())

    def step() -> None:
        torch.autograd.grad(module(), parameters)

    return step


def block(step: Callable[[], None]) -> float:
    """Seconds for one block of steps."""
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return time.perf_counter() - began


def compare(first: Callable[[], None], second: Callable[[], None]) -> tuple[float, float]:
    """Median block ratio first/second, and the second's median time of a step in µs."""
    for step in (first, second):
        for _ in range(5):
            block(step)
    ratios, times = [], []
    for index in range(BLOCKS):
        if index % 2:
            numerator, denominator = block(first), block(second)
        else:
            denominator, numerator = block(second), block(first)
        ratios.append(numerator / denominator)
        times.append(denominator / STEPS * 1e6)
    return statistics.median(ratios), statistics.median(times)


def main() -> None:
    """Time all models that are there and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", nargs="?", type=Path)
    parser.add_argument("--only", help="names of models, several by comma")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: list[dict[str, Any]] = []
    for name, make in MODELS.items():
        if name not in _GENERATED and options.corpus is None:
            continue
        if options.only and name not in options.only.split(","):
            continue
        ours, hand = make(options.corpus or Path())
        check_equal(ours, hand)
        ratio, micros = compare(stepper(ours), stepper(hand))
        plain, _ = compare(slopes(ours), slopes(hand))
        again = make(options.corpus or Path())[1]
        noise, _ = compare(stepper(again), stepper(hand))
        results.append(
            {
                "name": name, "ratio": ratio, "gradient_ratio": plain, "self_ratio": noise,
                "by_hand_us": micros,
            }
        )  # fmt: skip
        if options.compile:
            step, results[-1]["compile"] = compiled_stepper(ours)
            if step:
                results[-1]["compiled_ratio"] = compare(step, stepper(hand))[0]
    if options.json:
        print(json.dumps({"results": results}, indent=2))
        return
    print(
        f"{'model':15}{'step':>8}{'forward+backward':>18}{'by hand / itself':>18}"
        f"{'by hand µs/step':>18}"
    )
    for row in results:
        print(
            f"{row['name']:15}{row['ratio']:8.3f}{row['gradient_ratio']:18.3f}"
            f"{row['self_ratio']:18.3f}{row['by_hand_us']:18.1f}"
        )
    for row in results if options.compile else ():
        compiled = f"{row['compiled_ratio']:8.3f}" if "compiled_ratio" in row else f"{'-':>8}"
        print(f"{row['name']:15}{compiled}  {row['compile']}")


if __name__ == "__main__":
    main()
