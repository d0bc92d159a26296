"""Everything that xl2torch raises on purpose.

    Xl2TorchError
    ├── WorkbookError            the file cannot be read, or is not what it claims to be
    ├── SelectionError           what was asked for (a sheet, a cell, a name) is not in the workbook
    ├── FormulaError             a formula that does not parse
    ├── ModelError               the cells do not make a model that can be trained
    │   ├── UnsupportedError     functions on the way to the objective that are not supported
    │   └── CircularReferenceError
    ├── TrainingError            training cannot start or go on
    ├── LimitError               there is not enough memory, or something nests too deeply
    └── OutputError              the result cannot be written

Every message is complete: it names the sheet, the cell and the formula, and says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST, _AROUND = 300, 150
"""Letters of a formula in a message, and those around a culprit."""


class Xl2TorchError(Exception):
    """Base of all errors that a user can cause and mend."""


class WorkbookError(Xl2TorchError):
    """The file cannot be read as a workbook."""


class SelectionError(Xl2TorchError):
    """A sheet, range, name or option that the workbook does not have."""


class LimitError(Xl2TorchError):
    """There is not enough memory for what the workbook asks for, or it nests too deeply."""


def equals(formula: str) -> str:
    """A formula as a message shows it, cut where it is long.

    >>> equals("SUM(A1:A3)")
    '=SUM(A1:A3)'
    """
    return f"={formula}" if len(formula) <= _LONGEST else f"={formula[: _LONGEST - 1]}…"


class FormulaError(Xl2TorchError):
    """A formula that cannot be parsed; the culprit is underlined."""

    def __init__(self, reason: str, formula: str, position: int) -> None:
        self.reason = reason
        self.formula = formula
        self.position = position
        first = max(0, position - _AROUND)
        part = f"{'…' * (first > 0)}{formula[first : position + _AROUND]}"
        more = "…" * (position + _AROUND < len(formula))
        at = position - first + (first > 0)
        super().__init__(f"{reason}:\n  ={part}{more}\n  {' ' * (at + 1)}^")


class ModelError(Xl2TorchError):
    """The cells do not make a model that can be trained."""


class CircularReferenceError(ModelError):
    """Formulas that need their own result; ``iterates``: the file has iterative calculation on."""

    def __init__(self, cells: Sequence[str], iterates: bool = False) -> None:
        self.cells = tuple(cells)
        circle = " → ".join([*self.cells, self.cells[0]])
        what = (
            "Iterative calculation is on in this file, so Excel goes round until the values stand "
            "still; that is not done here. Solve for the cell instead: make it a variable cell and "
            "its formula, less the cell, a constraint = 0."
            if iterates
            else "Excel would warn and show 0. Break the circle, or make one of these cells a "
            "variable cell."
        )
        super().__init__(f"circular reference: {circle}. {what}")


@dataclass(frozen=True)
class UnsupportedCell:
    """A cell whose formula cannot be compiled, and why."""

    cell: str
    formula: str
    reason: str

    def __str__(self) -> str:
        return f"{self.cell}: {equals(self.formula)}  ({self.reason})"


class UnsupportedError(ModelError):
    """All cells on the way to the objective that cannot be compiled."""

    def __init__(self, cells: Sequence[UnsupportedCell]) -> None:
        self.cells = tuple(cells)
        lines = "\n".join(f"  {cell}" for cell in self.cells)
        count = f"{len(self.cells)} formula{'s' if len(self.cells) > 1 else ''}"
        super().__init__(
            f"{count} between the variable cells and the objective cannot be compiled:\n{lines}\n"
            "Rewrite them with supported functions (docs/functions.md in the project), "
            "or take variables that do not reach them."
        )


class TrainingError(Xl2TorchError):
    """Training cannot start or go on."""


class OutputError(Xl2TorchError):
    """The result cannot be written."""


def first_line(error: Exception) -> str:
    """The first line of another library's message that has something to say."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
