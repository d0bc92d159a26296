"""Saving beside reading the same workbook, and the memory that saving takes.

    python benchmarks/save_time.py CORPUS [WORKBOOK ...]

Saving is all that ``xl2torch.save`` does with its default reports: recalculating the workbook,
patching the sheets, writing the package. Memory is the peak above what is held before, relative to
the largest sheet part; a second run measures it, since measuring slows Python down. The last line
is a generated workbook with ROWS rows, each with two formulas. Two report sheets with three charts
take some 20 ms and 1 MB whatever the workbook is.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import openpyxl

import xl2torch
from xl2torch.reports.save import fill_cached_values
from xl2torch.training.result import Result

BOOKS = (
    ("fastai-2022/titanic.xlsx", "mmult"),
    ("fastai-2022/titanic.xlsx", "nnet"),
    ("fastai-2022/collab_filter.xlsx", "dotprod"),
    ("fastai-2022/collab_filter.xlsx", "movielens_emb"),
    ("fastai-2017/collab_filter.xlsx", "bias"),
    ("fastai-2017/layers_example.xlsx", "random"),
    ("nist/Gauss1_start1.xlsx", None),
)
ROUNDS = 7
ROWS = 50_000


def best(work: Callable[[], object]) -> float:
    """Least seconds of some rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def large_book(folder: Path) -> Path:
    """A line through many points, with cached values."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Model")
    sheet.append(["slope", 0.5, "intercept", 0.1, "loss", f"=SUM(D2:D{ROWS + 1})"])
    for row in range(2, ROWS + 2):
        x = (row % 97) / 97
        sheet.append([x, 3 * x + 1 + (row % 7) / 70, f"=$B$1*A{row}+$D$1", f"=(C{row}-B{row})^2"])
    path = folder / "large.xlsx"
    book.save(path)
    fill_cached_values(path)
    return path


def trained(path: Path, sheet: str | None) -> Result:
    """A few iterations: what is written counts here."""
    workbook = xl2torch.load(path)
    if path.name == "large.xlsx":
        model = xl2torch.compile(workbook, objective="F1", variables=["B1", "D1"])
    else:
        model = xl2torch.compile(workbook, sheet)
    return xl2torch.fit(model, epochs=20)


def memory(result: Result, target: Path) -> float:
    """Peak of saving, relative to the largest sheet part."""
    package = result.model.compiled.workbook.package
    largest = max(len(data) for name, data in package.parts.items() if "worksheets/" in name)
    tracemalloc.start()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    xl2torch.save(result, target, force=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (peak - held) / largest


def main() -> None:
    """Print one line per workbook."""
    corpus = Path(sys.argv[1])
    books = [(name, None) for name in sys.argv[2:]] or BOOKS
    print(f"{'workbook':44}{'read ms':>9}{'save ms':>9}{'ratio':>7}{'memory':>8}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [(corpus / name, f"{name} {sheet or ''}", sheet) for name, sheet in books]
        if not sys.argv[2:]:
            paths.append((large_book(Path(folder)), f"{ROWS:,} generated rows", None))
        for path, title, sheet in paths:
            result = trained(path, sheet)
            target = Path(folder) / f"out{path.suffix}"
            xl2torch.save(result, target, force=True)
            read = best(lambda path=path: xl2torch.load(path))  # type: ignore[misc]
            save = best(lambda: xl2torch.save(result, target, force=True))  # noqa: B023
            share = memory(result, target)
            print(f"{title:44}{read * 1e3:9.0f}{save * 1e3:9.0f}{save / read:7.2f}{share:8.2f}")


if __name__ == "__main__":
    main()
