"""LAMBDAs of trained values: what is computed at once is what its steps give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from packages import parts, write

import xl2torch
from xl2torch.errors import UnsupportedError
from xl2torch.model.sheet_model import SheetModel


def model(folder: Path, formula: str) -> SheetModel:
    """B3 is a formula of the variable cell B1, which is 0.7."""
    path = write(folder / "book.xlsx", parts(f"B1 0.7\nB3 =SUM({formula})+B1 | 1", names=""))
    return xl2torch.compile(path, objective="B3", variables="B1")


@pytest.mark.parametrize("function", ["SCAN", "REDUCE"])
@pytest.mark.parametrize("array", ["SEQUENCE(5)", "SEQUENCE(1,5)", "SEQUENCE(2,3)", "SEQUENCE(1)"])
@pytest.mark.parametrize("start", ["0", "B1", "TRUE", ""])
@pytest.mark.parametrize(
    "term", ["a+b*B1", "b*B1+a", "a+b*B1+2", "B1^2+(a+b)", "a+IF(b>2,B1,b)", "a*B1+b"]
)
def test_a_running_sum_is_its_steps(
    function: str, array: str, start: str, term: str, tmp_path: Path
) -> None:
    at_once = model(tmp_path, f"{function}({start},{array},LAMBDA(a,b,{term}))")
    steps = model(tmp_path, f"{function}({start},{array},LAMBDA(a,b,({term})*1))")
    values = [item() for item in (at_once, steps)]
    torch.testing.assert_close(*values, rtol=1e-12, atol=0.0)
    slopes = [torch.autograd.grad(value, list(item.parameters()))[0]
              for value, item in zip(values, (at_once, steps), strict=True)]  # fmt: skip
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=0.0)


def test_a_long_running_sum_is_one_operation(tmp_path: Path) -> None:
    found = model(tmp_path, "SCAN(0,SEQUENCE(10000),LAMBDA(a,b,a+b*B1))")
    assert len(found.graph.nodes) < 30
    assert found().item() == pytest.approx(0.7 * (1 + 10_000 * 10_001 * 10_002 / 6))


def test_many_steps_of_trained_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"10,000 calls of LAMBDA .* with trained values"):
        model(tmp_path, "SCAN(0,SEQUENCE(10000),LAMBDA(a,b,a*B1+b))")
