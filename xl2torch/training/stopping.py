"""When to stop, and what Solver would say. Codes and texts are those of Excel's Solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SET_IN_PYTHON = -1
MESSAGES = {
    SET_IN_PYTHON: "Weights set in Python: no training was asked for.",
    0: "Solver found a solution. All constraints and optimality conditions are satisfied.",
    1: "Solver has converged to the current solution. All constraints are satisfied.",
    2: "Solver cannot improve the current solution. All constraints are satisfied.",
    3: "Stop chosen when the maximum iteration limit was reached.",
    4: "The Objective Cell values do not converge.",
    5: "Solver could not find a feasible solution.",
    6: "Solver stopped at user's request.",
    7: "The linearity conditions required by this LP Solver are not satisfied.",
    9: "Solver encountered an error value in the Objective Cell or a Constraint cell.",
    10: "Stop chosen when the maximum time limit was reached.",
    14: "Solver found an integer solution within tolerance. All constraints are satisfied.",
    16: "Stop chosen when the maximum number of feasible [integer] subproblems was reached.",
    17: "Solver converged in probability to a global solution.",
    18: "All variables must have both upper and lower bounds.",
    19: "Variable bounds conflict in binary or alldifferent constraint.",
    20: "Lower and upper bounds on variables allow no feasible solution.",
}
"""Those that can occur here, and one of ours. Others need what we do not have: a limit of size or
memory, another running instance, a limit of integer solutions; an error in the model is a
ModelError."""
_FAILED = frozenset({4, 5, 7, 9, 18, 19, 20})

GRADIENT_TOLERANCE = 1e-9
CONVERGENCE = 1e-12
WINDOW = 5


@dataclass(frozen=True)
class Stop:
    """Why training ended.

    ``restored``: the start values are kept, no better ones make sense. ``infeasible``: the best
    point that was met when a limit ended the run does not keep all constraints.
    """

    code: int
    detail: str = ""
    restored: bool = False
    infeasible: bool = False

    @property
    def message(self) -> str:
        """Solver's message, with our detail after it."""
        return MESSAGES[self.code] + (f" {self.detail}" if self.detail else "")

    @property
    def failed(self) -> bool:
        """Whether it is no answer to what was asked."""
        return self.code in _FAILED or self.infeasible


class Stopped(Exception):
    """Ends a run from within, whatever engine is at work."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.message)
        self.stop = stop


def converged(
    losses: Sequence[float], scaled_gradient: float, tolerance: float = CONVERGENCE
) -> Stop | None:
    """Stop when the gradient vanishes, or the loss stands still for five iterations.

    ``scaled_gradient`` is max |∂f/∂x|·max(|x|, 1), projected on the bounds, relative to |f|. Both
    tolerances are far tighter than Solver's (Precision 1e-6, Convergence 1e-4): exact gradients
    allow it.
    """
    if scaled_gradient <= GRADIENT_TOLERANCE:
        return Stop(0)
    return Stop(1) if stands_still(losses, tolerance) else None


def stands_still(losses: Sequence[float], tolerance: float = CONVERGENCE) -> bool:
    """Whether the loss changed by less than the tolerance in each of the last five iterations.

    The change is relative, as Solver's Convergence is.
    """
    recent = losses[-WINDOW - 1 :]
    scale = max(abs(recent[-1]), 1e-300) if recent else 1.0
    return len(recent) > WINDOW and all(
        abs(a - b) <= tolerance * scale for a, b in pairwise(recent)
    )
