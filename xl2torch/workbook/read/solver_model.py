"""The Solver model stored in a sheet's hidden ``solver_*`` names.

Codes and defaults: those that Excel 2010 and later write; an absent name means its default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Literal

from xl2torch.cells.address import CellRange
from xl2torch.errors import ModelError, SelectionError
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_ranges

Sense = Literal["min", "max", "value", "feasible"]
"""What is asked of the objective; ``feasible``: there is none, constraints are to be kept."""
SENSES: dict[str, Sense] = {"1": "max", "2": "min", "3": "value"}
RELATIONS = {"1": "<=", "2": "=", "3": ">=", "4": "int", "5": "bin", "6": "dif"}
_UNLIMITED = "2147483647"
DEFAULTS: Mapping[str, str] = {
    "adj": "", "cvg": "0.0001", "drv": "1", "eng": "1", "est": "1", "itr": _UNLIMITED,
    "mip": _UNLIMITED, "mni": "30", "mrt": "0.075", "msl": "2", "neg": "1", "nod": _UNLIMITED,
    "num": "0", "nwt": "1", "opt": "", "pre": "0.000001", "rbv": "1", "rlx": "2", "rsd": "0",
    "scl": "1", "sho": "2", "ssz": "100", "tim": _UNLIMITED, "tol": "0.01", "typ": "1",
    "val": "0", "ver": "3",
}  # fmt: skip
"""The names that Excel writes for every model, without ``solver_``, with their defaults."""


@dataclass(frozen=True)
class StoredConstraint:
    """One constraint as stored: texts of both sides and the relation."""

    left: str
    relation: str
    right: str


@dataclass(frozen=True)
class SolverModel:
    """Objective cell, variable cells and options of one sheet's Solver model."""

    sheet: str
    objective: str
    variables: str
    sense: Sense
    target: float
    non_negative: bool
    constraints: tuple[StoredConstraint, ...]
    options: Mapping[str, str]


def solver_models(workbook: Workbook) -> list[SolverModel]:
    """All stored models that name an objective or variable cells, in sheet order."""
    by_sheet: dict[str, dict[str, str]] = {}
    for name in workbook.names:
        if name.sheet and name.name.lower().startswith("solver_"):
            by_sheet.setdefault(name.sheet, {})[name.name.lower()[7:]] = name.text
    return [
        _model(sheet, by_sheet[sheet])
        for sheet in workbook.sheet_order
        if sheet in by_sheet and ("opt" in by_sheet[sheet] or "adj" in by_sheet[sheet])
    ]


_LINEAR_ENGINES = ("coinmp", "lpsolve")
_YES = frozenset({"1", "true"})


def _excels_spelling(names: dict[str, str], sheet: str) -> dict[str, str]:
    """Names as Excel's Solver would have written them.

    LibreOffice joins areas by a semicolon, counts constraints by their names alone, names its
    engine in ``lo_eng`` (those for nonlinear models work without gradients; ours stand in), and can
    ask for whole numbers in all variable cells (``int``). OpenSolver writes Excel's own
    names. Solver 2007 says ``lin`` where a linear model is to be assumed.
    """
    found = dict(names)
    for key in [key for key in found if key == "adj" or key[:3] in ("lhs", "rhs")]:
        found[key] = ",".join(_split_unquoted(found[key], ";"))
    if "num" not in found and "lhs1" in found:
        found["num"] = str(next(n for n in count(1) if f"lhs{n + 1}" not in found))
    engine = found.get("lo_eng", "").lower().strip('"').rpartition(".")[2]
    if engine:
        found["eng"] = "2" if engine.startswith(_LINEAR_ENGINES) else "1"
    elif found.get("lin") == "1" and "eng" not in found:
        found["eng"] = "2"
    if found.get("int", "").lower() in _YES and found.get("adj"):
        first = int(_number(found.get("num", "0"), sheet, "num")) + 1
        areas = _split_unquoted(found["adj"], ",")
        for number, area in enumerate(areas, first):
            found |= {f"lhs{number}": area, f"rel{number}": "4"}
        found["num"] = str(first + len(areas) - 1)
    if found.get("neg", "").lower() in ("true", "false"):
        found["neg"] = "1" if found["neg"].lower() == "true" else "2"
    return found


def _split_unquoted(text: str, separator: str) -> list[str]:
    """Pieces between separators that stand in no quoted sheet name."""
    pieces, quoted = [""], False
    for part in re.split(f"(['{separator}])", text):
        quoted ^= part == "'"
        if part == separator and not quoted:
            pieces.append("")
        else:
            pieces[-1] += part
    return pieces


def _model(sheet: str, stored: dict[str, str]) -> SolverModel:
    names = _excels_spelling(stored, sheet)
    total = int(_number(names.get("num", "0"), sheet, "num"))
    constraints = tuple(
        StoredConstraint(
            names[f"lhs{index}"],
            RELATIONS.get(names.get(f"rel{index}", ""), "?"),
            names.get(f"rhs{index}", ""),
        )
        for index in range(1, min(total, len(names)) + 1)  # what is counted has to be there
        if f"lhs{index}" in names
    )
    return SolverModel(
        sheet,
        names.get("opt", ""),
        names.get("adj", ""),
        SENSES.get(names.get("typ", "1"), "max"),
        _number(names.get("val", "0"), sheet, "val"),
        names.get("neg", "1") == "1",
        constraints,
        names,
    )


def _number(text: str, sheet: str, name: str) -> float:
    try:
        number = float(text)
        if math.isfinite(number):
            return number
        raise ValueError
    except ValueError:
        raise ModelError(
            f"the Solver model of sheet {sheet!r} is damaged: solver_{name} is {text!r}, "
            "not a number"
        ) from None


def number_option(options: Mapping[str, str], name: str, default: float) -> float:
    """A number among the options of a stored model; the default where it is none."""
    try:
        number = float(options.get(name, default))
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def stored_ranges(workbook: Workbook, model: SolverModel, text: str, what: str) -> list[CellRange]:
    """Ranges of a stored reference text. Raises ModelError when it is lost (#REF!)."""
    if not text or "#REF!" in text:
        raise ModelError(
            f"the Solver model of sheet {model.sheet!r} has lost its {what} ({text or 'not set'}): "
            f"give it as `{'objective' if what.startswith('obj') else 'variables'}`"
        )
    try:
        return parse_ranges(workbook, text, model.sheet)
    except SelectionError as error:
        raise ModelError(f"the Solver model of sheet {model.sheet!r}: {what}: {error}") from None
