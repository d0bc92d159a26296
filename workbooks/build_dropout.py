"""Builds dropout.xlsx: a curve through few noisy points, with units left out at random."""

from pathlib import Path

import _workbook as wb
import numpy as np

ROWS = 48
UNITS = 8
SHARE = 0.2
FIRST = 16  # first row of the points
HIDDEN, MASKS = "DEFGHIJK", "LMNOPQRS"
SEED = 4  # of the random numbers that the file holds


def points() -> list[tuple[float, float, str]]:
    """x, y and use of noisy points on a wave; every third one is held back."""
    random = np.random.default_rng(21)
    x = np.round(np.sort(random.uniform(-2, 2, ROWS)), 2)
    y = np.round(np.sin(2 * x) + random.normal(0, 0.35, ROWS), 2)
    uses = ["valid" if place % 3 == 1 else "train" for place in range(ROWS)]
    return [(float(a), float(b), use) for a, b, use in zip(x, y, uses, strict=True)]


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Dropout")
    wb.heading(
        sheet,
        "Dropout: units that are left out at random",
        [
            f"{ROWS} noisy points on a wave, {UNITS} ReLU units. Each mask is 0 with the share in "
            "B9, else 1/(1 - share).",
            "Excel: F9 draws new masks.  xl2torch: xl2torch train dropout.xlsx --dropout-off",
        ],
    )
    random = np.random.default_rng(9)
    for row, name in enumerate(("Weight", "Bias", "Output"), start=6):
        wb.label(sheet, f"C{row}", name, "right")
        for column in HIDDEN:
            wb.variable(sheet, f"{column}{row}", round(float(random.normal(0, 0.8)), 3))
    for place, column in enumerate(HIDDEN, start=1):
        wb.label(sheet, f"{column}5", f"Unit {place}", "right")
    last = FIRST + ROWS - 1
    wb.label(sheet, "A6", "Loss (MSE)")
    wb.objective(sheet, "B6", f"=AVERAGE(U{FIRST}:U{last})")
    wb.label(sheet, "A9", "Share left out")
    wb.result(sheet, "B9", SHARE, "0%")
    wb.legend(sheet, "D", 10)
    formats = {"x": "0.00", "y": "0.00", "Use": "@"}
    formats |= {f"h{place}": "0.000" for place in range(1, UNITS + 1)}
    formats |= {f"mask {place}": "0.00" for place in range(1, UNITS + 1)}
    formats |= {"Pred": "0.000", "Error²": "0.0000"}
    wb.table(
        sheet,
        FIRST - 1,
        formats,
        [
            (
                *point,
                *(f"=MAX(0,{u}$6*$A{row}+{u}$7)*{m}{row}"
                  for u, m in zip(HIDDEN, MASKS, strict=True)),
                *("=IF(RAND()<$B$9,0,1/(1-$B$9))" for _ in MASKS),
                f"=SUMPRODUCT(D{row}:K{row},$D$8:$K$8)",
                f"=(T{row}-B{row})^2",
            )
            for row, point in enumerate(points(), start=FIRST)
        ],
    )  # fmt: skip
    wb.widths(sheet, {"A": 14, "BCDEFGHIJKLMNOPQRSTU": 9})
    wb.store_solver_model(sheet, "B6", ["D6:K8"])
    cells = [f"{mask}{row}" for row in range(FIRST, last + 1) for mask in MASKS]
    kept = np.random.default_rng(SEED).random(len(cells)) >= SHARE
    wb.save(book, path, dict(zip(cells, (kept / (1 - SHARE)).tolist(), strict=True)))


if __name__ == "__main__":
    build(Path(__file__).with_name("dropout.xlsx"))
