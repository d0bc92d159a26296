"""Every message code that can occur, provoked; and what is then in the variable cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from packages import parts, solver, write

import xl2torch
from xl2torch.analysis.highs import Progress as Bounding
from xl2torch.errors import ModelError, SelectionError, UnsupportedError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.diagnosis import undetermined
from xl2torch.training.loss import Loss
from xl2torch.training.result import Iteration, Result
from xl2torch.training.stopping import MESSAGES, SET_IN_PYTHON


def stored(
    folder: Path, formulas: str, start: Sequence[float] = (1.0, 1.0),
    constraints: Sequence[tuple[str, str, str]] = (), sense: int = 2, **options: str,
) -> SheetModel:  # fmt: skip
    """A model with B1, B2 as variable cells; ``formulas`` are those of B3, B4, … by line."""
    cells = [f"B{n} {value!r}" for n, value in enumerate(start, 1)]
    cells += [f"B{n} ={text}" for n, text in enumerate(formulas.splitlines(), 3)]
    names = solver(sense=sense, constraints=constraints, options=options)
    book = write(folder / "b.xlsx", parts("\n".join(cells), names=names))
    return xl2torch.compile(xl2torch.load(book))


ROSENBROCK = "100*(B2-B1^2)^2+(3-B1)^4"
CUT = ("$B$1:$B$2", "4", '"integer"')
BINARY = ("$B$1:$B$2", "5", '"binary"')
HARD = "7*B1+11*B2\n13*B1+17*B2"

CASES = {
    0: ("(B1-3)^2+(B2-4)^2", {}, {}),
    1: ("(B1-3)^4+(B2-4)^2+EXP(B1)", {}, {"convergence": 0.5, "optimizer": "adam"}),
    2: ("ABS(B1-3)+ABS(B2-B1)", {}, {"optimizer": "lbfgs"}),
    3: (ROSENBROCK, {"itr": "2"}, {}),
    4: ("B1+B2", {}, {}),
    5: ("B1+B2\nB1-B2", {"constraints": [("$B$4", "3", "5"), ("$B$4", "1", "4")]}, {}),
    7: ("B1^2+B2\nB1+B2", {"constraints": [("$B$4", "3", "5")], "eng": "2"}, {}),
    9: ("LN(B1)+B2^2", {}, {"optimizer": "sgd", "lr": 0.4}),
    10: (ROSENBROCK, {"tim": "0"}, {"max_time": 1e-9}),
    17: (
        "SIN(3*B1)+B1^2/10+B2^2",
        {
            "msl": "1",
            "ssz": "20",
            "rsd": "7",
            "constraints": [("$B$1:$B$2", "3", "-9"), ("$B$1:$B$2", "1", "9")],
        },
        {},
    ),
    18: ("SIN(3*B1)+B1^2/10+B2^2", {"msl": "1"}, {}),
    19: ("B1+B2", {"constraints": [BINARY, ("$B$1", "3", "2")]}, {}),
    20: ("B1^2+B2^2", {"constraints": [("$B$1", "3", "2"), ("$B$1", "1", "1")]}, {}),
}


@pytest.mark.parametrize("code", CASES)
def test_code(code: int, tmp_path: Path) -> None:
    formulas, model_options, fit_options = CASES[code]
    model = stored(tmp_path, formulas, **model_options)  # type: ignore[arg-type]
    result = xl2torch.fit(model, **fit_options)  # type: ignore[arg-type]
    assert result.stop.code == code, result.message
    assert result.message.startswith(MESSAGES[code])
    assert result.stop.failed == (code in (4, 5, 7, 9, 18, 19, 20))
    if result.stop.restored:
        assert values(result) == [1.0, 1.0] and result.final == result.start


def values(result: Result) -> list[float]:
    return list(result.model.cell_values().values())


def test_interrupt_is_code_6(tmp_path: Path) -> None:
    def stop(row: Iteration) -> None:
        if row.iteration == 3:
            raise KeyboardInterrupt

    result = xl2torch.fit(stored(tmp_path, ROSENBROCK), on_iteration=stop)
    assert result.stop.code == 6 and result.final < result.start


def knapsack(folder: Path, **options: str) -> SheetModel:
    """Thirty things whose values and weights are alike: many subproblems."""
    count = 30
    cells = [f"A{n} {(n * 37) % 29 + 50}\nC{n} {(n * 53) % 31 + 50}\nB{n} 0"
             for n in range(1, count + 1)]  # fmt: skip
    cells += [f"B40 =SUMPRODUCT(A1:A{count},B1:B{count})",
              f"B41 =SUMPRODUCT(C1:C{count},B1:B{count})"]  # fmt: skip
    area = f"$B$1:$B${count}"
    names = solver(
        "$B$40", area, sense=1, options=options,
        constraints=[("$B$41", "1", "901"), (area, "5", '"binary"')],
    )  # fmt: skip
    book = write(folder / "b.xlsx", parts("\n".join(cells), names=names))
    return xl2torch.compile(xl2torch.load(book))


def test_a_chosen_integer_tolerance_is_code_14(tmp_path: Path) -> None:
    exact = xl2torch.fit(knapsack(tmp_path, tol="0.01"))  # Excel's default: nobody chose it
    loose = xl2torch.fit(knapsack(tmp_path, tol="0.2"))
    assert (exact.stop.code, loose.stop.code) == (0, 14)
    assert exact.final * 0.8 <= loose.final <= exact.final


def test_a_limit_of_subproblems_is_code_16(tmp_path: Path) -> None:
    assert xl2torch.fit(knapsack(tmp_path, nod="0")).stop.code == 16


def split(folder: Path, sense: int) -> SheetModel:
    """A market split of 30 binary cells, which has no end in a test's time; 100 is added."""
    random = np.random.default_rng(1)
    lines = [f"B{row} 0" for row in range(1, 31)]
    lines += [f"{letter}{row} {number}" for letter in "CDEF"
              for row, number in enumerate(random.integers(0, 100, 30), 1)]  # fmt: skip
    sign = "" if sense == 2 else "-"
    shares = "+".join(f"ABS(SUMPRODUCT(B1:B30,{c}1:{c}30)-SUM({c}1:{c}30)/2+0.5)" for c in "CDEF")
    names = solver(objective="$G$1", variables="$B$1:$B$30", sense=sense,
                   constraints=[("$B$1:$B$30", "5", '"binary"')])  # fmt: skip
    table = "\n".join([*lines, f"G1 =100{sign or '+'}({shares})"])
    return xl2torch.compile(xl2torch.load(write(folder / "s.xlsx", parts(table, names=names))))


@pytest.mark.slow
@pytest.mark.parametrize("sense", [1, 2])
def test_a_search_for_whole_numbers_tells_where_it_stands(sense: int, tmp_path: Path) -> None:
    seen: list[Bounding] = []
    result = xl2torch.fit(split(tmp_path, sense), max_time=3, on_bound=seen.append)
    assert result.stop.code in (0, 10) and seen
    last = seen[-1]
    worse = last.objective - last.bound if sense == 2 else last.bound - last.objective
    assert worse >= -1e-9 and abs(last.objective - 100) <= 1e4 and last.nodes >= 0
    better = result.final - last.objective if sense == 2 else last.objective - result.final
    assert better <= 1e-6


def test_a_tolerance_that_is_asked_for(tmp_path: Path) -> None:
    result = xl2torch.fit(split(tmp_path, 2), max_time=30, tolerance=0.5)
    assert result.stop.code == 14 and "`tolerance=0`" in result.message
    with pytest.raises(SelectionError, match="`tolerance` is a number at least 0"):
        xl2torch.fit(split(tmp_path, 2), tolerance=2)


def test_integers_can_be_ignored(tmp_path: Path) -> None:
    relaxed = xl2torch.fit(knapsack(tmp_path, rlx="1"))
    numbers = values(relaxed)
    assert relaxed.final > xl2torch.fit(knapsack(tmp_path)).final
    assert all(-1e-9 <= number <= 1 + 1e-9 for number in numbers)
    assert any(0.01 < number < 0.99 for number in numbers)


def test_all_messages_are_provoked_here() -> None:
    assert {*CASES, 6, 14, 16, SET_IN_PYTHON} == set(MESSAGES)


def test_which_constraints_and_cells_are_told(tmp_path: Path) -> None:
    infeasible = xl2torch.fit(stored(tmp_path, *CASES[5][:1], **CASES[5][1]))  # type: ignore[arg-type]
    assert "Model!B4 >= 5; Model!B4 <= 4" in infeasible.message
    unbounded = xl2torch.fit(stored(tmp_path, "B1-0*B2+5"))
    assert "Model!B1 can change without end" in unbounded.message
    error = xl2torch.fit(stored(tmp_path, "B1^2+B4\nLN(B2)"), "sgd", lr=0.9)
    assert error.stop.code == 9 and "Model!B4: =LN(B2)" in error.message


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ([("$B$1:$B$2", "6", '"AllDifferent"')], "alldifferent is not supported"),
        ([CUT], "integers in a nonlinear model"),
    ],
)
def test_what_is_refused(
    constraints: list[tuple[str, str, str]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words):
        xl2torch.fit(stored(tmp_path, "B1^2+B2^2", constraints=constraints))


@pytest.mark.parametrize(
    ("formulas", "constraints", "code", "words"),
    [
        ("B1^2+B2^2\nA9", [("$B$4", "3", "2")], 5, "No variable cell moves Model!B4 >= 2"),
        ("B1^2+B2^2\nB1^2", [("$B$4", "1", "-1")], 5, "Model!B4 <= -1 (by"),
        ("1E9*B1*B2\n3*B1+7*B2", [("$B$4", "1", "5000000"), ("$B$1:$B$2", "3", "0")], 0, ""),
    ],
)
def test_far_and_impossible(
    formulas: str, constraints: list[tuple[str, str, str]], code: int, words: str, tmp_path: Path
) -> None:
    sense = 1 if code == 0 else 2
    result = xl2torch.fit(stored(tmp_path, formulas, constraints=constraints, sense=sense))
    assert result.stop.code == code and words in result.message, result.message


def test_a_limit_before_the_constraints_are_kept_is_no_answer(tmp_path: Path) -> None:
    model = stored(tmp_path, "B1^2+B2^2\nB1^3+B2^3", constraints=[("$B$4", "2", "5000")])
    result = xl2torch.fit(model, epochs=1)
    assert result.stop.code == 3 and result.stop.failed and "not all kept" in result.message


def test_all_cells_held(tmp_path: Path) -> None:
    held = [("$B$1:$B$2", "2", "4")]
    assert xl2torch.fit(stored(tmp_path, "B1^2+B2\nB1+B2", constraints=held)).final == 20.0
    broken = [*held, ("$B$4", "3", "9")]
    assert xl2torch.fit(stored(tmp_path, "B1^2+B2\nB1+B2", constraints=broken)).stop.code == 5


@pytest.mark.parametrize(
    "factor", ["INDEX({5,7,9},B1)", "ROUND(B1,0)", "IF(B1>1.5,2,3)", "CHOOSE(B1,3,4,5)"]
)
def test_cells_that_move_the_objective_in_steps_are_told(factor: str, tmp_path: Path) -> None:
    result = xl2torch.fit(stored(tmp_path, f"{factor}*B2^2-B2", (2.0, 5.0)))
    assert any("moves with Model!B1 in steps only" in text for text in result.remarks)


def test_cells_that_are_not_felt_and_a_plateau_are_told(tmp_path: Path) -> None:
    dead = xl2torch.fit(stored(tmp_path, "(MAX(0,B1)-3)^2+(B2-1)^2", (-1.0, 5.0)))
    assert any("does not feel Model!B1:" in text for text in dead.remarks)
    flat = stored(tmp_path, "1/(1+EXP(-B1))+1/(1+EXP(-B2))", (8.0, 8.0))
    slow = xl2torch.fit(flat, "sgd", epochs=100)
    assert any(text.startswith("a plateau") for text in slow.remarks)


def test_a_constraint_that_is_an_error_everywhere(tmp_path: Path) -> None:
    """No point keeps it, and none is the best: the start stays, and can be saved."""
    model = stored(tmp_path, "B1^2+B2^2\n(-1-B1^2)^0.5+B2", constraints=[("$B$4", "1", "3")])
    for epochs in (3, None):
        result = xl2torch.fit(model, "slsqp", epochs=epochs)
        assert result.stop.failed and result.weights["b1_b2"].tolist() == values(result)
        xl2torch.save(result, tmp_path / "out.xlsx", force=True)


QUOTED = '""COMPUTED_VALUE""'
"""As Google writes it: a text within the text."""


def google(formula: str, value: float) -> str:
    return f'=IFERROR(__xludf.DUMMYFUNCTION("{formula}"),{value}) | {value}'


def test_a_last_value_of_google_sheets_is_told(tmp_path: Path) -> None:
    table = f"A1 1\nA2 {google('GOOGLEFINANCE(1)', 42)}\nA3 =(A1*A2-84)^2 | 1764"
    path = write(tmp_path / "b.xlsx", parts(table, names=""))
    result = xl2torch.fit(xl2torch.compile(path, objective="A3", variables="A1"))
    assert result.final == pytest.approx(0, abs=1e-9)
    assert any("Model!A2: formulas of Google Sheets" in remark for remark in result.remarks)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (f"A1 1\nA2 {google('SPLIT(A1,1)', 42)}\nA3 =(A1*A2-84)^2 | 1764",
         r"A2.*formula of Google Sheets, SPLIT\(A1,1\), .* write it in Excel's functions"),
        (f"A1 1\nA2 {google('SPLIT(A1,1)', 42)}\nA3 =(A1*B2-84)^2 | 1764\n"
         f"B2 {google('COMPUTED_VALUE', 7)}", "B2: .* which may be Model!A2"),
        (f"A1 1\nA2 {google('SPLIT(A1,1)', 42)}\nA3 =(A1*B2-84)^2 | 1764\n"
         f"B2 {google(QUOTED, 7)}", "B2: .* which may be Model!A2"),
        (f"A1 1\nA2 {google('SUM({{A1;A1}})', 42)}\nA3 =(A1*A2-84)^2 | 1764", "Google Sheets"),
        (f"A1 1\nA2 {google('SUM(A1:A)+SUM(B1:B)', 42)}\nA3 =(A1*A2-84)^2 | 1764", "Google"),
    ],
)  # fmt: skip
def test_a_value_of_google_sheets_that_would_change_is_refused(
    table: str, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "b.xlsx", parts(table, names=""))
    with pytest.raises((ModelError, UnsupportedError), match=words):
        xl2torch.compile(path, objective="A3", variables="A1")


def test_a_number_of_its_own_row_is_no_circle(tmp_path: Path) -> None:
    table = f"A1 2\nA2 {google('ARRAYFORMULA(ROW(A2:A)-1)', 1)}\nA3 =(A1*A2-84)^2 | 6724"
    path = write(tmp_path / "b.xlsx", parts(table, names=""))
    assert xl2torch.compile(path, objective="A3", variables="A1")().item() == 82.0**2


def test_errors_among_trained_cells_spoil_no_slope(tmp_path: Path) -> None:
    """A typed #N/A in a column of variable cells, caught by IFERROR."""
    table = "\n".join(
        ["A1 0.25", "A2 1", "A3 2", "A4 #N/A", "C1 1.5",
         *(f"B{r} =IFERROR(A{r}*$C$1,100) | 1" for r in range(1, 5)),
         "D1 =(SUM(B1:B4)-90)^2+(A2-2)^2 | 1"]
    )  # fmt: skip
    path = write(tmp_path / "b.xlsx", parts(table, names=""))
    model = xl2torch.compile(path, objective="D1", variables="C1,A2")
    slopes = torch.autograd.grad(model(), list(model.parameters()))
    assert [slope.item() for slope in slopes] == pytest.approx([96.6875, 42.625])
    assert xl2torch.fit(model).final == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("optimizer", ["least-squares", "lbfgs", "l-bfgs-b", "slsqp"])
def test_slopes_that_are_no_numbers_are_no_solution(
    optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an engine makes of the zeros that stand for them."""
    mend = Loss.mend_gradients

    def spoiled(self: Loss) -> None:
        mend(self)
        self.lost_slopes = True

    monkeypatch.setattr(Loss, "mend_gradients", spoiled)
    result = xl2torch.fit(stored(tmp_path, "(B1-3)^2+(B2-4)^2+5"), optimizer)
    assert "Some slopes of the objective are no numbers" in result.message


def kinetics(folder: Path, vmax: float, km: float) -> SheetModel:
    """v = Vmax·S/(Km+S) at concentrations of about 1e-6, as Michaelis and Menten write it."""
    seen = [(1e-6, 0.41), (2e-6, 0.656), (4e-6, 1.005), (8e-6, 1.33), (16e-6, 1.596), (3e-5, 1.77)]
    lines = [f"A{r} {s!r}\nB{r} {v}\nC{r} =$E$1*A{r}/($E$2+A{r})\nD{r} =(B{r}-C{r})^2"
             for r, (s, v) in enumerate(seen, 1)]  # fmt: skip
    table = "\n".join([f"E1 {vmax!r}\nE2 {km!r}\nE3 =SUM(D1:D6)", *lines])
    path = write(folder / "b.xlsx", parts(table, names=""))
    return xl2torch.compile(path, objective="E3", variables="E1:E2")


def test_data_of_other_sizes_are_told_where_steps_follow_the_gradient(tmp_path: Path) -> None:
    result = xl2torch.fit(kinetics(tmp_path, 1.0, 1.0), "adam", epochs=20)
    assert any("Model!A1:A6 about 6e-06, Model!B1:B6 about 1." in item for item in result.remarks)
    best = xl2torch.fit(kinetics(tmp_path, 1.0, 1.0))
    assert best.final < 1e-3 and not any("size" in item for item in best.remarks)


def test_cells_that_the_data_do_not_determine_are_named(tmp_path: Path) -> None:
    model = kinetics(tmp_path, 3e8, 2905.0)
    words = undetermined(model, torch.tensor([3e8, 2905.0], dtype=torch.float64))
    assert words.startswith("Model!E1:E2 are not determined one by one")
    assert xl2torch.fit(kinetics(tmp_path, 1.0, 1e-6), dtype="float32").final < 0.01
    assert undetermined(model, torch.tensor([2.0, 4e-6], dtype=torch.float64)) == ""
