"""Workbooks that the benchmarks generate."""

from __future__ import annotations

import math
import random
from pathlib import Path

from openpyxl import Workbook
from openpyxl.utils import get_column_letter as letter

MOONS_ROWS = 500
MLP_SHAPE = (784, 128, 10)
MLP_ROWS = 1000


def write_moons(path: Path) -> None:
    """Two moons: 2-10-10-1, logistic units, cross-entropy; weights row by row, a row per unit.

    Hidden weights stand in F3:H12 and J3:T12 (the last column is the bias), those of the output in
    V3:AF3; the loss is B1.
    """
    generator = random.Random(1)
    book = Workbook()
    sheet = book.worksheets[0]
    sheet["A1"], sheet["B1"] = "Loss", f"=AVERAGE(Z16:Z{15 + MOONS_ROWS})"
    for row in range(3, 13):
        for column in (*range(6, 9), *range(10, 21)):
            sheet.cell(row, column, generator.gauss(0, 0.5))
    for column in range(22, 33):
        sheet.cell(3, column, generator.gauss(0, 0.5))
    headers = ["x1", "x2", "y", *(f"h{unit}" for unit in range(1, 11))]
    headers += [*(f"g{unit}" for unit in range(1, 11)), "logit", "p", "loss"]
    for column, header in enumerate(headers, 1):
        sheet.cell(15, column, header)
    for row in range(16, 16 + MOONS_ROWS):
        angle, label = generator.uniform(0, math.pi), generator.randrange(2)
        x = math.cos(angle) if label else 1 - math.cos(angle)
        y = math.sin(angle) if label else 0.5 - math.sin(angle)
        sheet.cell(row, 1, x + generator.gauss(0, 0.1))
        sheet.cell(row, 2, y + generator.gauss(0, 0.1))
        sheet.cell(row, 3, label)
        for unit in range(10):
            at = 3 + unit
            first = f"SUMPRODUCT($A{row}:$B{row},$F${at}:$G${at})+$H${at}"
            second = f"SUMPRODUCT($D{row}:$M{row},$J${at}:$S${at})+$T${at}"
            sheet.cell(row, 4 + unit, f"=1/(1+EXP(-({first})))")
            sheet.cell(row, 14 + unit, f"=1/(1+EXP(-({second})))")
        sheet.cell(row, 24, f"=SUMPRODUCT(N{row}:W{row},$V$3:$AE$3)+$AF$3")
        sheet.cell(row, 25, f"=1/(1+EXP(-X{row}))")
        sheet.cell(row, 26, f"=-(C{row}*LN(Y{row})+(1-C{row})*LN(1-Y{row}))")
    book.save(path)


MOONS_VARIABLES = ("F3:H12", "J3:T12", "V3:AF3")


def write_mlp(path: Path) -> None:
    """784-128-10: ReLU, softmax, cross-entropy, one formula per layer; the loss is data!A1.

    Weights stand on sheets w1 and w2, a column per unit, the last row is the bias.
    """
    inputs, hidden, classes = MLP_SHAPE
    generator = random.Random(2)
    book = Workbook(write_only=True)
    data, model = book.create_sheet("data"), book.create_sheet("model")
    first, second = book.create_sheet("w1"), book.create_sheet("w2")
    for fan_in, units, sheet in ((inputs, hidden, first), (hidden, classes, second)):
        for _ in range(fan_in + 1):
            sheet.append([generator.gauss(0, fan_in**-0.5) for _ in range(units)])
    last = MLP_ROWS + 2
    loss = letter(hidden + 3 * classes + 1)
    data.append([f"=AVERAGE(model!{loss}3:{loss}{last})"])
    data.append(["digit", *(f"pixel {i}" for i in range(inputs))])
    model.append([])
    model.append([*(f"h{i}" for i in range(hidden)), *(f"z{i}" for i in range(classes))])
    for row in range(3, last + 1):
        data.append([generator.randrange(classes), *(generator.random() for _ in range(inputs))])
        source = f"data!$B{row}:${letter(inputs + 1)}{row}"
        cells = [
            f"=MAX(0,MMULT({source},w1!{c}$1:{c}${inputs})+w1!{c}${inputs + 1})"
            for c in map(letter, range(1, hidden + 1))
        ]
        source = f"$A{row}:${letter(hidden)}{row}"
        cells += [
            f"=MMULT({source},w2!{c}$1:{c}${hidden})+w2!{c}${hidden + 1}"
            for c in map(letter, range(1, classes + 1))
        ]
        logits = [letter(hidden + i) for i in range(1, classes + 1)]
        powers = [letter(hidden + classes + i) for i in range(1, classes + 1)]
        shares = [letter(hidden + 2 * classes + i) for i in range(1, classes + 1)]
        cells += [f"=EXP({column}{row})" for column in logits]
        cells += [f"={column}{row}/SUM(${powers[0]}{row}:${powers[-1]}{row})" for column in powers]
        cells.append(f"=-LN(INDEX({shares[0]}{row}:{shares[-1]}{row},data!$A{row}+1))")
        model.append(cells)
    book.save(path)


MLP_VARIABLES = ("w1!A1:DX785", "w2!A1:J129")
