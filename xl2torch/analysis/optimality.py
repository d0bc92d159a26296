"""Whether a point is optimal: reduced gradients of variables, Lagrange multipliers of constraints.

They solve ∇f = Aᵀλ in the variables that are at no bound, A the gradients of the binding
constraints (the Karush-Kuhn-Tucker conditions: Nocedal and Wright, Numerical Optimization, 2006,
12.1). Both are plain derivatives of the best objective, by a bound of a variable that is at it, or
by the right side of a constraint; whether the objective is minimised or maximised changes no sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import VectorFunction, jacobian, variable_limits, variable_shapes
from xl2torch.model.problem import Problem

OPTIMAL = 1e-6
"""Largest slope along a free variable, times its size and relative to the objective, at which a
point counts as optimal."""

_ROUNDING = 1e-12
"""Share of the gradient that is rounding."""
Limits = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Optimality:
    """Derivatives of the best objective at a point.

    ``reduced`` gradients of all variable cells, ``multipliers`` of the constraints that are no mere
    bounds (``Constraints.general``). Where the point is not ``optimal``, the reduced gradient of a
    variable that is at no bound is the slope that is left. Multipliers are not ``unique`` where
    binding constraints depend on each other.
    """

    reduced: np.ndarray
    multipliers: np.ndarray
    optimal: bool
    unique: bool


def optimality(
    constraints: Constraints, point: torch.Tensor, limits: Limits | None = None
) -> Optimality:
    """Reduced gradients and multipliers at a point. Raises ModelError.

    ``limits`` are the lower and upper ones of all variable cells, else those of the problem.
    """
    model = constraints.model
    problem = model.problem
    model.eval()
    objective = VectorFunction(model, variable_shapes(model))
    value = float(objective(point).detach())
    gradient = jacobian(objective, point)[0].numpy()
    limits = variable_limits(model) if limits is None else limits
    at_bound = _at_bound(point, limits, constraints.precision)
    bound_signs = _signs_at_bounds(point, limits, _goes_down(problem, value))
    general = list(constraints.general)
    slopes = constraints.general_slopes(point).numpy()
    binding = constraints.binding(point).numpy()[general].astype(bool)
    multipliers = np.zeros(len(general))
    reached = problem.is_system or (problem.sense == "value" and constraints.reaches(value))
    unique = True
    if reached:  # whatever moves a little, the objective can be brought back to its target
        gradient = np.zeros_like(gradient)
    elif binding.any():
        free = slopes[np.ix_(binding, ~at_bound)]
        multipliers[binding] = _multipliers(
            slopes[binding], gradient, _signs(problem, constraints, general, value)[binding],
            at_bound, bound_signs,
        )  # fmt: skip
        shares = np.abs(multipliers) * np.linalg.norm(slopes, axis=1)
        multipliers[shares <= _ROUNDING * np.linalg.norm(gradient)] = 0.0
        unique = int(np.linalg.matrix_rank(free)) == len(free)
    reduced = gradient - slopes.T @ multipliers
    left = np.abs(reduced) * np.maximum(np.abs(point.numpy()), 1.0) / max(abs(value), 1.0)
    steep = ~(left <= OPTIMAL)  # a slope that is no number is none that is left at 0
    inside = reduced * bound_signs < 0  # the objective gets better on the way inside
    wrong = np.where(at_bound, steep & inside, steep)
    optimal = not (wrong & (not reached)).any()
    reduced = np.where(~at_bound & (left <= OPTIMAL), 0.0, reduced)
    return Optimality(reduced, multipliers, optimal, unique)


def _at_bound(point: torch.Tensor, limits: Limits, precision: float) -> np.ndarray:
    """Which variable cells are at a bound."""
    found = torch.zeros(len(point), dtype=torch.bool)
    for limit in limits:
        allowance = precision * limit.abs().clamp_min(1.0)
        found |= torch.isfinite(limit) & ((point - limit).abs() <= allowance)
    return found.numpy()


def _goes_down(problem: Problem, value: float) -> bool:
    """Whether a lower objective is a better one."""
    return problem.sense == "min" or (problem.sense == "value" and value > problem.target)


def _signs(
    problem: Problem, constraints: Constraints, general: list[int], value: float
) -> np.ndarray:
    """The sign that each multiplier can have at an optimum; 0 for any."""
    signs = {"<=": -1.0, ">=": 1.0, "=": 0.0}
    found = [signs[constraints.limits[place].relation] for place in general]
    return np.array(found) * (1.0 if _goes_down(problem, value) else -1.0)


def _signs_at_bounds(point: torch.Tensor, limits: Limits, goes_down: bool) -> np.ndarray:
    """The sign that the reduced gradient of a variable at a bound can have; 0 for any."""
    lower, upper = limits
    at_lower = (point - lower).abs() <= (point - upper).abs()
    signs = torch.where(at_lower, 1.0, -1.0) * (lower < upper)
    return np.asarray(signs.numpy() * (1.0 if goes_down else -1.0))


def _multipliers(
    slopes: np.ndarray, gradient: np.ndarray, signs: np.ndarray, at_bound: np.ndarray,
    bound_signs: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """λ with the signs asked for that makes Aᵀλ nearest to the gradient in the free variables.

    Where that leaves a variable at a bound with a slope that says it is not optimal, as can be at a
    degenerate point, such variables take part with what their bound allows.
    """
    scale = np.maximum(np.linalg.norm(slopes, axis=1), 1e-300)
    scaled = slopes.T / scale
    free = np.flatnonzero(~at_bound)
    found = _fitted(scaled[free], gradient[free], signs) if len(free) else np.zeros(len(slopes))
    left = (gradient - scaled @ found) * bound_signs
    wrong = at_bound & (left < -_ROUNDING * np.linalg.norm(gradient))
    if wrong.any():
        held = np.flatnonzero(at_bound)
        columns = np.hstack([scaled, np.eye(len(gradient))[:, held]])
        every = np.append(signs, bound_signs[held])
        found = _fitted(columns, gradient, every)[: len(slopes)]
    return np.asarray(found / scale)


def _fitted(matrix: np.ndarray, wanted: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Least squares with numbers of given signs; 0 for any."""
    from scipy.optimize import lsq_linear

    lower, upper = np.where(signs > 0, 0.0, -np.inf), np.where(signs < 0, 0.0, np.inf)
    return np.asarray(lsq_linear(matrix, wanted, (lower, upper), method="bvls").x)
