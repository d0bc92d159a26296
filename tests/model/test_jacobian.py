"""Jacobians: both modes give the same, and what differences give."""

from __future__ import annotations

import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus

import xl2torch
from xl2torch.analysis.residuals import find_residuals
from xl2torch.model import jacobian as module
from xl2torch.model.jacobian import VectorFunction, jacobian, present_point, variable_shapes


def test_known_derivatives() -> None:
    def vector(point: torch.Tensor) -> torch.Tensor:
        x, y = point
        return torch.stack([x * y, x**2, y.sin(), torch.ones_like(x)])

    point = torch.tensor([2.0, 0.0], dtype=torch.float64)
    expected = [[0, 2], [4, 0], [0, 1], [0, 0]]
    assert jacobian(vector, point).tolist() == expected
    assert jacobian(lambda p: vector(p)[:1], point).tolist() == expected[:1]
    assert jacobian(lambda p: torch.ones(3, dtype=p.dtype), point).tolist() == [[0, 0]] * 3


def test_a_function_without_a_forward_rule() -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: torch.autograd.function.FunctionCtx, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: torch.autograd.function.FunctionCtx, grad: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
            return grad * 3 * x**2  # type: ignore[no-any-return]

    def vector(point: torch.Tensor) -> torch.Tensor:
        cubes: torch.Tensor = Cube.apply(point)  # type: ignore[no-untyped-call]
        return torch.cat([cubes, cubes.sum()[None]])

    point = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert jacobian(vector, point).tolist() == [[3, 0], [0, 12], [3, 12]]


@pytest.mark.parametrize("name", ["line", "quadratic", "survival"])
def test_both_modes_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
    residuals = find_residuals(model)
    assert residuals is not None
    point = present_point(model)
    forward = jacobian(residuals.function, point)
    monkeypatch.setattr(module, "_AT_ONCE", 40)  # in many small parts
    assert torch.allclose(jacobian(residuals.function, point), forward, rtol=1e-12, atol=1e-12)
    rows = [
        jacobian(lambda p, n=n: residuals.function(p)[n : n + 1], point)  # type: ignore[misc]
        for n in range(len(forward))
    ]
    assert torch.allclose(torch.cat(rows), forward, rtol=1e-12, atol=1e-12)


@requires_corpus
def test_the_objective_is_a_function_of_all_cells() -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "fastai-2022" / "titanic.xlsx"), "mmult")
    objective = VectorFunction(model, variable_shapes(model))
    point = present_point(model)
    torch.autograd.backward(model())
    grads = [model.parameter(variable).grad for variable in model.variables]
    gradient = torch.cat([g.reshape(-1) for g in grads if g is not None])
    assert torch.allclose(jacobian(objective, point)[0], gradient, rtol=1e-10, atol=1e-14)
