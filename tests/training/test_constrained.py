"""Constrained models with known answers: objective, constraints, message, multipliers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from constrained_models import (
    HOCK_SCHITTKOWSKI,
    INTEGER,
    LINEAR,
    REDUNDANT,
    VALUE_OF,
    Known,
)

import xl2torch
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point

ALL = (REDUNDANT, *HOCK_SCHITTKOWSKI, *LINEAR, *INTEGER, *VALUE_OF)


@pytest.mark.parametrize("known", ALL, ids=lambda known: known.name)
def test_known_answers(known: Known, tmp_path: Path) -> None:
    model = xl2torch.compile(xl2torch.load(known.book(tmp_path)))
    result = xl2torch.fit(model)
    assert result.stop.code == known.code, result.message
    point = present_point(model)
    if math.isnan(known.best):
        assert point.tolist() == list(known.start)  # restored, as Solver does it
        return
    assert result.final == pytest.approx(known.best, rel=1e-6, abs=1e-6)
    constraints = Constraints(model)
    assert (constraints.violation(point) <= constraints.tolerance(point)).all()
    if known.point:
        assert point.tolist() == pytest.approx(known.point, abs=1e-4)
    if known.multipliers:
        found = xl2torch.report(result, "sensitivity")["constraints"]["derivative"]
        assert found.tolist() == pytest.approx(known.multipliers, rel=1e-4, abs=1e-6)
