"""Builds embeddings.xlsx: who likes which film, from two numbers for each person and film."""

from pathlib import Path

import _workbook as wb
import numpy as np

PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hugo")
FILMS = ("Rocket", "Moonbase", "Robots", "Romance", "Wedding", "Letters")
FIRST = 18  # first row of the ratings
LEFT_OUT = 4  # every so many pairs have no rating


def ratings() -> list[tuple[int, int, float]]:
    """Person, film and rating: some like space, some like love stories."""
    random = np.random.default_rng(5)
    taste = np.where(np.arange(len(PEOPLE)) % 2 == 0, 1.0, -1.0)
    kind = np.where(np.arange(len(FILMS)) < 3, 1.0, -1.0)
    found = []
    for person in range(len(PEOPLE)):
        for film in range(len(FILMS)):
            if (person * len(FILMS) + film) % LEFT_OUT != LEFT_OUT - 1:
                liked = 3 + 1.5 * taste[person] * kind[film] + random.normal(0, 0.3)
                found.append((person + 1, film + 1, round(float(np.clip(liked, 1, 5)), 1)))
    return found


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Embeddings")
    wb.heading(
        sheet,
        "Embeddings: who likes which film?",
        [
            "Two numbers for each person and each film; their products, added up, are the rating.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train embeddings.xlsx",
        ],
    )
    random = np.random.default_rng(3)
    for left, names, title in (("D", PEOPLE, "Person"), ("H", FILMS, "Film")):
        columns = [chr(ord(left) + offset) for offset in (1, 2)]
        wb.label(sheet, f"{left}5", title, "right")
        for column, heading in zip(columns, ("Taste 1", "Taste 2"), strict=True):
            wb.label(sheet, f"{column}5", heading, "right")
        for row, name in enumerate(names, start=6):
            wb.label(sheet, f"{left}{row}", f"{row - 5} {name}", "right")
            for column in columns:
                wb.variable(sheet, f"{column}{row}", round(float(random.uniform(0, 0.5)), 3))
    rows = ratings()
    last = FIRST + len(rows) - 1
    wb.label(sheet, "A6", "Mean rating")
    wb.variable(sheet, "B6", 2.5)
    wb.label(sheet, "A7", "Loss (RMSE)")
    wb.objective(sheet, "B7", f"=SQRT(AVERAGE(I{FIRST}:I{last}))")
    wb.legend(sheet, "D", 15)
    formats = {"Person": "0", "Film": "0", "Rating": "0.0"}
    formats |= dict.fromkeys(("p1", "p2", "f1", "f2", "Pred"), "0.000") | {"Error²": "0.0000"}
    wb.table(
        sheet,
        FIRST - 1,
        formats,
        [
            (
                *rating,
                *(f"=INDEX({c}$6:{c}$13,$A{row})" for c in "EF"),
                *(f"=INDEX({c}$6:{c}$11,$B{row})" for c in "IJ"),
                f"=$B$6+D{row}*F{row}+E{row}*G{row}",
                f"=(H{row}-C{row})^2",
            )
            for row, rating in enumerate(rows, start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCDEFGHIJ": 12})
    wb.store_solver_model(sheet, "B7", ["B6", "E6:F13", "I6:J11"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("embeddings.xlsx"))
