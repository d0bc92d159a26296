"""The program that the passes leave is the plain one: its value and its gradient, at any point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from corpus import CORPUS, SAMPLES

import xl2torch
from xl2torch.errors import Xl2TorchError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.solver_model import solver_models

BOOKS = (*SAMPLES, *sorted(CORPUS.glob("fastai-*/*.xlsx")))
SCALES = (0.0, 0.05, 0.5, 2.0)
"""How far from the start points lie."""


def stored() -> Iterator[tuple[Path, str]]:
    """Workbooks, and sheets of theirs that have a Solver model."""
    for path in BOOKS:
        try:
            workbook = xl2torch.load(path)
        except Xl2TorchError:
            continue
        for found in solver_models(workbook):
            yield path, found.sheet


CASES = list(stored())


def value_and_gradient(
    model: SheetModel, point: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    variables = {name: tensor.clone().requires_grad_() for name, tensor in point.items()}
    value = torch.func.functional_call(model, variables, ())
    slopes = torch.autograd.grad(
        value, list(variables.values()), allow_unused=True, materialize_grads=True
    )
    return value.detach(), slopes


@pytest.mark.parametrize(("path", "sheet"), CASES, ids=lambda item: getattr(item, "stem", item))
def test_at_the_start_and_at_random_points(
    path: Path, sheet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbook = xl2torch.load(path)
    try:
        model = xl2torch.compile(workbook, sheet).eval()
    except Xl2TorchError as refused:
        pytest.skip(str(refused))
    monkeypatch.setattr("xl2torch.model.sheet_model.simplify", lambda graph: graph)
    plain = xl2torch.compile(workbook, sheet).eval()
    generator = torch.Generator().manual_seed(3)
    for scale in SCALES:
        point = {
            variable.name: variable.start
            + scale * torch.randn(variable.start.shape, generator=generator, dtype=torch.float64)
            for variable in model.variables
        }
        wanted, slopes = value_and_gradient(plain, point)
        if not bool(torch.isfinite(wanted)):
            continue  # the sheet has no value there
        found, ours = value_and_gradient(model, point)
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
        for one, two in zip(ours, slopes, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-9)
