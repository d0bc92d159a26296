"""Regression statistics: NIST's certified standard deviations, and textbook formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import CORPUS, requires_corpus
from grids import grid
from solver_books import below, model_book, shown, standing

import xl2torch
from xl2torch.errors import ModelError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.reports.outcome import ReportContext
from xl2torch.reports.statistics import Statistics, statistics
from xl2torch.training.result import Result

TITLE = "Regression Report 1"
CERTIFIED = CORPUS / "nist" / "certified.json"
DATASETS = list(json.loads(CERTIFIED.read_text(encoding="utf-8"))) if CERTIFIED.exists() else []
DIGITS = 6


def at(model: SheetModel, numbers: list[float]) -> Result:
    """The result of training that ends at the given numbers."""
    with torch.no_grad():
        for variable in model.variables:
            parameter = model.parameter(variable)
            parameter.copy_(torch.tensor(numbers, dtype=torch.float64).reshape(parameter.shape))
    return xl2torch.fit(model, epochs=0)


@requires_corpus
@pytest.mark.parametrize("name", DATASETS)
def test_certified_standard_deviations(name: str) -> None:
    """At the certified parameters, to 6 digits."""
    truth = json.loads(CERTIFIED.read_text(encoding="utf-8"))[name]
    model = xl2torch.compile(xl2torch.load(CORPUS / "nist" / f"{name}_start1.xlsx"))
    found = statistics(ReportContext.of(at(model, truth["certified"])))
    assert found.form == "sum of squares"
    assert (found.observations, found.freedom) == (truth["n"], truth["n"] - truth["p"])
    errors = [line.error for line in found.estimates]
    if name == "Lanczos1":
        # Its residuals, 1e-14 of the data, are below what a number of 64 bits and certified
        # parameters of 11 digits leave: 4e-21 instead of 1.4e-25. J is right all the same, so the
        # certified deviation of the residuals gives the certified ones.
        errors = [error / found.deviation * truth["rsd"] for error in errors]
        assert found.squares == pytest.approx(4e-21, rel=0.2)
    else:
        assert found.deviation == pytest.approx(truth["rsd"], rel=10**-DIGITS)
    assert errors == pytest.approx(truth["certified_sd"], rel=10.0**-DIGITS)


LINE = "1 2.1\n2 3.9\n3 6.2\n4 7.8\n5 10.1"


def points(tmp_path: Path, residual: str, objective: str, starts: list[float]) -> SheetModel:
    """Five points, residuals in column C, the objective in A6, variables from E1 down."""
    rows = []
    for number, row in enumerate(LINE.splitlines(), 1):
        start = f" . {starts[number - 1]}" if number <= len(starts) else ""
        rows.append(f"{row} ={residual.replace('#', str(number))}{start}")
    book = grid(tmp_path, "\n".join([*rows, objective]))
    return xl2torch.compile(book, None, "A6", [f"E1:E{len(starts)}"])


def line(tmp_path: Path, objective: str) -> Statistics:
    """A straight line through five points, fitted by an objective."""
    model = points(tmp_path, "(B#-$E$1-$E$2*A#)", objective, [0.1, 2.0])
    return statistics(ReportContext.of(xl2torch.fit(model)))


@pytest.mark.parametrize(
    ("objective", "form"),
    [
        ("=SUMSQ(C1:C5)", "sum of squares"),
        ("=SUMSQ(C1:C5)/5", "mean of squares"),
        ("=SQRT(SUMSQ(C1:C5)/COUNT(C1:C5))", "root of the mean of squares"),
        ("=SUMPRODUCT(C1:C5,C1:C5)", "sum of squares"),
        ("=SUMXMY2(B1:B5,E1+E2*A1:A5)", "sum of squares"),
        ("=3*SUMSQ(C1:C5)", "3 times the sum of squares"),
        ("=SUMSQ(C1:C5)^0.5", "root of the sum of squares"),
    ],
)
def test_a_straight_line(tmp_path: Path, objective: str, form: str) -> None:
    """Ordinary least squares as numpy and the formulas of textbooks have it."""
    from scipy import stats

    found = line(tmp_path, objective)
    data = np.array([[float(x) for x in row.split()] for row in LINE.splitlines()])
    truth = stats.linregress(data[:, 0], data[:, 1])
    intercept, slope = found.estimates
    assert found.form == form
    assert [intercept.value, slope.value] == pytest.approx([truth.intercept, truth.slope])
    assert [intercept.error, slope.error] == pytest.approx(
        [truth.intercept_stderr, truth.stderr], rel=1e-6
    )
    assert slope.p == pytest.approx(truth.pvalue, rel=1e-5)
    width = stats.t.ppf(0.975, 3) * truth.stderr
    assert [slope.lower, slope.upper] == pytest.approx(
        [truth.slope - width, truth.slope + width], rel=1e-6
    )
    assert slope.t == pytest.approx(truth.slope / truth.stderr, rel=1e-6)
    assert found.freedom == 3 and found.observations == 5
    assert found.correlation[0, 1] == pytest.approx(-3 / math.sqrt(11))
    assert found.covariance[0, 1] == pytest.approx(
        found.correlation[0, 1] * intercept.error * slope.error
    )
    if "B1:B5" in objective:
        assert found.r_square == pytest.approx(truth.rvalue**2)


def test_weights_count(tmp_path: Path) -> None:
    """SUMPRODUCT(weights, squares): the same as residuals times the root of the weights."""
    plain = line(tmp_path, "=SUMSQ(C1:C5)+SUMSQ(C1:C1)*3")
    weighted = line(tmp_path, "=SUMPRODUCT({4;1;1;1;1},C1:C5^2)")
    assert weighted.observations == 5 and plain.observations == 6
    assert [item.value for item in weighted.estimates] == pytest.approx(
        [item.value for item in plain.estimates]
    )
    assert weighted.squares == pytest.approx(plain.squares)
    assert weighted.deviation == pytest.approx(math.sqrt(plain.squares / 3))
    assert math.isnan(weighted.r_square)


@pytest.mark.parametrize(
    "objective",
    ["=SUM(C1:C5)", "=SUMSQ(C1:C5)-2*SUMSQ(C1:C2)", "=EXP(SUMSQ(C1:C5))",
     "=MAX(SUMSQ(C1:C5),2)", "=IF(SUMSQ(C1:C5)>2,SUMSQ(C1:C5),SUMSQ(C1:C2))",
     "=SUMPRODUCT(IF(C1:C5^2>0.5,C1:C5^2,0.5))", "=SQRT(MAX(SUMSQ(C1:C5),3))",
     "=-SUMSQ(C1:C5)",
     "=SUMPRODUCT(ABS(C1:C5))+E1", "=SQRT(SUMSQ(C1:C5)+1)", "=SUMPRODUCT({-1;1;1;1;1},C1:C5^2)"],
)  # fmt: skip
def test_other_objectives_have_none(tmp_path: Path, objective: str) -> None:
    model = points(tmp_path, "(B#-$E$1-$E$2*A#)", objective, [0.1, 2.0])
    with pytest.raises(ModelError, match="no sum, mean or root mean of squared residuals"):
        statistics(ReportContext.of(xl2torch.fit(model, epochs=0)))


def test_what_the_data_do_not_determine(tmp_path: Path) -> None:
    """y = a·b·x: only the product is known; c is."""
    model = points(tmp_path, "(B#-$E$1*$E$2*A#-$E$3)", "=SUMSQ(C1:C5)", [1.0, 2.0, 0.1])
    found = statistics(ReportContext.of(xl2torch.fit(model)))
    assert [cell.a1 for cell in found.undetermined] == ["E1", "E2"]
    # What is not determined costs no degree of freedom: a line with one slope has three.
    assert found.freedom == 3
    plain = points(tmp_path, "(B#-$E$1*A#-$E$2)", "=SUMSQ(C1:C5)", [2.0, 0.1])
    other = statistics(ReportContext.of(xl2torch.fit(plain)))
    assert found.estimates[2].error == pytest.approx(other.estimates[1].error, rel=1e-6)
    assert math.isnan(found.estimates[0].error)
    assert found.estimates[2].error > 0 and not math.isnan(found.estimates[2].error)


def test_a_variable_at_its_bound_is_a_constant(tmp_path: Path) -> None:
    data = "A1 1\nB1 2\nA2 2\nB2 4.1\nA3 3\nB3 5.9\nA4 4\nB4 8.2\n"
    table = data + "D1 0.5\nD2 2\nD4 =SUMPRODUCT((B1:B4-D1-D2*A1:A4)^2) | 1"
    book = model_book(tmp_path / "b.xlsx", table, "$D$4", "$D$1:$D$2", [("$D$1", "3", "0.5")])
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(book)))
    found = statistics(ReportContext.of(result))
    assert [cell.a1 for cell in found.fixed] == ["D1"] and found.freedom == 3
    x, y = np.array([1, 2, 3, 4.0]), np.array([2, 4.1, 5.9, 8.2]) - 0.5
    slope = (x * y).sum() / (x * x).sum()
    deviation = math.sqrt(((y - slope * x) ** 2).sum() / 3 / (x * x).sum())
    assert found.estimates[1].error == pytest.approx(deviation)
    assert math.isnan(found.estimates[0].error)


def test_a_row_without_residual_and_slope_is_an_observation(tmp_path: Path) -> None:
    """y = b·x through a point (0, 0), which tells nothing of b and something of the spread."""
    table = "".join(f"A{n} {x}\nB{n} {y}\n" for n, (x, y) in enumerate(
        zip([0, 1, 2, 3, 4, 5], [0, 1.2, 1.9, 3.3, 3.8, 5.1], strict=True), 1))  # fmt: skip
    table += "D1 1\nD4 =SUMPRODUCT((B1:B6-D1*A1:A6)^2) | 1"
    book = model_book(tmp_path / "b.xlsx", table, "$D$4", "$D$1")
    found = statistics(ReportContext.of(xl2torch.fit(xl2torch.compile(xl2torch.load(book)))))
    x, y = np.arange(6.0), np.array([0, 1.2, 1.9, 3.3, 3.8, 5.1])
    slope = (x * y).sum() / (x * x).sum()
    squares = ((y - slope * x) ** 2).sum()
    assert (found.observations, found.freedom) == (6, 5)
    assert found.estimates[0].error == pytest.approx(math.sqrt(squares / 5 / (x * x).sum()))
    assert found.r_square == pytest.approx(1 - squares / ((y - y.mean()) ** 2).sum())


def test_an_infinite_derivative_is_told(tmp_path: Path) -> None:
    table = "".join(f"A{n} {n - 1}\nB{n} {n}\n" for n in range(1, 6))
    table += "D1 0\nD2 1\nD4 =SUMPRODUCT((B1:B5-SQRT(D1)-D2*A1:A5)^2) | 1"
    book = model_book(tmp_path / "b.xlsx", table, "$D$4", "$D$1:$D$2")
    try:
        found = xl2torch.report(standing(book), "statistics")["variables"]
    except ModelError as error:
        assert "no finite derivative" in str(error)
    else:
        assert found["error"].isna()[0]


def test_too_few_observations(tmp_path: Path) -> None:
    book = model_book(tmp_path / "b.xlsx", "B1 1\nB2 2\nB3 =SUMSQ(B1:B2) | 5", "$B$3", "$B$1:$B$2")
    with pytest.raises(
        ModelError, match="2 residuals for 2 variable cells that are at no bound: too few"
    ):
        xl2torch.report(standing(book), "statistics")


@requires_corpus
def test_the_sheet(tmp_path: Path) -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "nist" / "Misra1a_start1.xlsx"))
    truth = json.loads(CERTIFIED.read_text(encoding="utf-8"))["Misra1a"]
    result = at(model, truth["certified"])
    xl2torch.save(result, tmp_path / "out.xlsx", reports="statistics")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    facts = {row[1]: row[2] for row in below(rows, "Regression Statistics")}
    assert facts["Observations"] == 14 and facts["Degrees of Freedom"] == 12
    assert facts["Residual Sum of Squares"] == pytest.approx(truth["rss"])
    assert facts["R Square"] == pytest.approx(0.99999, abs=1e-4)
    lines = below(rows, "Variable Cells")
    assert [line[3] for line in lines] == pytest.approx(truth["certified_sd"], rel=1e-6)
    correlation = below(rows, "Correlation")
    assert [line[2:] for line in correlation] == [
        pytest.approx([1.0, correlation[0][3]]), pytest.approx([correlation[0][3], 1.0]),
    ]  # fmt: skip
    frames = xl2torch.report(result, "statistics")
    assert list(frames["variables"]["error"]) == pytest.approx(truth["certified_sd"], rel=1e-6)
