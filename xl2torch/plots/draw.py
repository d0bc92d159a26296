"""Pictures by their kinds, from a model and, where it takes one, a run of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xl2torch.errors import SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.plots.figures import (
    contour_figure,
    fit_figure,
    loss_figure,
    surface_figure,
    weights_figure,
)
from xl2torch.plots.fitted import fitted
from xl2torch.plots.kinds import KINDS, TRAINED
from xl2torch.plots.landscape import Limits, landscape, two_cells
from xl2torch.training.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class View:
    """Which two variable cells a landscape is over, and from where to where."""

    cells: str | None = None
    x: Limits | None = None
    y: Limits | None = None


def draw(
    model: SheetModel, kind: str, view: View | None = None,
    train: Callable[[], Result] | None = None,
) -> Figure:  # fmt: skip
    """A figure of matplotlib.

    ``loss``: the objective of each iteration. ``surface`` and ``contour``: the objective over two
    variable cells, all others held; ``path``: the way of training on the contour. ``fit``: what is
    predicted beside what was observed. ``weights``: the variable cells as maps. ``loss`` and
    ``path`` call ``train``, the others show the present weights. Raises SelectionError, ModelError.
    """
    view = view or View()
    if kind not in KINDS:
        raise SelectionError(f"no `kind={kind!r}`; there are {', '.join(KINDS)}")
    model.problem.require_objective("a plot")
    if kind == "fit":
        return fit_figure(fitted(model))
    if kind == "weights":
        return weights_figure(model)
    if kind == "loss":
        return loss_figure(_trained(train))
    cells = two_cells(model, view.cells)
    if kind != "path":
        land = landscape(model, cells, (), (view.x, view.y))
        return surface_figure(model, land) if kind == "surface" else contour_figure(model, land)
    result = _trained(train)
    followed = list(result.followed)
    missing = [str(cell) for cell in cells if cell not in followed]
    if missing:
        raise SelectionError(
            f"the way of {', '.join(missing)} is not kept, only that of the first "
            f"{len(followed)} variable cells"
        )
    places = [followed.index(cell) for cell in cells]
    way: Sequence[Sequence[float]] = [
        [row.variables[place] for place in places] for row in result.iterations
    ]
    land = landscape(model, cells, way, (view.x, view.y))
    settings = result.settings
    return contour_figure(model, land, f"{settings.title}, {result.epochs} {settings.unit}s")


def _trained(train: Callable[[], Result] | None) -> Result:
    if train is None:
        raise SelectionError(
            f"{' and '.join(TRAINED)} need a run of training: the result of xl2torch.fit"
        )
    return train()


def plot(
    given: Result | SheetModel, kind: str = "loss", *, cells: str | None = None,
    x: Limits | None = None, y: Limits | None = None,
) -> Axes:  # fmt: skip
    """Draw a result, or a model, on axes of matplotlib; their figure is ``ax.figure``.

    Args:
        given: What ``fit`` gives, or a compiled model.
        kind: ``loss`` and ``path`` of a result; ``surface``, ``contour``, ``fit`` and ``weights``.
        cells: Two variable cells, ``"B5,B6"``, by default the first two.
        x: From where to where the first of them is shown, in its unit.
        y: From where to where the second one is.

    Returns:
        The axes.

    Raises:
        SelectionError: A wrong kind or cell.
        ModelError: There is nothing of that kind to draw.

    Example:
        >>> xl2torch.plot(xl2torch.fit("workbooks/line.xlsx")).get_xlabel()
        'iteration'
    """
    if not isinstance(given, Result | SheetModel):
        raise SelectionError(f"a result of fit or a model is wanted, not {type(given).__name__}")
    view = View(cells, x, y)
    if isinstance(given, SheetModel):
        return draw(given, kind, view).axes[0]
    with given.applied():
        return draw(given.model, kind, view, lambda: given).axes[0]
