"""The linear program of a linear model: its coefficients are derivatives, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.constraints import Constraints
from xl2torch.jacobian import VectorFunction, jacobian, variable_limits, variable_shapes

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """Minimise costs·x where matrix·x is between ``least`` and ``most``, and x within bounds.

    Row k belongs to the k-th limit that is no mere bound; a last one may be that of a target.
    """

    costs: Numbers
    matrix: Numbers
    least: Numbers
    most: Numbers
    lower: Numbers
    upper: Numbers
    integer: NDArray[np.bool_]


def linear_program(constraints: Constraints, point: torch.Tensor) -> LinearProgram:
    """The linear program of a model that is linear; costs change their sign for a maximum.

    Those of a system of constraints are 0.
    """
    model = constraints.model
    problem = model.problem
    function = VectorFunction(model.eval(), variable_shapes(model))
    costs = jacobian(function, point)[0].numpy()
    matrix = constraints.general_slopes(point).numpy()
    rest = constraints.general_excess(point).detach().numpy() - matrix @ point.numpy()
    relations = np.array([constraints.limits[place].relation for place in constraints.general])
    least = np.where(relations == "<=", -np.inf, -rest)
    most = np.where(relations == ">=", np.inf, -rest)
    if problem.sense == "value":
        constant = float(function(point).detach()) - float(costs @ point.numpy())
        matrix = np.vstack([matrix, costs])
        least = np.append(least, problem.target - constant)
        most = np.append(most, problem.target - constant)
        costs = np.zeros_like(costs)
    lower, upper = (limit.numpy() for limit in variable_limits(model))
    sign = {"max": -1.0, "feasible": 0.0}.get(problem.sense, 1.0)
    return LinearProgram(
        sign * costs, matrix, least, most, lower, upper, constraints.integer.numpy()
    )
