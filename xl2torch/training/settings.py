"""How a run was made: the options with everything decided, and the reason for the optimizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xl2torch.training.given_optimizer import Factory
from xl2torch.training.options import OPTIONS, FitOptions
from xl2torch.training.stopping import CONVERGENCE

_SINGLE = ("starts", 1)


@dataclass(frozen=True, kw_only=True)
class Settings(FitOptions):
    """Options of which nothing is left open: enough to repeat a run.

    ``solver`` is the optimizer by its full name, and what it is from; ``reason`` says why this one.
    ``factory`` makes it where Python gave one of its own.
    """

    optimizer: str
    lr: float
    epochs: int
    convergence: float = CONVERGENCE
    starts: int = 1
    solver: str = ""
    reason: str = ""
    factory: Factory | None = field(default=None, repr=False, compare=False)

    @property
    def unit(self) -> str:
        """What a line of the history is: an iteration, in batches an epoch."""
        return "iteration" if self.batch_size is None else "epoch"

    @property
    def title(self) -> str:
        """The optimizer and its rate, short."""
        return f"{self.solver.partition(' (')[0]}, learning rate {self.lr:g}"

    @property
    def told(self) -> dict[str, Any]:
        """The options that a report tells, by their labels."""
        given = self.given
        return {
            option.label: getattr(self, name)
            for name, option in OPTIONS.items()
            if option.always or (option.label and name in given and (name, given[name]) != _SINGLE)
        }

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metric on the rows trained on, and on those held back."""
        names = (self.metric, f"validation {self.metric}")
        return names[: 1 + bool(self.validation)] if self.metric else ()
