"""When to stop, and what Solver would say. Codes and texts are those of Excel's Solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MESSAGES = {
    0: "Solver found a solution. All constraints and optimality conditions are satisfied.",
    1: "Solver has converged to the current solution. All constraints are satisfied.",
    2: "Solver cannot improve the current solution. All constraints are satisfied.",
    3: "Stop chosen when the maximum iteration limit was reached.",
    4: "The Objective Cell values do not converge.",
    6: "Solver stopped at user's request.",
    9: "Solver encountered an error value in the Objective Cell or a Constraint cell.",
}

GRADIENT_TOLERANCE = 1e-9
CONVERGENCE = 1e-12
WINDOW = 5


@dataclass(frozen=True)
class Stop:
    """Why training ended."""

    code: int
    detail: str = ""

    @property
    def message(self) -> str:
        """Solver's message, with our detail after it."""
        return MESSAGES[self.code] + (f" {self.detail}" if self.detail else "")


def converged(losses: Sequence[float], scaled_gradient: float) -> Stop | None:
    """Stop when the gradient vanishes, or the loss stands still for five iterations.

    ``scaled_gradient`` is max |∂f/∂x|·max(|x|, 1), projected on the bounds, relative to |f|. Both
    tolerances are far tighter than Solver's (Precision 1e-6, Convergence 1e-4): exact gradients
    allow it.
    """
    if scaled_gradient <= GRADIENT_TOLERANCE:
        return Stop(0)
    return Stop(1) if stands_still(losses) else None


def stands_still(losses: Sequence[float]) -> bool:
    """Whether the loss changed by less than CONVERGENCE in each of the last five iterations."""
    recent = losses[-WINDOW - 1 :]
    scale = max(abs(recent[-1]), 1e-300) if recent else 1.0
    return len(recent) > WINDOW and all(
        abs(a - b) <= CONVERGENCE * scale for a, b in pairwise(recent)
    )
