"""NIST's nonlinear regression datasets, both starts, with default options.

    python benchmarks/nist.py CORPUS

LRE is −log10 of the largest relative error of a parameter, cut to 0..11, of the numbers in the
workbook that was written. A run is solved at 4 and above.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path

import xl2torch

SOLVED = 4.0


def digits(found: list[float], certified: list[float]) -> float:
    """LRE of the worst parameter."""
    worst = max(abs(b - c) / abs(c) for b, c in zip(found, certified, strict=True))
    return min(11.0, max(0.0, -math.log10(max(worst, 1e-300))))


def run(book: Path, target: Path) -> tuple[list[float], xl2torch.Result, float]:
    """Parameters that stand in the written workbook, the result, and seconds with all of it."""
    began = time.perf_counter()
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(book)))
    xl2torch.save(result, target, force=True)
    seconds = time.perf_counter() - began
    cells = xl2torch.load(target).sheet("Model").cells
    numbers = [
        float(cells.value(cell.row, cell.column))  # type: ignore[arg-type]
        for variable in result.model.variables
        for cell in variable.cells.cells()
    ]
    return numbers, result, seconds


def main() -> None:
    """Print one line per dataset, and the mean."""
    folder = Path(sys.argv[1]) / "nist"
    truth = json.loads((folder / "certified.json").read_text(encoding="utf-8"))
    scores: list[float] = []
    total = 0.0
    print(f"{'dataset':12}{'level':>9}{'LRE 1':>8}{'LRE 2':>8}{'iterations':>12}{'seconds':>9}")
    with tempfile.TemporaryDirectory() as name:
        for dataset, facts in truth.items():
            runs = [
                run(folder / f"{dataset}_start{start}.xlsx", Path(name) / "out.xlsx")
                for start in (1, 2)
            ]
            lre = [digits(numbers, facts["certified"]) for numbers, _, _ in runs]
            scores += lre
            iterations = "/".join(str(result.epochs) for _, result, _ in runs)
            seconds = sum(seconds for _, _, seconds in runs)
            total += seconds
            print(f"{dataset:12}{facts['level']:>9}{lre[0]:8.1f}{lre[1]:8.1f}{iterations:>12}"
                  f"{seconds:9.2f}")  # fmt: skip
    solved = sum(score >= SOLVED for score in scores)
    mean = sum(scores) / len(scores)
    print(f"solved {solved} of {len(scores)}, mean LRE {mean:.2f}, {total:.1f} s")


if __name__ == "__main__":
    main()
