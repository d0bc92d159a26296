"""Figures of matplotlib: one function for each kind of picture."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from xl2torch.cells.address import CellAddress, single_cell
from xl2torch.ir.naming import solver_name
from xl2torch.model.sheet_model import SheetModel
from xl2torch.plots.fitted import Fitted
from xl2torch.plots.landscape import Landscape
from xl2torch.safety.plain_text import short
from xl2torch.training.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (7.0, 4.6)
_DECADES = 100.0
_LEVELS = 24
_MOST_NUMBERS = 120
_NOTHING = 1e-9
_SETTINGS: Any = {
    "font.size": 10, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False,
    "svg.hashsalt": "xl2torch", "figure.dpi": 120,
}  # fmt: skip

_LONGEST = 80
"""Characters of a label."""


@contextmanager
def _figure(size: tuple[float, float] = _SIZE) -> Iterator[Figure]:
    """A figure without a window, the same on every machine."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        yield Figure(figsize=size, layout="constrained")


def as_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as ``png`` or ``svg``, without the time of day."""
    import matplotlib

    stream = io.BytesIO()
    metadata = {"Software": None} if kind == "png" else {"Date": None}
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(stream, format=kind, metadata=metadata)
    return stream.getvalue()


def loss_figure(result: Result) -> Figure:
    """The objective of each iteration, of rows trained on and held back."""
    rows = result.iterations
    numbers = [row.iteration for row in rows]
    series = {"objective": [row.objective for row in rows]}
    if result.validated:
        series = {"rows trained on": series["objective"],
                  "rows held back": [row.validation for row in rows]}  # fmt: skip
    with _figure() as figure:
        axes = figure.add_subplot()
        for label, values in series.items():
            axes.plot(numbers, values, label=label, linewidth=1.8)
        if result.validated:
            axes.axvline(result.best, color="grey", linewidth=0.8, linestyle=":", label="best")
            axes.legend(frameon=False)
        every = [value for values in series.values() for value in values]
        if all(math.isfinite(v) and v > 0 for v in every) and max(every) > _DECADES * min(every):
            axes.set_yscale("log")
        axes.set(
            xlabel=result.settings.unit,
            ylabel=_name(result.model, result.model.problem.objective),
            title=result.settings.title,
        )
    return figure


def contour_figure(model: SheetModel, land: Landscape, title: str = "") -> Figure:
    """Lines of equal objective over two cells, with the way on it."""
    with _figure((6.4, 5.2)) as figure:
        axes = figure.add_subplot()
        values = np.ma.masked_invalid(land.values.numpy())
        filled = axes.contourf(
            land.x.numpy(), land.y.numpy(), _graded(values), _LEVELS, cmap="viridis"
        )
        bar = figure.colorbar(filled, ax=axes)
        bar.set_label(_name(model, model.problem.objective) + _grading(values))
        way = land.way.numpy()
        if len(way) > 1:
            axes.plot(
                way[:, 0], way[:, 1], color="white", linewidth=1.2, marker="o", markersize=2.5
            )
            axes.plot(*way[0], "o", color="white", markersize=7, label="start")
        axes.plot(*way[-1], "*", color="red", markersize=13, label="end" if len(way) > 1 else "now")
        axes.set_xlim(float(land.x[0]), float(land.x[-1]))
        axes.set_ylim(float(land.y[0]), float(land.y[-1]))
        axes.set(
            xlabel=_name(model, land.cells[0]), ylabel=_name(model, land.cells[1]), title=title
        )
        axes.legend(frameon=True, loc="best")
    return figure


def surface_figure(model: SheetModel, land: Landscape) -> Figure:
    """The objective as a surface over two cells."""
    with _figure((6.4, 5.2)) as figure:
        axes: Any = figure.add_subplot(projection="3d")
        x, y = np.meshgrid(land.x.numpy(), land.y.numpy())
        values = np.ma.masked_invalid(land.values.numpy())
        axes.plot_surface(x, y, values, cmap="viridis", linewidth=0, antialiased=True)
        axes.set(
            xlabel=_name(model, land.cells[0]),
            ylabel=_name(model, land.cells[1]),
            zlabel=_name(model, model.problem.objective),
        )
        axes.view_init(elev=30, azim=-60)
    return figure


def fit_figure(found: Fitted) -> Figure:
    """Points that were observed, and the model's line or the diagonal."""
    heading, observed_name, predicted_name = map(_text, found.names)
    with _figure() as figure:
        axes = figure.add_subplot()
        if found.inputs is None:
            low = float(min(found.observed.min(), found.predicted.min()))
            high = float(max(found.observed.max(), found.predicted.max()))
            axes.plot([low, high], [low, high], color="grey", linewidth=0.8, label="equal")
            axes.plot(found.observed, found.predicted, ".", markersize=5, alpha=0.6)
            axes.set(xlabel=observed_name, ylabel=predicted_name)
        else:
            order = np.argsort(found.inputs)
            axes.plot(found.inputs, found.observed, "o", markersize=4, label=observed_name)
            line = found.curve or (found.inputs[order], found.predicted[order])
            axes.plot(*line, linewidth=1.8, label=predicted_name)
            axes.set(xlabel=heading, ylabel=observed_name)
            if found.logarithmic:
                axes.set_xscale("log")
        axes.legend(frameon=False)
    return figure


def weights_figure(model: SheetModel) -> Figure:
    """Every range of variable cells as a map of its numbers."""
    variables = model.variables
    rows = sum(min(variable.cells.rows, 16) for variable in variables)
    with _figure((7.0, min(12.0, 1.4 * len(variables) + 0.25 * rows))) as figure:
        grids = [
            model.parameter(item).detach().numpy().reshape(item.cells.rows, item.cells.columns)
            for item in variables
        ]
        bound = max(float(np.abs(grid).max()) for grid in grids) or 1.0
        parts = figure.subplots(len(variables), 1, squeeze=False)[:, 0]
        image = None
        for axes, variable, grid in zip(parts, variables, grids, strict=True):
            image = axes.imshow(grid, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
            title = _text(f"{variable.label} {variable.cells.a1}".strip())
            axes.set(title=title, xticks=[], yticks=[])
            for (row, column), number in np.ndenumerate(grid) if grid.size <= _MOST_NUMBERS else ():
                shade = "white" if abs(number) > 0.6 * bound else "black"
                shown = 0.0 if abs(number) < _NOTHING * bound else number
                axes.text(column, row, f"{shown:.2g}", ha="center", va="center", color=shade,
                          fontsize=8)  # fmt: skip
        if image is not None:
            figure.colorbar(image, ax=list(parts))
    return figure


def _graded(values: Any) -> Any:
    """The logarithm where numbers span decades and are above 0."""
    return np.log10(values) if _spans(values) else values


def _grading(values: Any) -> str:
    return " (log10)" if _spans(values) else ""


def _spans(values: Any) -> bool:
    return (
        bool(values.count())
        and float(values.min()) > 0
        and bool(float(values.max()) > _DECADES * float(values.min()))
    )


def _name(model: SheetModel, cell: CellAddress) -> str:
    """A cell's name on the sheet and its address."""
    name = solver_name(model.compiled.workbook, single_cell(cell)).rstrip(" :")
    return f"{_text(name)} ({cell.a1})" if name else cell.a1


def _text(text: str) -> str:
    """Text of the sheet as a label: short, and no TeX between dollar signs."""
    shown = short(text, _LONGEST)
    return shown.replace("$", r"\$").lstrip("_")  # matplotlib leaves _names out of a legend
