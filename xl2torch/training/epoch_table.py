"""A run as it goes: in a notebook a bar, a table of epochs and the loss; else lines of text."""

from __future__ import annotations

import html
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from xl2torch.notebook import html_table
from xl2torch.training.result import Iteration

_LINES = 20
_PAUSE = 0.2
_WIDTH, _HEIGHT, _POINTS = 360, 90, 200


def in_notebook() -> bool:
    """Whether a notebook runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class EpochTable:
    """Rows of the history as they come; of many, some are kept.

    Columns are those that one knows from training networks: the loss of the rows trained on and
    held back, the metric, and the time.
    """

    def __init__(
        self, total: int, unit: str, validated: bool, metrics: Sequence[str],
        notebook: bool | None = None,
    ) -> None:  # fmt: skip
        self.total = max(total, 1)
        self.headings = [unit, "train", *(["valid"] * validated), *metrics, "time"]
        self.validated = validated
        self.rows: list[list[str]] = []
        self.losses: list[float] = []
        self._every = max(1, -(-self.total // _LINES))
        self._notebook = in_notebook() if notebook is None else notebook
        self._told = 0.0
        self._shown: Any = None
        self._last: list[str] = []

    def __call__(self, row: Iteration) -> None:
        """Take a row of the history."""
        numbers = [row.objective, *([row.validation] * self.validated), *row.metric]
        minutes, seconds = divmod(int(row.seconds), 60)
        texts = [str(row.iteration), *(f"{number:.6f}" for number in numbers)]
        self._last = [*texts, f"{minutes:02d}:{seconds:02d}"]
        self.losses.append(row.objective)
        due = row.iteration % self._every == 0
        if due:
            self.rows.append(self._last)
            if not self._notebook:
                self._say(self._last)
        if self._notebook and time.monotonic() - self._told > _PAUSE:
            self._show()

    def finish(self) -> None:
        """Show the last row, whatever came before."""
        if self._last and (not self.rows or self.rows[-1] is not self._last):
            self.rows.append(self._last)
            if not self._notebook:
                self._say(self._last)
        if self._notebook:
            self._show()

    def _say(self, texts: Sequence[str]) -> None:
        if len(self.rows) == 1:
            print("  ".join(f"{text:>12}" for text in self.headings), file=sys.stderr)
        print("  ".join(f"{text:>12}" for text in texts), file=sys.stderr, flush=True)

    def _show(self) -> None:
        from IPython.display import HTML, display

        self._told = time.monotonic()
        page = HTML(self.as_html())
        if self._shown is None:
            self._shown = display(page, display_id=True)
        else:
            self._shown.update(page)

    def as_html(self) -> str:
        """The bar, the table and the line of the losses."""
        made = int(self._last[0]) if self._last else 0
        bar = (
            f'<progress value="{made}" max="{self.total}"></progress> {made} of {self.total} '
            f"{html.escape(self.headings[0])}s"
        )
        return f"<div>{bar}{html_table(self.headings, self.rows)}{line_svg(self.losses)}</div>"


def line_svg(losses: Sequence[float]) -> str:
    """A line through the losses, on a logarithmic scale where all are above 0."""
    step = max(1, len(losses) // _POINTS)
    points = [(n, v) for n, v in list(enumerate(losses))[::step] if math.isfinite(v)]
    if len(points) < 2:
        return ""
    if all(value > 0 for _, value in points):
        points = [(n, math.log10(value)) for n, value in points]
    low, high = min(v for _, v in points), max(v for _, v in points)
    last, span = points[-1][0] or 1, (high - low) or 1.0
    way = " ".join(
        f"{n / last * _WIDTH:.1f},{(1 - (v - low) / span) * (_HEIGHT - 4) + 2:.1f}"
        for n, v in points
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}"><polyline points="{way}" fill="none" '
        'stroke="#1f77b4" stroke-width="1.5"/></svg>'
    )
