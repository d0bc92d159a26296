"""Progress on standard error: nothing in a pipe, nothing beside JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xl2torch.problem import Problem
    from xl2torch.training.result import Iteration


class progress:
    """A progress bar with the objective, on standard error; nothing in a pipe."""

    def __init__(self, problem: Problem, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self.shown = console.is_terminal and not quiet
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  objective {task.fields[objective]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self.shown,
        )
        self.task = self.bar.add_task("training", total=total, objective="")

    def __enter__(self) -> Callable[[Iteration], None]:
        self.bar.start()

        def update(row: Iteration) -> None:
            if self.shown:
                self.bar.update(
                    self.task, completed=row.iteration, objective=f"{row.objective:.8g}"
                )

        return update

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
