"""A sheet's descent run again with torch, and compared with the sheet row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from xl2torch.cells.address import CellAddress
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import as_workbook
from xl2torch.teach.replay.descent import Descent, find_descents
from xl2torch.teach.replay.gradient import ErrorSteps, Gradients, error_steps, find_gradients
from xl2torch.teach.replay.optimizer import Match, find_match
from xl2torch.teach.replay.rules import find_steps
from xl2torch.workbook.read.reader import Workbook

if TYPE_CHECKING:
    import pandas

STATES = ("sheet", "new")
EQUAL = 1e-9


@dataclass(frozen=True, eq=False)
class Replay:
    """The way of the weights by torch: a row before each step, and one after the last.

    ``path`` is (steps + 1, weights); the sheet has the first pass through its rows.
    """

    descent: Descent
    gradients: Gradients
    match: Match
    state: str
    path: torch.Tensor

    @property
    def sheet_path(self) -> torch.Tensor:
        """The sheet's own way, (rows + 1, weights)."""
        return torch.stack(
            [torch.cat([item.values, item.new_values[-1:]]) for item in self.descent.weights], 1
        )

    @property
    def differences(self) -> torch.Tensor:
        """Relative difference of torch and sheet, (rows + 1, weights)."""
        theirs = self.sheet_path
        ours = self.path[: len(theirs)]
        found = (ours - theirs).abs() / theirs.abs().clamp_min(1e-300)
        return torch.nan_to_num(found, nan=torch.inf)  # torch left all bounds

    @property
    def largest(self) -> float:
        """The largest of them."""
        return float(self.differences.max())

    @property
    def first_divergence(self) -> CellAddress | None:
        """The first cell in which they differ by more than EQUAL; None where none does."""
        places = torch.nonzero((self.differences > EQUAL).any(1)).reshape(-1).tolist()
        if not places:
            return None
        weight = int(torch.nonzero(self.differences[places[0]] > EQUAL)[0])
        item = self.descent.weights[weight]
        if places[0] == self.descent.rows:
            return self.descent.new_cell(places[0] - 1, item)
        return self.descent.cell(places[0] + item.shift, item.column)

    @property
    def epochs(self) -> torch.Tensor:
        """The weights before the first pass and after each, (epochs + 1, weights)."""
        return self.path[:: self.descent.rows]

    @property
    def frame(self) -> pandas.DataFrame:
        """Rows of the sheet, and for each weight the sheet's value, torch's, their difference."""
        import pandas

        theirs, differences = self.sheet_path, self.differences
        columns: dict[str, object] = {
            "row": [*range(self.descent.top, self.descent.bottom + 1), ""]
        }
        for place, weight in enumerate(self.descent.weights):
            columns[weight.name] = theirs[:, place].tolist()
            columns[f"{weight.name} by torch"] = self.path[: len(theirs), place].tolist()
            columns[f"{weight.name} difference"] = differences[:, place].tolist()
        return pandas.DataFrame(columns)


def replay(
    workbook: Workbook | str | Path, sheet: str, *, state: str = "sheet", epochs: int = 1
) -> Replay:
    """Run the descent that a sheet writes down its rows with torch's optimizer, one row a step.

    Args:
        workbook: A workbook, or its path.
        sheet: The sheet that holds the descent.
        state: Where the optimizer starts: at what the ``sheet`` holds above its first row, or
            ``new`` as torch does.
        epochs: Passes through the rows, each from where the last one ended.

    Returns:
        The optimizer of torch that was recognised (``match``), its path beside the sheet's, as
        tensors of shape (steps + 1, weights), and where the two part.

    Raises:
        SelectionError: A wrong option.
        ModelError: No descent that is known.

    Example:
        >>> import openpyxl
        >>> book = openpyxl.Workbook()
        >>> for row in (["x", "f", "slope"], [4, "=A2^2", "=2*A2"]):
        ...     book.active.append(row)
        >>> for r in range(3, 12):
        ...     book.active.append([f"=A{r-1}-0.1*C{r-1}", f"=A{r}^2", f"=2*A{r}"])
        >>> book.save("descent.xlsx")
        >>> xl2torch.replay("descent.xlsx", "Sheet").match.code
        'torch.optim.SGD(lr=0.1)'
    """
    workbook = as_workbook(workbook)
    if state not in STATES:
        raise SelectionError(f"no `state={state!r}`; there are {', '.join(STATES)}")
    if epochs < 1:
        raise SelectionError(f"`epochs` is a whole number above 0, not {epochs}")
    descent, gradients, match, steps = _recognised(workbook, workbook.sheet(sheet).name)
    parameters = steps.parameters
    optimizer = match.make(parameters, state == "sheet")
    path = [torch.stack([parameter.detach().clone() for parameter in parameters])]
    for _ in range(epochs):
        for error in steps.errors:
            optimizer.zero_grad()
            torch.autograd.backward(error())
            optimizer.step()
            path.append(torch.stack([parameter.detach().clone() for parameter in parameters]))
    return Replay(descent, gradients, match, state, torch.stack(path))


def _recognised(workbook: Workbook, sheet: str) -> tuple[Descent, Gradients, Match, ErrorSteps]:
    """The first descent of a sheet that is understood. Raises ModelError where none is."""
    reason: ModelError | None = None
    for candidate in find_descents(workbook, sheet):
        found = find_gradients(candidate)
        try:
            if not candidate.weights[0].is_own:
                return _understood(*_only(candidate, found))
        except ModelError as error:
            reason = error
            continue
        for pair in found:
            with contextlib.suppress(ModelError):
                return _understood(*pair)
    # A column that reads its own cell above may be a running total as well: it is no mistake.
    raise reason or NoDescent(
        f"sheet {sheet} holds no descent: no column whose cells read the new value of a weight in "
        "the row above (C5: =N4), or are the weight above less a rate times the gradient of an "
        "error (C5: =C4-rate*E4). Name another `sheet`"
    )


def _only(
    descent: Descent, found: Iterator[tuple[Descent, Gradients]]
) -> tuple[Descent, Gradients]:
    """The likeliest gradients. Raises ModelError where there are none."""
    first = next(found, None)
    if first is None:
        raise ModelError(
            f"no columns of sheet {descent.sheet} are the gradients of an error (a column, or the "
            "square of a prediction less what was observed) for each weight: "
            f"{', '.join(weight.name for weight in descent.weights)}"
        )
    return first


def _understood(
    descent: Descent, gradients: Gradients
) -> tuple[Descent, Gradients, Match, ErrorSteps]:
    match = find_match(descent, gradients, find_steps(descent, gradients))
    return descent, gradients, match, error_steps(descent, gradients.error)


class NoDescent(ModelError):
    """A sheet in which nothing looks like a descent."""


def replay_all(
    workbook: Workbook, *, state: str = "sheet", epochs: int = 1
) -> tuple[list[Replay], list[str]]:
    """Every sheet that writes a descent down its rows; why others that do were not run.

    Raises ModelError where there is none.
    """
    found = []
    reasons = []
    for sheet in workbook.sheets:
        try:
            found.append(replay(workbook, sheet.name, state=state, epochs=epochs))
        except NoDescent:
            continue
        except ModelError as error:
            reasons.append(str(error))
    if not found:
        raise ModelError(
            "\n".join(reasons)
            or f"no sheet of {workbook.path.name} writes a descent down its "
            "rows: a weight is a column whose cells read its new value in the row above, or are "
            "the weight above less a rate times a gradient"
        )
    return found, reasons
