"""Recurrences: right, in one loop, in linear time, whatever their direction."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from cells import Gradient, area_of, copied, trained, value, workbook

import xl2torch
from xl2torch.cells.address import column_letters
from xl2torch.errors import CircularReferenceError
from xl2torch.ir.loop import Recurrence
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.read.reader import Workbook

LONG = 10_000


def down(first: str, copies: int, row: int = 2) -> dict[str, str]:
    """A formula of column B, C, … (``B: …``) copied down from a row."""
    cells = {}
    for line in first.split(";"):
        column, _, formula = line.strip().partition(": ")
        for index in range(copies):
            cells[f"{column}{row + index}"] = f"={copied(formula, index)}"
    return cells


def loops(book: Workbook, area: str) -> int:
    """How many of the units that hold a range are computed in loops."""
    evaluation = Evaluation(book)
    evaluation.value(area_of(book, area))
    return sum(unit.loop is not None for unit in evaluation.overlapping(area_of(book, area)))


def numbers(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, count).round(3)


def column(letter: str, values: np.ndarray, row: int = 2) -> dict[str, str]:
    return {f"{letter}{row + index}": repr(float(x)) for index, x in enumerate(values)}


def totals(x: np.ndarray) -> float:
    return float(np.cumsum(x)[-1])


def smoothed(x: np.ndarray) -> float:
    level = 0.5
    for item in x:
        level = 0.9 * level + 0.1 * float(item)
    return level


def momentum(x: np.ndarray) -> float:
    speed, place = 0.0, 0.5
    for item in x:
        speed = 0.8 * speed + (place - float(item))
        place -= 0.01 * speed
    return place


CHAINS: dict[str, tuple[str, str, Callable[[np.ndarray], float]]] = {
    "running total": ("B: B1+A2", "B1=0", totals),
    "running total over a header": ("B: SUM(B1,A2)", 'B1="Total"', totals),
    "smoothing": ("B: 0.9*B1+0.1*A2", "B1=0.5", smoothed),
    "momentum": ("B: 0.8*B1+(C1-A2); C: C1-0.01*B2", "B1=0;C1=0.5", momentum),
}


@pytest.mark.parametrize("name", CHAINS)
def test_ten_thousand_rows(name: str) -> None:
    formulas, starts, expected = CHAINS[name]
    x = numbers(LONG)
    begin = dict(item.split("=") for item in starts.split(";"))
    book = workbook("", {**column("A", x), **begin, **down(formulas, LONG)})
    last = f"{formulas.rpartition(';')[2].strip()[0]}{LONG + 1}"
    assert value(book, last) == pytest.approx(expected(x), rel=1e-9)
    model = xl2torch.compile(book, objective=last, variables=[f"A2:A{LONG + 1}"])
    assert sum(isinstance(part, Recurrence) for part in model.modules()) == 1
    result = model()
    assert result.item() == pytest.approx(expected(x), rel=1e-9)
    result.backward()
    slope = next(iter(model.parameters())).grad
    assert slope is not None
    shifted = x.copy()
    shifted[LONG - 5] += 1e-3
    shifted_less = x.copy()
    shifted_less[LONG - 5] -= 1e-3
    numeric = (expected(shifted) - expected(shifted_less)) / 2e-3
    assert slope[LONG - 5].item() == pytest.approx(numeric, rel=1e-6)


COPIES = 12
SHAPES = {
    "down": "B: B1*0.5+A2",
    "two columns": "B: B1*0.5+C1*A2; C: C1+B2/9",
    "lag two": "B: B1*0.5-B0*0.2+A2",
    "an if": "B: IF(B1>0.4,B1*0.5,B1+A2)",
    "a window": "B: SUM(B0:B1)*0.3+A2",
    "a root": "B: SQRT(ABS(B1)+A2^2+1)",
    "caught": "B: IFERROR(LN(B1)+A2,0.5)",
    "hoisted": "B: B1*0.9+MAX(A2,0)*SUM($A$2:$A$5)",
    "gates of an LSTM": "B: C2*B1+D2*TANH(A2); C: 1/(1+EXP(-A2*B1)); D: 1/(1+EXP(A2-B1))",
    "a gate": "B: C2*A2+0.5*B1; C: 1/(1+EXP(-A2*B1))",
    "neighbours": "B: (B1+C1)/2+A2; C: (B1-C1)/3+A2",
}


def shape_book(formulas: str) -> Workbook:
    cells = column("A", numbers(COPIES), row=5)
    cells |= {f"{letter}{row}": "0.3" for letter in "BC" for row in range(2, 5)}
    moved = ";".join(
        f"{line.strip()[0]}: " + copied(line.strip()[3:].replace("B0", "B1"), 3)
        if "B0" not in line
        else f"{line.strip()[0]}: " + copied(line.strip()[3:].replace("B1", "B2")
                                             .replace("B0", "B1").replace("A2", "A3"), 2)
        for line in formulas.split(";")
    )  # fmt: skip
    return workbook("", {**cells, **down(moved, COPIES, row=5)})


def unrolled(book: Workbook, monkeypatch: pytest.MonkeyPatch, cell: str) -> tuple[float, Gradient]:
    """Value and gradient with every row written out."""
    monkeypatch.setattr("xl2torch.lowering.recurrence.LEAST_STEPS", 10**9)
    return trained(book, cell, "A5:A10,B4")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_loop_is_what_its_rows_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    book = shape_book(SHAPES[name])
    last = f"B{COPIES + 4}"
    assert loops(book, f"B5:B{COPIES + 4}") == 1
    alone = value(book, last)
    got, gradient = trained(book, last, "A5:A10,B4")
    expected, slopes = unrolled(book, monkeypatch, last)
    assert got == pytest.approx(expected, rel=1e-12)
    assert got == pytest.approx(alone, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-14)


def test_across_and_backward() -> None:
    x = numbers(COPIES)
    across = {f"{column_letters(2 + i)}1": repr(float(v)) for i, v in enumerate(x)}
    across |= {"A2": "0"}
    across |= {
        f"{column_letters(2 + i)}2": f"={column_letters(1 + i)}2*0.5+{column_letters(2 + i)}1"
        for i in range(COPIES)
    }
    book = workbook("", across)
    end = column_letters(1 + COPIES)
    assert loops(book, f"B2:{end}2") == 1
    level = 0.0
    for item in x:
        level = level * 0.5 + float(item)
    assert value(book, f"{end}2") == pytest.approx(level, rel=1e-12)
    upward = {**column("A", x), f"B{COPIES + 2}": "0"}
    upward |= {f"B{row}": f"=B{row + 1}*0.5+A{row}" for row in range(2, COPIES + 2)}
    book = workbook("", upward)
    assert loops(book, f"B2:B{COPIES + 1}") == 1
    level = 0.0
    for item in x[::-1]:
        level = level * 0.5 + float(item)
    assert value(book, "B2") == pytest.approx(level, rel=1e-12)
    got, gradient = trained(book, "B2", f"A2:A{COPIES + 1}")
    assert got == pytest.approx(level, rel=1e-12)
    assert gradient["A5"] == pytest.approx(0.5**3)


def test_an_error_in_the_chain_is_that_error() -> None:
    cells = {**column("A", numbers(COPIES)), "B1": "1", **down("B: B1/A2", COPIES)}
    cells["A6"] = "0"
    book = workbook("", cells)
    assert value(book, "B5") == pytest.approx(1 / np.prod(numbers(COPIES)[:4]))
    assert value(book, f"B{COPIES + 1}") == "#DIV/0!"
    assert not math.isfinite(trained(book, f"B{COPIES + 1}", "A2:A6")[0])


def test_a_true_circle_is_named() -> None:
    cells = {**column("A", numbers(COPIES)), **down("B: C2+A2; C: B2*2", COPIES)}
    with pytest.raises(CircularReferenceError, match=r"Sheet1!(B3 → Sheet1!C3|C3 → Sheet1!B3)"):
        value(workbook("", cells), "B3")


GROWING = """
SUM($A$2:A2)      | SUM(A$2:A{row})
AVERAGE($A$2:A2)  | AVERAGE(A$2:A{row})
MAX($A$2:A2)      | MAX(A$2:A{row})
MIN(A2:A$13)      | MIN(A{row}:A$13)
PRODUCT($A$2:A2)  | PRODUCT(A$2:A{row})
COUNT($A$2:A2)    | COUNT(A$2:A{row})
STDEV($A$1:A3)    | STDEV(A$1:A{next})
SUM($A$2:A2,3)    | SUM(A$2:A{row},3)
SUMSQ($A$2:A2)    | SUMSQ(A$2:A{row})
MEDIAN($A$2:A2)   | MEDIAN(A$2:A{row})
"""


@pytest.mark.parametrize("line", GROWING.strip().splitlines())
def test_a_growing_range_is_one_region(line: str) -> None:
    formula, alone = (part.strip() for part in line.split("|"))
    cells = {**column("A", numbers(COPIES)), **down(f"B: {formula}", COPIES)}
    cells["A1"] = '"x"'
    for row in (2, 7, 13):
        single = {**column("A", numbers(COPIES)), "A1": '"x"'}
        single["C1"] = "=" + alone.format(row=row, next=row + 1)
        expected = value(workbook("", single), "C1")
        book = workbook("", cells)
        assert value(book, f"B{row}") == expected or value(book, f"B{row}") == pytest.approx(
            expected, rel=1e-12
        )
        if isinstance(expected, str):
            continue
        got, gradient = trained(workbook("", {**cells, "D1": f"=B{row}+0*A2"}), "D1", "A2:A13")
        want, slopes = trained(workbook("", {**single, "D1": "=C1+0*A2"}), "D1", "A2:A13")
        assert got == pytest.approx(want, rel=1e-12)
        assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-14)
    evaluation = Evaluation(workbook("", cells))
    evaluation.compute_all()
    assert len([unit for unit in evaluation.all_units() if unit.region]) == 1


def test_growing_over_ten_thousand_rows() -> None:
    x = numbers(LONG)
    book = workbook("", {**column("A", x), **down("B: SUM($A$2:A2)", LONG)})
    model = xl2torch.compile(book, objective=f"B{LONG + 1}", variables=[f"A2:A{LONG + 1}"])
    assert any(node.target is torch.cumsum for node in model.graph.nodes)
    assert model().item() == pytest.approx(float(x.sum()))


def test_an_amortisation_schedule_is_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first row reads the loan itself, the others the balance above; interest is rounded."""
    cells = {"B1": "0.05", "B2": "200000", "B3": "=ROUND(PMT(B1/12,COUNT(A6:A65),-B2),2)"}
    for row in range(6, 66):
        before = "$B$2" if row == 6 else f"D{row - 1}"
        cells |= {
            f"A{row}": str(row - 5),
            f"B{row}": f"=ROUND({before}*$B$1/12,2)",
            f"C{row}": f"=$B$3-B{row}",
            f"D{row}": f"={before}-C{row}",
            f"E{row}": f"=SUM(C$6:C{row})",
        }
    cells["G1"] = "=D65+E65/7"
    book = workbook("", cells)
    model = xl2torch.compile(book, objective="G1", variables=["B2"])
    assert sum(isinstance(part, Recurrence) for part in model.modules()) == 1
    assert len(model.graph.nodes) < 60
    got, gradient = trained(book, "G1", "B2")
    assert got == pytest.approx(value(book, "G1"), rel=1e-12)
    expected, slopes = unrolled_by("B2", book, monkeypatch)
    assert got == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9)


def unrolled_by(
    variables: str, book: Workbook, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, Gradient]:
    """The same with every row written out."""
    monkeypatch.setattr("xl2torch.lowering.recurrence.LEAST_STEPS", 10**9)
    return trained(book, "G1", variables)


def test_a_start_that_is_an_error_is_not_lost() -> None:
    """The first cell fails at run time; no later row can fail by itself."""
    cells = {**column("A", numbers(COPIES)), "C1": "0", "B1": "=LN(C1)", **down("B: B1+A2", COPIES)}
    book = workbook("", cells)
    assert value(book, f"B{COPIES + 1}") == "#NUM!"
    assert not math.isfinite(trained(book, f"B{COPIES + 1}", "C1")[0])
    caught = workbook("", {**cells, "D1": f"=IFERROR(B{COPIES + 1},5)+C1"})
    assert trained(caught, "D1", "C1") == (5.0, {"C1": 1.0})


@pytest.mark.parametrize("test", ["B{r}=1", "B{r}>=1", "NOT(B{r}<1)", "B{r}<>1"])
def test_loops_compare_15_digits(test: str) -> None:
    """0.1 added ten times shows as 1, and is equal to it."""
    yes, no = ("B{r}+0.1", "0") if "<>" in test else ("0", "B{r}+0.1")
    cells = {f"B{r + 1}": f"=IF({test},{yes},{no})".format(r=r) for r in range(1, 25)}
    book = workbook("", {"B1": "0", **cells})
    level = 0.0
    for _ in cells:
        level = 0.0 if f"{level:.15g}" == "1" else level + 0.1
    assert value(book, "B25") == pytest.approx(level, abs=1e-12)
    assert loops(book, "B2:B25") == 1
