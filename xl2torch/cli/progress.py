"""Progress on standard error: nothing in a pipe, nothing beside JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from xl2torch.analysis.highs import Progress as Bounding
    from xl2torch.model.problem import Problem
    from xl2torch.training.result import Iteration
    from xl2torch.training.rows.epochs import Batch

_PAUSE = 0.1
"""Seconds between two changes of a bar within an epoch."""


class progress:
    """Progress bars with the objective, on standard error; nothing in a pipe.

    One bar counts iterations; in mini-batches one more shows the training phase of an epoch, and
    one the validation phase.
    """

    def __init__(self, problem: Problem, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self.shown = console.is_terminal and not quiet
        self.bar = Progress(
            TextColumn("{task.description:10}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  objective {task.fields[objective]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self.shown,
        )
        self.task = self.bar.add_task("training", total=total, objective="")
        self.phases: dict[str, TaskID] = {}
        self.told = 0.0

    def __enter__(self) -> progress:
        self.bar.start()
        return self

    @property
    def on_iteration(self) -> Callable[[Iteration], None] | None:
        """What is called after each iteration."""
        return self._iteration if self.shown else None

    @property
    def on_batch(self) -> Callable[[Batch], None] | None:
        """What is called after each batch."""
        return self._batch if self.shown else None

    @property
    def on_bound(self) -> Callable[[Bounding], None] | None:
        """What is called now and then in a search for whole numbers."""
        return self._bound if self.shown else None

    def _bound(self, found: Bounding) -> None:
        best = "none yet"
        if math.isfinite(found.gap):
            best = f"{found.objective:.8g}, gap {found.gap:.2%}"
        text = f"{best}, bound {found.bound:.8g}, {found.nodes} nodes"
        self.bar.update(self.task, description="integers", objective=text)

    def _iteration(self, row: Iteration) -> None:
        self.bar.update(self.task, completed=row.iteration, objective=f"{row.objective:.8g}")

    def _batch(self, batch: Batch) -> None:
        now = time.monotonic()
        if now - self.told < _PAUSE and batch.done < batch.total:
            return
        self.told = now
        if batch.phase not in self.phases:
            self.bar.update(self.task, description="epochs")
            self.phases[batch.phase] = self.bar.add_task(batch.phase, objective="")
        self.bar.update(
            self.phases[batch.phase], total=batch.total, completed=batch.done,
            objective=f"{batch.objective:.8g}",
        )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


class status:
    """A word on what is going on, on standard error; nothing in a pipe."""

    def __init__(self, text: str, quiet: bool) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self.status = console.status(text) if console.is_terminal and not quiet else None

    def __enter__(self) -> None:
        if self.status:
            self.status.start()

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()


class counter:
    """A progress bar that counts, on standard error; nothing in a pipe."""

    def __init__(self, text: str, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn(text),
            BarColumn(),
            MofNCompleteColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self.task = self.bar.add_task(text, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self.bar.start()
        return lambda count: self.bar.advance(self.task, count)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
