"""Time to load a workbook and compile one sheet, beside openpyxl iterating its cells once.

    python benchmarks/load_time.py CORPUS [--json]

Imports are excluded. openpyxl runs in read-only mode; the two alternate, medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import openpyxl

import xl2torch

ROUNDS = 7
SHEETS = ("mmult", "nnet", "linear")


def iterate_with_openpyxl(path: Path) -> float:
    """Seconds to read every cell once."""
    began = time.perf_counter()
    workbook = openpyxl.load_workbook(path, read_only=True)
    for sheet in workbook.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                _ = cell.value
    workbook.close()
    return time.perf_counter() - began


def load_and_compile(path: Path, sheet: str) -> float:
    """Seconds from the file to the module."""
    began = time.perf_counter()
    xl2torch.compile(xl2torch.load(path), sheet)
    return time.perf_counter() - began


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    path = options.corpus / "fastai-2022" / "titanic.xlsx"
    load_and_compile(path, SHEETS[0])
    results = []
    for sheet in SHEETS:
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(load_and_compile(path, sheet))
            theirs.append(iterate_with_openpyxl(path))
        seconds, reference = statistics.median(ours), statistics.median(theirs)
        results.append(
            {"name": f"titanic {sheet}", "ratio": seconds / reference, "seconds": seconds,
             "openpyxl_seconds": reference}
        )  # fmt: skip
    if options.json:
        print(json.dumps({"results": results}, indent=2))
        return
    for row in results:
        print(
            f"{row['name']:15} {row['seconds']:.3f} s, openpyxl {row['openpyxl_seconds']:.3f} s, "
            f"ratio {row['ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
