"""A sheet's descent run again with torch, and compared with the sheet row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from xl2torch.address import CellAddress
from xl2torch.errors import ModelError, SelectionError
from xl2torch.replay.descent import Descent, find_descent
from xl2torch.replay.gradient import Gradients, find_gradients, row_error
from xl2torch.replay.optimizer import Match, find_match
from xl2torch.replay.rules import find_steps
from xl2torch.workbook.reader import Workbook

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
    def parting(self) -> CellAddress | None:
        """The first cell in which they differ by more than EQUAL; None where none does."""
        places = torch.nonzero((self.differences > EQUAL).any(1)).reshape(-1).tolist()
        if not places:
            return None
        weight = int(torch.nonzero(self.differences[places[0]] > EQUAL)[0])
        item = self.descent.weights[weight]
        if places[0] == self.descent.rows:
            return self.descent.cell(places[0] - 1, item.new_column)
        return self.descent.cell(places[0], item.column)

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


def replay(workbook: Workbook, sheet: str, *, state: str = "sheet", epochs: int = 1) -> Replay:
    """Run the descent that a sheet writes down its rows with torch's optimizer, one row a step.

    ``state``: where the optimizer starts, at what the ``sheet`` holds above its first row, or
    ``new`` as torch does. ``epochs``: passes through the rows, each from where the last one ended.
    Raises SelectionError (wrong option), ModelError (no descent that is known).
    """
    if state not in STATES:
        raise SelectionError(f"no --state {state!r}; there are {', '.join(STATES)}")
    if epochs < 1:
        raise SelectionError(f"--epochs is a whole number above 0, not {epochs}")
    descent = find_descent(workbook, workbook.sheet(sheet).name)
    gradients = find_gradients(descent)
    match = find_match(descent, gradients, find_steps(descent, gradients))
    rows = row_error(descent, gradients.error)
    program = rows.program(1)
    parameters = [program.get_parameter(name) for name, _ in rows.module.named_parameters()]
    optimizer = match.make(parameters, state == "sheet")
    batches = list(zip(*(place.split(tensor, 1) for tensor, place in rows.inputs), strict=True))
    path = [torch.stack([parameter.detach().clone() for parameter in parameters])]
    for _ in range(epochs):
        for pieces in batches:
            optimizer.zero_grad()
            torch.autograd.backward(program(*pieces))
            optimizer.step()
            path.append(torch.stack([parameter.detach().clone() for parameter in parameters]))
    return Replay(descent, gradients, match, state, torch.stack(path))


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
            find_descent(workbook, sheet.name)
        except ModelError:
            continue
        try:
            found.append(replay(workbook, sheet.name, state=state, epochs=epochs))
        except ModelError as error:
            reasons.append(str(error))
    if not found:
        raise ModelError(
            "\n".join(reasons)
            or f"no sheet of {workbook.path.name} writes a descent down its "
            "rows: a weight is a column whose cells read its new value in the row above"
        )
    return found, reasons
