"""torch's learning-rate schedules by name: ``cosine-annealing``, ``step,step_size=100``, …"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import torch
from torch.optim import lr_scheduler

from xl2torch.errors import SelectionError
from xl2torch.training.arguments import checked, parsed

_COMBINING = frozenset({"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"})
"""They need functions, or other schedules."""
_GAMMA = 0.1
_UNBRACKETED_COMMA = re.compile(r",(?![^\[(]*[\])])")


class Scheduler(Protocol):
    """What changes the learning rate after each iteration."""

    def step(self, metrics: Any = None) -> None:
        """Change the learning rate."""


@cache
def schedules() -> Mapping[str, type[lr_scheduler.LRScheduler]]:
    """Classes of torch.optim.lr_scheduler by name: ``StepLR`` is ``step``."""
    return {
        _kebab(name): kind
        for name, kind in vars(lr_scheduler).items()
        if inspect.isclass(kind) and issubclass(kind, lr_scheduler.LRScheduler)
        and kind is not lr_scheduler.LRScheduler and name not in _COMBINING
        and not name.startswith("_")
    }  # fmt: skip


def _kebab(name: str) -> str:
    short = name.removesuffix("LR").replace("OnPlateau", "_on_plateau").replace("LR", "_lr")
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", short).lower()


def make_schedule(text: str, optimizer: torch.optim.Optimizer, epochs: int) -> Scheduler:
    """A schedule such as ``step,step_size=100,gamma=0.5``; what is not given fits the epochs.

    Raises SelectionError.
    """
    name, *pairs = (part.strip() for part in _UNBRACKETED_COMMA.split(text))
    kind = schedules().get(name.lower())
    if kind is None:
        raise SelectionError(f"no schedule {name!r}; there are {', '.join(sorted(schedules()))}")
    given = parsed(pairs, "`schedule`:")
    rate = float(optimizer.param_groups[0]["lr"])
    fitting: dict[str, Any] = {
        "T_max": epochs, "T_0": max(1, epochs // 3), "total_steps": epochs + 1,
        "step_size": max(1, epochs // 3), "milestones": [epochs // 2, epochs * 3 // 4],
        "gamma": _GAMMA if name.lower() != "exponential" else _GAMMA ** (1 / max(epochs, 1)),
        "max_lr": rate, "base_lr": rate / 10, "total_iters": epochs,
        "cycle_momentum": False if "momentum" not in optimizer.defaults else None,
    }  # fmt: skip
    accepted = inspect.signature(kind).parameters
    fill = {
        key: value for key, value in fitting.items()
        if key in accepted and key not in given and value is not None
        and (accepted[key].default is inspect.Parameter.empty or key in _BETTER_FILLED)
    }  # fmt: skip
    if "epochs" in given or "steps_per_epoch" in given:
        fill.pop("total_steps", None)
    made: Scheduler = checked(
        f"the schedule {name}", kind, {"optimizer"}, lambda: kind(optimizer, **fill, **given), given
    )
    return made


_BETTER_FILLED = frozenset({"total_steps", "total_iters", "cycle_momentum"})
