"""Loops in plain torch: batches of the sheet's rows, and predictions of columns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import grid
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

import xl2torch
from xl2torch.errors import ModelError, SelectionError

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
