"""Builds softmax.xlsx: three kinds of flowers, softmax and cross-entropy."""

from pathlib import Path

import _workbook as wb
import numpy as np

FLOWERS = 90
FIRST = 14  # first row of the flowers
KINDS = ("Daisy", "Rose", "Tulip")
CENTRES = ((1.5, 3.0), (3.5, 4.5), (4.5, 2.0))


def flowers() -> list[tuple[float, float, int]]:
    """Length and width of petals, and kind, of invented flowers."""
    random = np.random.default_rng(11)
    kinds = np.arange(FLOWERS) % len(KINDS)
    sizes = np.array(CENTRES)[kinds] + random.normal(0, 1.0, (FLOWERS, 2))
    return [
        (round(float(length), 2), round(float(width), 2), int(kind) + 1)
        for (length, width), kind in zip(sizes, kinds, strict=True)
    ]


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Three flowers")
    wb.heading(
        sheet,
        "Three kinds of flowers: softmax and cross-entropy",
        [
            f"{FLOWERS} invented flowers. Kind 1 is {KINDS[0]}, 2 {KINDS[1]}, 3 {KINDS[2]}.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train softmax.xlsx",
        ],
    )
    for column, kind in zip("DEF", KINDS, strict=True):
        wb.label(sheet, f"{column}5", kind, "right")
    for row, name in enumerate(("Length", "Width", "Bias"), start=6):
        wb.label(sheet, f"C{row}", name, "right")
        for column in "DEF":
            wb.variable(sheet, f"{column}{row}", 0.0)
    last = FIRST + FLOWERS - 1
    wb.label(sheet, "A6", "Loss")
    wb.objective(sheet, "B6", f"=AVERAGE(M{FIRST}:M{last})")
    wb.label(sheet, "A7", "Accuracy")
    wb.result(sheet, "B7", f"=AVERAGE(N{FIRST}:N{last})", "0.0%")
    wb.legend(sheet, "H", 6)
    formats = {"Length": "0.00", "Width": "0.00", "Kind": "0"}
    formats |= {f"z {kind}": "0.000" for kind in KINDS}
    formats |= {f"e^z {kind}": "0.000" for kind in KINDS}
    formats |= {f"p {kind}": "0.000" for kind in KINDS}
    formats |= {"Loss": "0.0000", "Correct": "0"}
    wb.table(
        sheet,
        FIRST - 1,
        formats,
        [
            (
                *flower,
                *(f"=MMULT($A{row}:$B{row},{c}$6:{c}$7)+{c}$8" for c in "DEF"),
                *(f"=EXP({c}{row})" for c in "DEF"),
                *(f"={c}{row}/SUM($G{row}:$I{row})" for c in "GHI"),
                f"=-LN(INDEX(J{row}:L{row},C{row}))",
                f"=IF(MATCH(MAX(J{row}:L{row}),J{row}:L{row},0)=C{row},1,0)",
            )
            for row, flower in enumerate(flowers(), start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCDEFGHIJKLMN": 11})
    wb.store_solver_model(sheet, "B6", ["D6:F8"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("softmax.xlsx"))
