"""Numeric against analytic derivatives: values, steps, verdicts and the reasons given."""

from __future__ import annotations

import math
from pathlib import Path

import cells
import pytest
import torch
from corpus import WORKBOOKS

import xl2torch
from xl2torch.errors import ModelError, SelectionError
from xl2torch.gradients.check import TOLERANCE, check
from xl2torch.gradients.difference import (
    RELATIVE_STEP,
    all_cells,
    default_differences,
    differences,
    lengthened,
    over_copies,
)  # fmt: skip
from xl2torch.model.sheet_model import SheetModel

REASONS = (
    # grid of one line; objective; variables; step; kind of the reason; what it names
    ("0 | =MAX(0,A1)", "B1", "A1", None, "kink", "Sheet1!B1 =MAX(0,A1)"),
    ("0 | =MAX(0,A1)+A1", "B1", "A1", None, "kink", "1 to the left, 2 to the right"),
    ("2 | =IF(A1>2,3*A1-4,A1)", "B1", "A1", None, "kink", "IF(A1>2,3*A1-4,A1)"),
    ("1 | 1 | =MAX(A1,B1)*2", "C1", "A1", None, "kink", "MAX(A1,B1)"),
    ("0.001 | =MAX(0,A1)", "B1", "A1", 0.01, "kink", "within one step of 0.01"),
    ("2.5 | =ROUND(A1,0)+A1", "B1", "A1", None, "step function", "ROUND(A1,0)"),
    ("3 | =INT(A1)*A1", "B1", "A1", None, "step function", "INT(A1)"),
    ("1 | =IF(A1>=1,5,A1)", "B1", "A1", None, "step function", "IF(A1>=1,5,A1)"),
    (
        "1 | 4 | 9 | =INDEX(A1:C1,1,1+(A1>=1))",
        "D1",
        "A1:C1",
        None,
        "lookup",
        "INDEX(A1:C1,1,1+(A1>=1))",
    ),
    ("0.5 | =EXP(4*A1)", "B1", "A1", 0.1, "truncation", "the step 0.1 is too large"),
    ("0.5 | =(EXP(4*A1)+3E8)-3E8", "B1", "A1", 1e-9, "cancellation", "the step 1e-09 is too small"),
    ("0 | =SQRT(A1)", "B1", "A1", None, "error value", "at the edge"),
    ("0.001 | =LN(A1)", "B1", "A1", 0.01, "error value", "-0.009"),
    ("5 | =ROUND(A1/3,1)", "B1", "A1", None, "plateau", "ROUND in Sheet1!B1"),
    ("-5 | =MAX(0,A1)", "B1", "A1", None, "plateau", "does not move with this cell"),
)


def compiled(grid: str, objective: str, variables: str) -> SheetModel:
    return xl2torch.compile(
        cells.workbook(grid), objective=objective, variables=variables.split(",")
    )


@pytest.mark.parametrize(("grid", "objective", "variables", "step", "kind", "names"), REASONS)
def test_reason(
    grid: str, objective: str, variables: str, step: float | None, kind: str, names: str
) -> None:
    found = check(compiled(grid, objective, variables), step=step)
    worst = found.worst_first[0]
    if kind == "plateau":
        assert worst.ok and worst.analytic == worst.numeric == 0
    else:
        assert not worst.ok and not found.ok
    assert worst.reason.startswith(kind + ":"), worst.reason
    assert names in worst.reason, worst.reason


def test_agreement_has_no_reason() -> None:
    found = check(compiled("3 | 4 | =A1^2*B1+EXP(A1-B1)", "C1", "A1:B1"))
    assert found.ok and found.max_rel_diff < 1e-9
    first, second = found.rows
    assert first.analytic == pytest.approx(24 + math.exp(-1), rel=1e-15)
    assert second.analytic == pytest.approx(9 - math.exp(-1), rel=1e-15)
    assert [row.reason for row in found.rows] == ["", ""]
    assert [str(row.cell) for row in found.rows] == ["Sheet1!A1", "Sheet1!B1"]
    assert [row.value for row in found.rows] == [3.0, 4.0]


def test_the_relative_difference_is_that_of_the_largest_slope() -> None:
    """|a−n| / max(|a|, |n|, largest |a|): 0.01 of truncation beside a slope of 1000."""
    found = check(compiled("1 | 1 | =A1^2+1000*B1", "C1", "A1:B1"), method="forward", step=0.01)
    first, second = found.rows
    assert first.abs_diff == pytest.approx(0.01, rel=1e-6)
    assert first.rel_diff == pytest.approx(0.01 / 1000, rel=1e-6)
    assert second.rel_diff < 1e-10 and found.step == 0.01 and found.step_rule == "as asked for"


def test_rounding_excuses_a_small_slope() -> None:
    """A slope of 1e-7 beside a value of 1e6 cannot be seen better than ε·|f|/step."""
    found = check(compiled("1 | =1E6+1E-7*A1", "B1", "A1"), step=1e-3)
    (row,) = found.rows
    assert row.ok and row.abs_diff <= 2.3e-16 * 1e6 / 1e-3
    assert row.rel_diff > TOLERANCE["central"]


@pytest.mark.parametrize("method", ["central", "forward"])
def test_steps_by_default(method: str) -> None:
    """The step of the textbooks where nothing speaks against it, shorter where it is curved."""
    model = compiled("0.5 | 2 | 1 | =A1^2+B1+EXP((C1-1)*1E4)", "D1", "A1:C1")
    found = default_differences(model, all_cells(model), method)  # type: ignore[arg-type]
    relative = RELATIVE_STEP[method]  # type: ignore[index]
    assert found.step[2] < relative / 100
    exact = torch.tensor([1.0, 1.0, 1e4], dtype=torch.float64)
    tolerance = 1e-8 if method == "central" else 1e-5
    assert (found.quotient - exact).abs().max() < tolerance * exact.abs().max()


def test_an_inflection_does_not_hide_that_a_step_is_long() -> None:
    """At 0 the curvature of SIN is 0, though a step of 6e-6 is more than half a radian."""
    found = check(compiled("0 | =SIN(A1*1E5)", "B1", "A1"))
    assert found.ok and found.rows[0].numeric == pytest.approx(1e5, rel=1e-6)


def test_a_step_is_lengthened_where_rounding_is_felt() -> None:
    model = compiled("0 | 0 | =1E9+1E-3*A1+1E-3*B1^2", "C1", "A1")
    first = default_differences(model, all_cells(model), "central")
    assert first.step.item() == 2.0**-17
    found = lengthened(model, all_cells(model), first)
    assert found.step.item() > 100 * RELATIVE_STEP["central"]
    assert abs(found.quotient.item() - 1e-3) < 0.1 * abs(first.quotient.item() - 1e-3)


def test_copies_are_computed_together_and_alike() -> None:
    """Every cell by itself gives the same numbers as all at once; also in several parts."""
    model = compiled(
        "0.1 | 0.2 | 0.3 | 0.4\n1 | 2 | 3 | 4\n=SUMPRODUCT(A1:D1,A2:D2)^2", "A3", "A1:D1,A2:D2"
    )
    cells_ = all_cells(model)
    steps = torch.full((8,), 1e-5, dtype=torch.float64)
    together = differences(model, cells_, "central", steps)
    counted: list[int] = []
    for index in range(8):
        one = torch.tensor([index])
        alone = differences(model, cells_[one], "central", steps[one], counted.append)
        assert alone.quotient.item() == pytest.approx(together.quotient[index].item(), rel=1e-9)
    assert counted == [1] * 8


def test_functions_without_a_batching_rule_are_looped_over() -> None:
    def stubborn(x: torch.Tensor) -> torch.Tensor:
        return x * float(x)  # a number of one copy: vmap cannot

    copies = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert over_copies(stubborn, copies).tolist() == [1.0, 4.0, 9.0]


def test_special_functions_are_compared_too() -> None:
    found = check(
        compiled("2.5 | 0.3 | =GAMMA.DIST(A1,2,1,TRUE)+BETA.DIST(B1,2,3,TRUE)", "C1", "A1:B1")
    )
    assert found.ok and found.max_rel_diff < 1e-7


def test_recurrences_are_compared_too() -> None:
    lines = ["0.9 | 1"] + [f" | =A$1*B{row - 1}+SIN(B{row - 1})" for row in range(2, 30)]
    found = check(compiled("\n".join(lines), "B29", "A1"))
    assert found.ok and found.max_rel_diff < 1e-8


def test_the_frame() -> None:
    model = compiled('"slope" | 3 | =B1^2', "C1", "B1")
    frame = xl2torch.gradcheck(model, method="forward")
    assert list(frame.columns) == [
        "cell", "label", "value", "analytic", "numeric", "abs_diff", "rel_diff", "step", "ok",
        "reason",
    ]  # fmt: skip
    assert frame.loc[0, "cell"] == "Sheet1!B1" and frame.loc[0, "analytic"] == 6.0
    assert frame.attrs["objective"] == "Sheet1!C1" and frame.attrs["value"] == 9.0
    assert frame.attrs["method"] == "forward" and frame.attrs["max_rel_diff"] < 1e-7


def test_the_model_is_left_as_it_was() -> None:
    model = compiled("3 | =A1^2", "B1", "A1")
    model.train()
    xl2torch.gradcheck(model)
    (parameter,) = model.parameters()
    assert model.training and parameter.item() == 3.0 and parameter.grad is None


def test_the_present_point_counts() -> None:
    """After training the model is checked where it stands, not where the file stands."""
    model = compiled("3 | =A1^2", "B1", "A1")
    with torch.no_grad():
        next(iter(model.parameters())).fill_(5.0)
    assert xl2torch.gradcheck(model).loc[0, "analytic"] == 10.0


def test_some_cells() -> None:
    model = compiled("1 | 2 | 3 | =SUM(A1:C1)^2", "D1", "A1:C1")
    frame = xl2torch.gradcheck(model, cells=["C1", "Sheet1!$A$1"])
    assert sorted(frame["cell"]) == ["Sheet1!A1", "Sheet1!C1"]
    for wrong, message in ((["D1"], "D1: no variable cell"), ([], "no variable cell was chosen")):
        with pytest.raises(SelectionError, match=message):
            xl2torch.gradcheck(model, cells=wrong)


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan, math.inf])
def test_a_step_has_to_be_above_zero(step: float) -> None:
    with pytest.raises(SelectionError, match="has to be above 0"):
        check(compiled("3 | =A1^2", "B1", "A1"), step=step)


def test_an_error_at_the_point_itself() -> None:
    model = compiled("3 | =LN(A1)", "B1", "A1")
    with torch.no_grad():
        next(iter(model.parameters())).fill_(-5.0)
    with pytest.raises(ModelError, match="is an error value at the present point"):
        check(model)


def test_what_a_gradient_costs_solver() -> None:
    cost = check(compiled("1 | 2 | 3 | =SUM(A1:C1)^2", "D1", "A1:C1")).cost
    assert (cost.forward, cost.central) == (3, 6)
    assert cost.central_seconds == pytest.approx(2 * cost.forward_seconds)
    assert cost.backward_seconds > 0


def test_random_cells_keep_their_draw() -> None:
    """The mask of RAND is the file's in both columns: they agree."""
    book = cells.workbook("2 | 3 | =A1*B1*2", {"D1": "=RAND()"})
    model = xl2torch.compile(book, objective="C1", variables="A1")
    assert check(model).ok


def test_an_optimum_is_no_disagreement() -> None:
    """Both are next to nothing there; what curvature and rounding explain is fine."""
    for grid in (
        "0 | =(EXP(A1)-1)^2",
        "0 | =A1^3",
        "0 | =ABS(A1)*A1",
        "40 | =LN(1+EXP(-A1))",
        "3 | =(A1-3)^2",
        "0.1 | =(A1*3-0.3)^2",
    ):
        for method in ("central", "forward"):
            found = check(compiled(grid, "B1", "A1"), method=method)
            assert found.ok, (grid, method, found.rows)


def test_trained_samples_agree(tmp_path: Path) -> None:
    for name in ("line", "quadratic"):
        model = xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
        xl2torch.fit(model)
        for method in ("central", "forward"):
            assert check(model, method=method).ok, (name, method)


def test_rounding_inside_the_formulas_is_measured() -> None:
    """The digits are lost on the way, not in the objective."""
    found = check(compiled("1.3 | =(A1*A1+1E8)-1E8", "B1", "A1"))
    assert found.ok and found.rows[0].numeric == pytest.approx(2.6, rel=1e-3)
    assert check(compiled("1000 | =SIN(3000*A1)", "B1", "A1")).ok


def test_a_number_that_says_nothing_is_said_to() -> None:
    found = check(compiled("1 | =1E17+A1^2", "B1", "A1"))
    assert found.ok and found.rows[0].reason.startswith("rounding: ")
    found = check(compiled("1 | =1+A1^2", "B1", "A1"), step=1e-17)
    assert not found.ok
    assert found.rows[0].reason == "cancellation: the step 1e-17 vanishes beside the value 1"


@pytest.mark.parametrize(
    ("grid", "kind"),
    [
        ("0 | =(A1>0)*A1", "kink"),
        ("0 | =IF(A1>0,A1+1,A1)", "step function"),
        ("2 | 3 | =MEDIAN(A1,B1,2)+MAX(A1,2)", "kink"),
        ("0 | =IFERROR(1/A1,0)", "step function"),
        ("2 | =IF(A1=2,2.0001,A1)", "step function"),
        ("2 | =IF(A1=2,5,A1)", "step function"),
        ("1 | =IF(A1>1,1/0,A1)", "error value"),
        ("0 | =ASIN(A1+1)", "error value"),
    ],
)
def test_a_jump_is_told_from_a_bend(grid: str, kind: str) -> None:
    objective = "C1" if grid.count("|") == 2 else "B1"
    found = check(compiled(grid, objective, "A1"))
    assert not found.ok
    assert found.rows[0].reason.startswith(kind + ":"), found.rows[0].reason


def test_a_forward_difference_sees_a_symmetric_kink() -> None:
    found = check(compiled("0 | =ABS(A1)", "B1", "A1"), method="forward")
    assert not found.ok and found.rows[0].reason.startswith("kink:")


def test_a_plateau_is_that_of_its_own_cell() -> None:
    model = compiled("1.2 | 2 | 0 | =D2+B1*C1\n | | | =ROUND(A1,0)", "D1", "A1,B1")
    first, second = check(model).rows
    assert "ROUND" in first.reason
    assert second.reason == "plateau: the slope is 0; Sheet1!D1 does not move with this cell"


def test_a_square_region_names_no_wrong_cell() -> None:
    cells_ = {"D1": "=MAX(0,A1)", "E1": "=MAX(0,B1)", "D2": "=MAX(0,A2)", "E2": "=MAX(0,B2)",
              "F1": "=SUM(D1:E2)"}  # fmt: skip
    book = cells.workbook("1 | 2\n0 | 3", cells_)
    model = xl2torch.compile(book, objective="F1", variables="A1:B2")
    (wrong,) = [row for row in check(model).rows if not row.ok]
    assert wrong.cell.a1 == "A2" and "D1:E2" in wrong.reason


def test_a_branch_of_a_larger_range() -> None:
    """One condition for several columns: the reason is given all the same."""
    cells_ = {f"{c}{r}": f"=IF($A{r}>0,$A{r}*{c}$10+1,{c}$10)" for c in "CDEF" for r in (1, 2, 3)}
    cells_ |= {f"{c}10": "2" for c in "CDEF"} | {"H1": "=SUM(C1:F3)"}
    model = xl2torch.compile(cells.workbook("1\n0\n2", cells_), objective="H1", variables="A1:A3")
    (wrong,) = [row for row in check(model).rows if not row.ok]
    assert wrong.cell.a1 == "A2" and wrong.reason.startswith("step function")


def test_a_sheet_with_a_dollar_sign() -> None:
    book = cells.book(cells.sheet("US$", {"A1": "3", "B1": "=A1^2"}))
    model = xl2torch.compile(book, objective="B1", variables="A1")
    assert len(xl2torch.gradcheck(model, cells=["'US$'!A1"])) == 1
    assert len(xl2torch.gradcheck(model, cells=model.cell_values())) == 1


def test_a_variable_cell_with_a_formula_that_was_never_computed() -> None:
    model = compiled("2 | =A1+1 | =A1*B1", "C1", "A1:B1")
    assert float(model().detach()) == 6.0
    assert [row.analytic for row in check(model).rows] == [3.0, 2.0]
