"""Maxima and absolute values of nonlinear formulas: SLSQP on a program without kinks.

Each becomes a variable that is not below what it is the largest of (the epigraph form: Boyd and
Vandenberghe, Convex Optimization, 2004, 4.3), where the objective is a sum of them that only gets
worse as one grows. A method that follows slopes stands still in the valley of a kink; this program
has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from xl2torch.analysis.piecewise_linear import Kink, find_kinks, is_tight, without_kinks
from xl2torch.analysis.residuals import has_kink
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import VectorFunction, jacobian
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.loss import Loss
from xl2torch.training.record import Record
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers
from xl2torch.training.stopping import Stop

_MOST_VARIABLES = 400
"""A step of SLSQP costs their number cubed."""
_RESTARTS = 8
_BETTER = 1e-10
_TOLERANCE = 1e-15
_ACTIVE = 1e-7
_REST = 1e-5
"""Share of the slope that no combination of limits explains, at which a point is no optimum."""


@dataclass(frozen=True, eq=False)
class Epigraph:
    """The program of a model with a variable for each of ``count`` kinks.

    ``function`` of the variable cells, then these, gives the objective, then what is not to be
    above 0.
    """

    model: SheetModel
    kinks: tuple[Kink, ...]
    function: VectorFunction
    count: int

    def values(self) -> torch.Tensor:
        """What the kinks are at the model's present parameters."""
        reader = _Reader(self.model, [kink.node for kink in self.kinks])
        with torch.no_grad():
            reader.run()
        return torch.cat([reader.seen[kink.node].reshape(-1) for kink in self.kinks])


class _Reader(fx.Interpreter):
    """Runs a program and keeps the values of some nodes."""

    def __init__(self, module: fx.GraphModule, nodes: list[fx.Node]) -> None:
        super().__init__(module)
        self.wanted = set(nodes)
        self.seen: dict[fx.Node, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> torch.Tensor:
        found: torch.Tensor = super().run_node(n)
        if n in self.wanted:
            self.seen[n] = found.detach()
        return found


def find_epigraph(model: SheetModel) -> Epigraph | None:
    """The epigraph form of an objective; None where it has no kinks, or others than convex ones."""
    if model.problem.sense in ("value", "feasible") or model.drawn:
        return None
    kinks = find_kinks(model)
    if not kinks:
        return None
    module, shapes, signs = without_kinks(model, kinks)
    width = sum(variable.start.numel() for variable in model.variables)
    if not len(signs) or width + len(signs) > _MOST_VARIABLES:
        return None
    if any(has_kink(node) for node in module.graph.nodes):
        return None  # of another kind
    found = Epigraph(model, tuple(kinks), VectorFunction(module, shapes), len(signs))
    sense = -1.0 if model.problem.sense == "max" else 1.0
    point = torch.cat([model.parameter(v).detach().reshape(-1) for v in model.variables])
    at = torch.cat([point, found.values()])
    generator = torch.Generator().manual_seed(0)
    aside = at + 0.01 * torch.rand(len(at), generator=generator, dtype=at.dtype) * at.abs()
    first, other = (jacobian(found.function, place).numpy() for place in (at, aside))
    if not (np.isfinite(first).all() and np.allclose(first[:, width:], other[:, width:])):
        return None  # what is no plain sum of kinks may want one larger
    return found if is_tight(sense * first[0], first[1:], signs, width) else None


def solve_epigraph(
    epigraph: Epigraph, loss: Loss, constraints: Constraints, record: Record
) -> Stop:
    """As small as can be, by SLSQP. Raises Stopped."""
    optimal = False
    for _ in range(_RESTARTS):
        before = record.best
        optimal = _SlsqpRun(epigraph, loss, constraints, record).solve()
        record.restore()
        loss.evaluate()
        if not record.best < before - _BETTER * max(abs(before), 1e-300):
            break
    if optimal:
        return Stop(0)
    return Stop(2, "There are kinks (MAX, ABS, IF) at the best point that was met: other start "
                   "values (`starts=20`) may find a better one.")  # fmt: skip


class _SlsqpRun:
    """One run of SLSQP, with the scales of the point where it begins."""

    def __init__(
        self, epigraph: Epigraph, loss: Loss, constraints: Constraints, record: Record
    ) -> None:
        self.epigraph = epigraph
        self.constraints = constraints
        self.record = record
        self.free = FreeVariables(loss, scaled=True)
        loss.move(self.free.point(self.free.start))
        kinks = epigraph.values()
        self.units = kinks.abs().clamp_min(1e-3 * float(kinks.abs().max()) or 1.0)
        self.start = np.append(self.free.start, (kinks / self.units).numpy())
        self.sense = -1.0 if loss.model.problem.sense == "max" else 1.0
        self.size = max(abs(loss.value), 1e-300)
        general = constraints.general
        relations = [constraints.limits[place].relation for place in general]
        signs = {"<=": -1.0, ">=": 1.0, "=": 1.0}
        self.signs = torch.tensor([signs[item] for item in relations], dtype=torch.float64)
        self.equal = np.array([item == "=" for item in relations], dtype=bool)

    def _point(self, numbers: Numbers) -> torch.Tensor:
        """All variable cells, and the variables of the kinks."""
        own = torch.from_numpy(numbers[len(self.free) :]) * self.units
        return torch.cat([self.free.point(numbers[: len(self.free)]), own])

    def _rows(self, at: torch.Tensor) -> torch.Tensor:
        """The objective, what is not to be below 0, and the constraints of the model."""
        found = self.epigraph.function(at)
        parts = [self.sense * found[:1], -found[1:]]
        if len(self.signs):
            cells = at[: len(at) - self.epigraph.count]
            parts.append(self.signs * self.constraints.general_excess(cells))
        return torch.cat(parts) / self.size

    def _values(self, numbers: Numbers) -> Numbers:
        with torch.no_grad():
            return np.asarray(torch.nan_to_num(self._rows(self._point(numbers)), nan=1e10).numpy())

    def _slopes(self, numbers: Numbers) -> Numbers:
        found = torch.nan_to_num(jacobian(self._rows, self._point(numbers)))
        cells = found.shape[1] - self.epigraph.count
        return np.hstack([self.free.slopes(found[:, :cells]), found[:, cells:] * self.units])

    def solve(self) -> bool:
        """Run, note the ways and the end, and say whether it is an optimum."""
        from scipy.optimize import minimize

        equal = np.append(np.zeros(self._count, dtype=bool), self.equal)
        kinds = [("eq", equal), ("ineq", ~equal)]
        limits = [
            {
                "type": kind,
                "fun": lambda x, chosen=chosen: self._values(x)[1:][chosen],
                "jac": lambda x, chosen=chosen: self._slopes(x)[1:][chosen],
            }
            for kind, chosen in kinds if chosen.any()
        ]  # fmt: skip

        def arrive(numbers: Numbers) -> None:
            self.record.arrive(self.free.point(numbers[: len(self.free)]))
            self.record.check()

        endless = np.full(self.epigraph.count, np.inf)
        lower, upper = self.free.bounds
        bounds = [np.append(lower, -endless), np.append(upper, endless)]
        with np.errstate(all="ignore"):
            found = minimize(
                lambda x: self._values(x)[0], self.start, jac=lambda x: self._slopes(x)[0],
                method="SLSQP", bounds=np.transpose(bounds), constraints=limits, callback=arrive,
                options={"ftol": _TOLERANCE, "maxiter": self.record.left + 1},
            )  # fmt: skip
        numbers = np.asarray(found.x)
        self.record.arrive(self.free.point(numbers[: len(self.free)]))
        return self._is_optimal(numbers, bounds, equal)

    @property
    def _count(self) -> int:
        """How many limits the kinks have."""
        with torch.no_grad():
            return len(self.epigraph.function(self._point(self.start))) - 1

    def _is_optimal(self, numbers: Numbers, bounds: list[Numbers], equal: np.ndarray) -> bool:
        """Whether the slope of the objective is a sum of slopes of limits that are reached."""
        from scipy.optimize import nnls

        values, slopes = self._values(numbers), self._slopes(numbers)
        reached = slopes[1:][(np.abs(values[1:]) <= _ACTIVE) | equal]
        unit = np.eye(len(numbers))
        sides = [unit[numbers <= bounds[0] + _ACTIVE], -unit[numbers >= bounds[1] - _ACTIVE]]
        both = slopes[1:][equal]
        columns = np.vstack([reached, *sides, -both]).T
        if not columns.size:
            return bool(np.linalg.norm(slopes[0]) <= _REST)
        lengths = np.linalg.norm(columns, axis=0)
        columns = columns[:, lengths > 0] / lengths[lengths > 0]
        _, left = nnls(columns, slopes[0])
        return bool(left <= _REST * max(float(np.linalg.norm(slopes[0])), 1e-300))
