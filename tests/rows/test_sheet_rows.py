"""Loops in plain torch: batches of the sheet's rows, and predictions of columns."""

from __future__ import annotations

import math
from pathlib import Path

import pandas
import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import grid
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

import xl2torch
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import SheetModel

SURVIVAL = WORKBOOKS / "survival.xlsx"


def test_all_rows_are_the_objective() -> None:
    model = xl2torch.compile(SURVIVAL)
    rows = model.rows()
    assert rows.objective(*rows[:]).item() == pytest.approx(model().item(), rel=1e-12)
    assert {id(item) for item in rows.objective.parameters()} <= {
        id(item) for item in model.parameters()
    }
    assert rows.names == ("age_80", "survived") and rows.column("age_80").shape == (300, 4)
    with pytest.raises(SelectionError, match="they have age_80, survived"):
        rows.column("speed")
    assert f"{len(rows)} rows" in repr(rows) and "mean" in repr(rows.objective)


def test_a_loop_of_batches_is_that_of_fit() -> None:
    """The same order and optimizer: the same weights after three epochs."""
    ours, theirs = xl2torch.compile(SURVIVAL), xl2torch.compile(SURVIVAL)
    xl2torch.fit(ours, "sgd", lr=0.1, epochs=3, batch_size=4, shuffle=False)
    last = [ours.parameter(variable).detach() for variable in ours.variables]
    rows = theirs.rows()
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    best, kept = float("inf"), last
    for _ in range(3):
        for batch in DataLoader(rows, batch_size=4):
            optimizer.zero_grad()
            torch.autograd.backward(rows.objective(*batch))
            optimizer.step()
        reached = theirs().item()
        if reached < best:
            best, kept = reached, [p.detach().clone() for p in theirs.parameters()]
    for found, wanted in zip(last, kept, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_batches_at_once_are_batches_of_samples() -> None:
    rows = xl2torch.compile(SURVIVAL).rows()
    sampler = BatchSampler(SequentialSampler(rows), 4, drop_last=False)
    at_once = list(DataLoader(rows, sampler=sampler, batch_size=None))
    one_by_one = list(DataLoader(rows, batch_size=4))
    assert len(at_once) == len(one_by_one) == -(-len(rows) // 4)
    for first, second in zip(at_once, one_by_one, strict=True):
        assert rows.objective(*first).item() == rows.objective(*second).item()


@requires_corpus
@pytest.mark.parametrize("sheet", ["nnet", "mmult", "linear"])
def test_rows_of_public_sheets(sheet: str) -> None:
    model = xl2torch.compile(CORPUS / "fastai-2022" / "titanic.xlsx", sheet)
    rows = model.rows()
    assert rows.objective(*rows[:]).item() == pytest.approx(model().item(), rel=1e-12)
    halves = [rows.objective(*rows[torch.arange(first, len(rows), 2)]) for first in (0, 1)]
    assert torch.stack(halves).mean().item() == pytest.approx(model().item(), rel=1e-9)


@requires_corpus
@pytest.mark.parametrize("sheet", ["nnet", "mmult", "linear"])
def test_rows_of_a_frame_are_those_of_the_sheet(sheet: str) -> None:
    """The raw table of titanic, through the sheet's own formulas."""
    path = CORPUS / "fastai-2022" / "titanic.xlsx"
    model = xl2torch.compile(path, sheet)
    raw = pandas.read_excel(path, sheet_name="all_rows")
    raw = raw[raw.Age.notna() & raw.Embarked.notna()]
    found, own = model.rows(raw), model.rows()
    assert len(found) == len(own) == 712
    for ours, theirs in zip(found[:], own[:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    few = model.rows(raw.iloc[:50])
    assert few.objective(*few[:]).item() == pytest.approx(own.objective(*own[:50]).item(), 1e-9)


def curve(folder: Path, error: str = "=(B{r}-C{r})^2") -> SheetModel:
    """y = a·x/2 + b over six rows, of which one is blank."""
    rows = [f"{r} {3 * r} =$E$1*A{r}/2+$E$2 {error.format(r=r)}" for r in (2, 3, 4)]
    rows += [". ."] + [f"{r} {2 * r} =$E$1*A{r}/2+$E$2 {error.format(r=r)}" for r in (6, 7)]
    rows[0] += " 0.5"
    text = "\n".join(["x y fit e 2 =SUM(D2:D7)", *rows])
    return xl2torch.compile(grid(folder, text), objective="F1", variables="E1:E2")


def test_rows_of_ones_own_frame(tmp_path: Path) -> None:
    model = curve(tmp_path)
    rows = model.rows({"x": [1, 2.5], "y": [4, True], "other": ["a", "b"]})
    assert rows.objective(*rows[:]).item() == pytest.approx((4 - 1.5) ** 2 + (1 - 3) ** 2)
    assert rows.objective(*rows[[1]]).item() == pytest.approx(4.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in DataLoader(rows, 1):
        optimizer.zero_grad()
        torch.autograd.backward(rows.objective(*batch))
        optimizer.step()
    assert rows.objective(*rows[:]).item() < 10.25


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"x": [1.0]}, "no column y"),
        ({"x": [1.0], "y": [None]}, "y is blank in a row"),
        ({"x": [1.0], "y": ["no"]}, "'no', where the sheet's column holds numbers"),
        ([1.0], "a DataFrame or a dict"),
    ],
)
def test_a_frame_that_does_not_fit_is_told(frame: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=words):
        curve(tmp_path).rows(frame)  # type: ignore[arg-type]


def test_rows_that_count_themselves_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="something else of a row on its own than in the sheet"):
        curve(tmp_path, "=(B{r}-C{r})^2*ROW()").rows({"x": [1.0], "y": [2.0]})


def test_columns_that_are_equal_by_chance_are_told(tmp_path: Path) -> None:
    """Equal columns are one in the program: in a frame they may differ."""
    lines = [f"{r} {r} {3 * r} =$E$1*A{r}+$E$2 =(C{r}-D{r})^2*B{r}" for r in (3, 4, 5, 6)]
    text = "\n".join([". . . . 2", "x w y fit e", *lines]).replace("E$", "G$")
    lines = text.splitlines()
    text = "\n".join([lines[0] + " . 2", lines[1] + " . 0.5", *lines[2:], "=AVERAGE(E3:E6)"])
    model = xl2torch.compile(grid(tmp_path, text), objective="A7", variables="G1:G2")
    same = model.rows({"x": [1.0, 5.0], "w": [1.0, 5.0], "y": [2.0, 3.0]})
    assert same.objective(*same[:]).item() == pytest.approx((0.25 + 5 * 7.5**2) / 2)
    with pytest.raises(ModelError, match="equal in the sheet differ in the frame"):
        model.rows({"x": [1.0, 5.0], "w": [2.0, 5.0], "y": [2.0, 3.0]})


@pytest.mark.parametrize(
    "objective",
    ['SUMIF(B3:B6,">0",E3:E6)', "SUMPRODUCT((B3:B6>0)*E3:E6)",
     "SUMIF(B3:B6,1,E3:E6)/COUNTIF(B3:B6,1)", "AVERAGEIF(B3:B6,1,E3:E6)", "SUMIFS(E3:E6,B3:B6,1)"],
)  # fmt: skip
def test_a_column_that_says_which_rows_count_is_told(objective: str, tmp_path: Path) -> None:
    """All rows of the sheet count: the program does not know of the column any more."""
    lines = [f"{r} 1 {3 * r} =$G$1*A{r}+$G$2 =(C{r}-D{r})^2" for r in (3, 4, 5, 6)]
    text = "\n".join([". . . . . . 2", "x use y fit e . 0.5", *lines, f"={objective}"])
    model = xl2torch.compile(grid(tmp_path, text), objective="A7", variables="G1:G2")
    with pytest.raises(ModelError, match=r"it reads S!B3:B6 beside S!\w+:\w+"):
        model.rows({"x": [1.0], "use": [0.0], "y": [2.0]})


def test_sums_alone_tell_no_equal_columns_apart(tmp_path: Path) -> None:
    lines = [f"{r} {r} =$G$1*A{r}+$G$2*B{r}" for r in (3, 4, 5, 6)]
    text = "\n".join([". . . . . . 2", "x w e . . . 0.5", *lines, "=SUM(C3:C6)"])
    model = xl2torch.compile(grid(tmp_path, text), objective="A7", variables="G1:G2")
    with pytest.raises(ModelError, match="differ in the frame"):
        model.rows({"x": [1.0, 2.0, 3.0], "w": [3.0, 1.0, 2.0]})  # the same sum


def test_an_objective_without_rows_is_told(tmp_path: Path) -> None:
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-3)^2"), objective="B1", variables="A1")
    with pytest.raises(ModelError, match="no sum or mean over rows"):
        model.rows()


# ---------------------------------------------------------------- predictions as a module


def test_the_predictor_trains_the_model() -> None:
    """A loss of the user's own, over the module of predictions: the model has the weights."""
    model = xl2torch.compile(SURVIVAL)
    predictor = model.predictor()
    assert isinstance(predictor, torch.nn.Module)
    assert dict(predictor.named_parameters()).keys() == dict(model.named_parameters()).keys()
    columns = predictor.sheet()
    assert set(columns) == set(predictor.inputs) and "Age" in predictor.headers.values()
    before, first = model().item(), predictor(**columns)
    optimizer = torch.optim.Adam(predictor.parameters(), lr=0.01)
    target = torch.ones_like(first)
    for _ in range(5):
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.mse_loss(predictor(**columns), target))
        optimizer.step()
    assert model().item() != before
    frame = model.predict({predictor.headers[name]: values.numpy()
                           for name, values in columns.items()})  # fmt: skip
    found = predictor(*columns.values()).detach()
    assert frame.iloc[:, -1].to_numpy() == pytest.approx(found.numpy(), rel=1e-12)


def test_a_predictor_that_was_made_before_the_training_has_its_weights() -> None:
    model = xl2torch.compile(SURVIVAL)
    predictor = model.predictor()
    xl2torch.fit(model, epochs=5)
    columns = predictor.sheet()
    wanted = model.predict({predictor.headers[name]: item for name, item in columns.items()})
    found = predictor(**columns).detach().numpy()
    assert found == pytest.approx(wanted.iloc[:, -1].to_numpy(), rel=1e-9)


def test_columns_by_another_name_are_told() -> None:
    predictor = xl2torch.compile(SURVIVAL).predictor()
    columns = predictor.sheet()
    name, values = columns.popitem()
    with pytest.raises(SelectionError, match=f"{name} is missing; speed is none of them"):
        predictor(**columns, speed=values)
    assert repr(predictor).startswith("ColumnPredictor(")


@pytest.mark.parametrize(
    "formula",
    ["=IF(ISNUMBER(A{r}),$A$1,$B$1)", "=IF(ISNUMBER(A{r}),$A$1,$B$1)+B{r}",
     "=$A$1*A{r}+$B$1*NOT(ISBLANK(B{r}))", "=$A$1*(A{r}-AVERAGE(A$3:A$8))+$B$1"],
)  # fmt: skip
def test_the_predictor_takes_any_number_of_rows(formula: str, tmp_path: Path) -> None:
    rows = [f"{r * 7 % 11} {r * 5 % 7} {formula.format(r=r)} =(C{r}-B{r})^2" for r in range(3, 9)]
    text = "\n".join(["0.5 0.25 =AVERAGE(D3:D8)", "x y pred e", *rows])
    model = xl2torch.compile(grid(tmp_path, text), objective="C1", variables="A1:B1")
    predictor = model.predictor()
    whole = predictor(**predictor.sheet())
    for count in (1, 2, 6):
        some = {name: value[:count] for name, value in predictor.sheet().items()}
        assert torch.equal(predictor(**some), whole[:count])
    twice = {name: value.repeat(2) for name, value in predictor.sheet().items()}
    assert torch.equal(predictor(**twice), whole.repeat(2))


@pytest.mark.parametrize(
    "heading", ["torch", "self", "inf", "nan", "device", "forward", "drawing", "class", "math"]
)
def test_a_heading_hides_no_name_of_the_program(heading: str, tmp_path: Path) -> None:
    """Headings become arguments: one named nan would be the error value."""
    fit = "=IF(A{r}>4,$E$1*LN(A{r}-4)+$E$2,NA())"
    lines = [f"{r} {3 * r} {fit.format(r=r)} =(B{r}-C{r})^2" for r in range(5, 9)]
    text = "\n".join([". . . . 2", ". . . . 0.5", "=SUM(D5:D8)", f"{heading}: y fit e", *lines])
    model = xl2torch.compile(grid(tmp_path, text), objective="A3", variables="E1:E2")
    predictor = model.predictor()
    found = predictor(torch.tensor([3.0, 4.5, 6.0])).detach()
    assert torch.isnan(found[0]) and found[2].item() == pytest.approx(2 * math.log(2) + 0.5)
    assert list(predictor.headers.values()) == [f"{heading}:"]
