"""Builds survival.xlsx: a small neural network that predicts who survives a shipwreck."""

from pathlib import Path

import _workbook as wb
import numpy as np
from openpyxl.styles import Alignment
from openpyxl.worksheet.worksheet import Worksheet

PASSENGERS = 300
FIRST = 12  # first row of the passengers

# Start weights: those of a unit in a row, for Age/80, Male, Class and One.
HIDDEN = ((0.3, 0.5, -0.6, 0.3), (0.3, -0.1, -0.2, 0.5), (-0.3, -0.4, -0.2, 0.5))
OUTPUT = (0.6, 0.5, -0.3)
BIAS = 0.1

COLUMNS = {
    "No.": "0",
    "Age": "0",
    "IsMale": "0",
    "Class": "0",
    "Survived": "0",
    "Age/80": "0.0000",
    "Male": "0",
    "(Class-1)/2": "0.0",
    "One": "0",
    "Lin1": "0.000",
    "Lin2": "0.000",
    "Lin3": "0.000",
    "ReLU1": "0.000",
    "ReLU2": "0.000",
    "ReLU3": "0.000",
    "Pred": "0.000",
    "Error²": "0.0000",
    "Correct": "[Red][=0]0;0",
}

README = {
    "What this is": [
        "A neural network made of nothing but spreadsheet formulas. It predicts from a passenger's "
        "age, sex and class whether the passenger survived a shipwreck.",
        f"The {PASSENGERS} passengers are synthetic: a program invented them with random numbers, "
        "so that women and first class survive more often, much as on the Titanic. No real persons "
        "are in the table.",
    ],
    "How it computes (sheet 'Model')": [
        "Features: Age/80, Male, (Class-1)/2 and One, all between 0 and 1. One is always 1: its "
        "weight is the constant of a unit.",
        "Hidden layer: each of the three units adds up features times weights (Lin) and replaces "
        "a negative sum by 0 (ReLU). Each weight stands above the column it multiplies.",
        "Output: Pred adds up the three ReLUs times their weights, and the bias. From 0.5 on, the "
        "network says 'survived'.",
        "Loss is the mean of the squared errors; training makes it small. Accuracy is the share of "
        "right predictions.",
    ],
    "What to do": [
        "1. Note the loss and the accuracy at the start. The network has learnt nothing yet: it is "
        "right about as often as a tossed coin.",
        "2. Train. In Excel: Data > Solver > Solve; the model is stored (if there is no Solver: "
        "File > Options > Add-ins). With xl2torch: xl2torch train survival.xlsx",
        "3. Compare. The network should now be right for about four passengers of five.",
    ],
    "Questions": [
        "Which passengers does the network still get wrong? Could any network know better?",
        "Overwrite a passenger with one of your own. How does Pred change with age?",
        "Type other weights and train again. Does the loss always end at the same value?",
        "Set all weights of Unit 1 and its output weight (ReLU1) to 0 and train. Why does the unit "
        "not learn?",
    ],
}


def passengers() -> list[tuple[int, int, int, int]]:
    """Age, IsMale, Class and Survived of invented passengers, from a logistic model."""
    random = np.random.default_rng(1912)
    age = np.clip(np.rint(random.normal(30, 14, PASSENGERS)), 1, 74)
    male = random.random(PASSENGERS) < 0.6
    ship_class = random.choice([1, 2, 3], p=[0.25, 0.25, 0.5], size=PASSENGERS)
    odds = np.exp(4.2 - 0.02 * age - 3.0 * male - 1.6 * (ship_class - 1))
    survived = random.random(PASSENGERS) < odds / (1 + odds)
    return [
        (int(a), int(m), int(c), int(s))
        for a, m, c, s in zip(age, male, ship_class, survived, strict=True)
    ]


def formulas(row: int) -> list[str | int]:
    """The network for the passenger in a row."""
    return [
        f"=B{row}/80",
        f"=C{row}",
        f"=(D{row}-1)/2",
        1,
        *(f"=SUMPRODUCT($F{row}:$I{row},$F${w}:$I${w})" for w in (6, 7, 8)),
        *(f"=MAX(0,{lin}{row})" for lin in "JKL"),
        f"=SUMPRODUCT(M{row}:O{row},$M$6:$O$6)+$P$6",
        f"=(P{row}-E{row})^2",
        f"=IF((P{row}>=0.5)=(E{row}=1),1,0)",
    ]


def add_weights(sheet: Worksheet) -> None:
    """The weights, each above the column it multiplies."""
    headings = dict(zip("ABCDEFGHIJKLMNOPQR", COLUMNS, strict=True)) | {"P": "Bias"}
    for letter in "FGHIMNOP":
        wb.label(sheet, f"{letter}5", headings[letter], "right")
    rows = zip(("Unit 1", "Unit 2", "Unit 3"), HIDDEN, strict=True)
    for row, (unit, weights) in enumerate(rows, start=6):
        wb.label(sheet, f"E{row}", unit, "right")
        for letter, weight in zip("FGHI", weights, strict=True):
            wb.variable(sheet, f"{letter}{row}", weight)
    wb.label(sheet, "L6", "Output", "right")
    for letter, weight in zip("MNOP", (*OUTPUT, BIAS), strict=True):
        wb.variable(sheet, f"{letter}6", weight)


def add_readme(sheet: Worksheet) -> None:
    """The explanation for a class."""
    wb.heading(sheet, "A neural network in a spreadsheet", [])
    row = 2
    for title, paragraphs in README.items():
        row += 1
        wb.label(sheet, f"A{row}", title)
        sheet.row_dimensions[row].height = 28
        for text in paragraphs:
            row += 1
            wb.put(sheet, f"A{row}", text).alignment = Alignment(wrap_text=True, vertical="top")
            sheet.row_dimensions[row].height = 18 if len(text) < 130 else 33
    wb.widths(sheet, {"A": 115})
    sheet.page_setup.fitToHeight = 1


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Survivors of a shipwreck")
    wb.heading(
        sheet,
        "Who survives? A neural network in a spreadsheet",
        [
            f"{PASSENGERS} synthetic passengers, invented with random numbers: no real persons."
            " The network predicts Survived from age, sex and class.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train survival.xlsx",
        ],
    )
    add_weights(sheet)
    last = FIRST + PASSENGERS - 1
    wb.label(sheet, "A6", "Loss (MSE)")
    wb.objective(sheet, "C6", f"=AVERAGE(Q{FIRST}:Q{last})")
    wb.label(sheet, "A7", "Accuracy")
    wb.result(sheet, "C7", f"=AVERAGE(R{FIRST}:R{last})", "0.0%")
    wb.legend(sheet, "L", 7)
    for first, end, text in (
        ("A", "E", "Passengers (synthetic)"),
        ("F", "I", "Features"),
        ("J", "O", "Hidden layer"),
        ("P", "R", "Output"),
    ):
        wb.group(sheet, FIRST - 2, first, end, text)
    wb.table(
        sheet,
        FIRST - 1,
        COLUMNS,
        [
            (number, *passenger, *formulas(FIRST + number - 1))
            for number, passenger in enumerate(passengers(), start=1)
        ],
    )
    wb.widths(sheet, {"A": 6, "BCDE": 9.5, "FGI": 9.5, "H": 12, "JKLMNOPQR": 9.5})
    wb.store_solver_model(sheet, "C6", ["F6:I8", "M6:P6"])
    add_readme(wb.add_sheet(book, "Read me"))
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("survival.xlsx"))
