"""The linear program of a linear model: its coefficients are derivatives, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import VectorFunction, jacobian, variable_limits, variable_shapes

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Minimise costs·x + ``constant`` where matrix·x is between ``least`` and ``most``, and x
    within bounds.

    Row k belongs to the k-th limit that is no mere bound; a last one may be that of a target.
    """

    costs: Numbers
    matrix: Numbers
    least: Numbers
    most: Numbers
    lower: Numbers
    upper: Numbers
    integer: NDArray[np.bool_]
    constant: float = 0.0


def linear_program(constraints: Constraints, point: torch.Tensor) -> LinearProgram:
    """The linear program of a model that is linear."""
    model = constraints.model
    objective = VectorFunction(model.eval(), variable_shapes(model))
    slopes = torch.cat([jacobian(objective, point), constraints.general_slopes(point)])
    values = torch.cat([objective(point), constraints.general_excess(point)]).detach()
    return assembled(constraints, slopes.numpy(), (values - slopes @ point).numpy())


def assembled(constraints: Constraints, slopes: Numbers, constants: Numbers) -> LinearProgram:
    """The linear program of an objective, the first row, and of limits that are no mere bounds.

    Columns behind those of the variable cells are variables without bounds. Costs change their sign
    for a maximum; those of a system of constraints are 0.
    """
    problem = constraints.model.problem
    costs, matrix, rest = slopes[0], slopes[1:], constants[1:]
    relations = np.array([constraints.limits[place].relation for place in constraints.general])
    least = np.where(relations == "<=", -np.inf, -rest)
    most = np.where(relations == ">=", np.inf, -rest)
    if problem.sense == "value":
        matrix = np.vstack([matrix, costs])
        least = np.append(least, problem.target - constants[0])
        most = np.append(most, problem.target - constants[0])
    sign = {"max": -1.0, "min": 1.0}.get(problem.sense, 0.0)
    lower, upper = (limit.numpy() for limit in variable_limits(constraints.model))
    free = np.full(len(costs) - len(lower), np.inf)
    return LinearProgram(
        sign * costs, matrix, least, most, np.append(lower, -free), np.append(upper, free),
        np.append(constraints.integer.numpy(), np.zeros(len(free), dtype=bool)),
        sign * float(constants[0]),
    )  # fmt: skip
