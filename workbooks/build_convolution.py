"""Builds convolution.xlsx: a filter that is learnt from a picture and its edges."""

from pathlib import Path

import _workbook as wb
import numpy as np
from openpyxl.utils import get_column_letter as letter
from openpyxl.worksheet.worksheet import Worksheet

SIZE = 10
TOP = 12  # first row of the pictures
EDGES = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # Sobel's filter for upright edges


def picture() -> np.ndarray:
    """A bright block with a slanted shadow."""
    random = np.random.default_rng(8)
    row, column = np.indices((SIZE, SIZE))
    bright = ((row > 1) & (row < 8) & (column > 2) & (column < 7)) * 0.8
    return np.round(
        np.clip(bright + 0.02 * (row + column) + random.normal(0, 0.03, row.shape), 0, 1), 2
    )


def block(sheet: Worksheet, column: int, title: str, numbers: list[list[float | str]]) -> None:
    """A picture with its title above it."""
    wb.label(sheet, f"{letter(column)}{TOP - 1}", title)
    for row, line in enumerate(numbers, start=TOP):
        for place, number in enumerate(line, start=column):
            cell = wb.result(sheet, f"{letter(place)}{row}", number, "0.00")
            cell.font = wb.font(size=9)


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("A convolution")
    wb.heading(
        sheet,
        "A convolution: which filter finds these edges?",
        [
            "Each cell of the filtered picture is a 3×3 window of the picture times the filter.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train convolution.xlsx",
        ],
    )
    image = picture()
    inner = SIZE - 2
    edges = sum(
        EDGES[i, j] * image[i : i + inner, j : j + inner] for i in range(3) for j in range(3)
    )
    wb.label(sheet, "A5", "Filter")
    for row in range(5, 8):
        for column in "CDE":
            wb.variable(sheet, f"{column}{row}", 0.0)
    second, third = SIZE + 2, SIZE + inner + 3
    target = f"{letter(third)}{TOP}:{letter(third + inner - 1)}{TOP + inner - 1}"
    output = f"{letter(second)}{TOP}:{letter(second + inner - 1)}{TOP + inner - 1}"
    wb.label(sheet, "G5", "Loss (MSE)")
    wb.objective(sheet, "J5", f"=SUMXMY2({output},{target})/COUNT({target})")
    wb.legend(sheet, "G", 7)
    block(sheet, 1, "Picture", image.tolist())
    block(
        sheet,
        second,
        "Filtered",
        [
            [
                f"=SUMPRODUCT({letter(j)}{TOP + i}:{letter(j + 2)}{TOP + i + 2},$C$5:$E$7)"
                for j in range(1, inner + 1)
            ]
            for i in range(inner)
        ],
    )
    block(sheet, third, "Edges (to be found)", np.round(edges, 4).tolist())
    for place in range(1, third + inner + 1):
        sheet.column_dimensions[letter(place)].width = 6.5
    wb.store_solver_model(sheet, "J5", ["C5:E7"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("convolution.xlsx"))
