"""Cells that a written program does not read: it holds what was computed of them.

Whether it does is found out by another workbook: where some cells hold other values, and the text
of the program is another one, numbers of these cells are in it. What can be an expression of the
cells becomes one; for the rest the file refuses workbooks that differ there. So it does where cells
decide something (a comparison, a place in a list, a count), since other values may decide the same
and others again not.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import fx

from xl2torch.cells.address import MAX_COLUMN, CellRange, single_cell
from xl2torch.cells.values import BLANK, LOGICAL, NUMBER, TEXT
from xl2torch.errors import ModelError, Xl2TorchError
from xl2torch.exports.constants import fingerprint
from xl2torch.formula import ast as formulas
from xl2torch.ir.ops import Bend, Group, find_operator
from xl2torch.lowering.blocks import stored
from xl2torch.lowering.precedents import precedents
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Unit
from xl2torch.model.sheet_model import SheetModel, compile_problem
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import SparseCells, places_of

Text = Callable[[SheetModel], str]
_MOST_AREAS, _MOST_CELLS = 24, 2_000_000
_PLAIN_GROUPS = frozenset(
    {Group.ARITHMETIC, Group.ELEMENTWISE, Group.MOVE, Group.REDUCTION, Group.LOSS}
)
"""Of functions that a person would write of cells."""
_PLAIN = frozenset(
    {"SUM", "AVERAGE", "SUMPRODUCT", "SUMSQ", "SUMXMY2", "SUMX2MY2", "SUMX2PY2", "MMULT",
     "TRANSPOSE", "EXP", "LN", "LOG", "LOG10", "SQRT", "POWER", "ABS", "SIN", "COS", "TAN", "TANH",
     "SINH", "COSH", "ASIN", "ACOS", "ATAN", "PI", "PRODUCT", "ROW", "ROWS", "COLUMN", "COLUMNS",
     "RAND", "DEVSQ", "VAR", "VARP", "VAR.S", "VAR.P", "STDEV", "STDEVP", "STDEV.S", "STDEV.P",
     "GAMMALN", "NORMSDIST", "NORM.S.DIST"}
)  # fmt: skip
"""Functions that compute with numbers, whatever these are."""
_BRANCHES = frozenset({"IF", "MAX", "MIN", "AND", "OR", "NOT", "IFS", "SIGN"})
"""Functions that decide by trained numbers, as the program does; by others it does no more."""
_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_MOST_COLUMNS = 256
_SEED, _UNKNOWN = 20, "another text"


@dataclass(frozen=True)
class Opened:
    """A model whose constants are expressions of ``data``, as far as that is possible.

    ``fixed`` are ranges whose values are in the program, each with its fingerprint; ``twins`` are
    pairs of ranges that hold the same, of which the program reads one.
    """

    model: SheetModel
    data: tuple[CellRange, ...]
    fixed: tuple[tuple[CellRange, str], ...]
    twins: tuple[tuple[CellRange, CellRange], ...] = ()


def open_constants(model: SheetModel, text: Text) -> Opened:
    """The model as a program of cells; ``text`` writes one. Raises what ``text`` raises."""
    areas = read_directly(model)
    deciding = _deciding_ranges(model)
    held, twins = _without_twins(model, _in_the_text(model, areas, text), text)
    data: list[CellRange] = []
    for chosen in [held] if len(held) == 1 else [held, *([area] for area in held)]:
        numbers = [area for area in chosen if area not in data and _only_numbers(model, area)]
        found = _with_data(model, [*data, *numbers], text) if numbers else None
        if found is not None:
            data += numbers
            if len(data) == len(held):
                break
    opened = model
    if data:
        changed = _with_data(model, data, text)
        assert changed is not None
        opened = changed
        held, twins = _without_twins(opened, _in_the_text(opened, areas, text), text)
    fixed = list(dict.fromkeys([*held, *deciding]))
    return Opened(opened, tuple(data), _fingerprints(model.compiled.workbook, fixed), twins)


def read_directly(model: SheetModel) -> list[CellRange]:
    """Ranges without variable cells that the trained formulas read."""
    evaluation, workbook = model.compiled.evaluation, model.compiled.workbook
    roots = evaluation.overlapping(single_cell(model.problem.objective))
    found: dict[CellRange, None] = {}
    for unit in sorted(evaluation.ancestors(roots), key=lambda item: item.area):
        if unit.region is None or not unit.trained:
            continue
        for area in precedents(unit.region, workbook, bases=True):
            if not any(item.trained for item in evaluation.overlapping(area)):
                found[area] = None
            else:
                found |= dict.fromkeys(_untrained_part(area, evaluation.overlapping(area)))
    return list(found)


def _untrained_part(area: CellRange, units: Collection[Unit]) -> list[CellRange]:
    """What is left of a range beside trained units, in pieces of its columns."""
    found: list[CellRange] = []
    for place in range(area.left, min(area.right, area.left + _MOST_COLUMNS) + 1):
        column = dataclasses.replace(area, left=place, right=place)
        taken = [column.intersection(unit.area) for unit in units if unit.trained]
        start = column.top
        for one in sorted((item for item in taken if item), key=lambda item: item.top):
            if one.top > start:
                found.append(dataclasses.replace(column, top=start, bottom=one.top - 1))
            start = max(start, one.bottom + 1)
        if start <= column.bottom:
            found.append(dataclasses.replace(column, top=start))
    return found


def _deciding_ranges(model: SheetModel) -> list[CellRange]:
    """Ranges without variable cells by which trained formulas decide something."""
    evaluation = model.compiled.evaluation
    roots = evaluation.overlapping(single_cell(model.problem.objective))
    found: dict[CellRange, None] = {}
    for unit in sorted(evaluation.ancestors(roots), key=lambda item: item.area):
        if unit.region is not None and unit.trained:
            found |= dict.fromkeys(_Deciding(model, unit.region).ranges())
    return list(found)


@dataclass
class _Deciding:
    """What decides in the formula of a region."""

    model: SheetModel
    region: Region

    def ranges(self) -> list[CellRange]:
        found: list[CellRange] = []
        stack: list[tuple[formulas.Node, bool]] = [(self.region.tree, False)]
        while stack:
            node, decides = stack.pop()
            if isinstance(node, formulas.Reference):
                found += self._untrained(node) if decides else []
                continue
            below = formulas.children(node)
            if isinstance(node, formulas.Call) and node.function not in _PLAIN:
                decides = decides or not self._is_trained(node) or node.function not in _BRANCHES
                if node.function == "IF" and below and not self._is_trained(below[0]):
                    stack.append((below[0], not _asks_for_text(below[0])))
                    below = below[1:]
            elif isinstance(node, formulas.Binary) and node.operator in _COMPARISONS:
                if _asks_for_text(node):
                    continue  # the text of the program shows it
                decides = decides or not self._is_trained(node)
            elif not isinstance(node, formulas.Call | formulas.Binary | formulas.Unary):
                decides = True
            stack += [(item, decides) for item in below]
        return found

    def _areas(self, node: formulas.Node) -> list[CellRange]:
        workbook = self.model.compiled.workbook
        return precedents(self.region.with_tree(node), workbook, bases=True)

    def _is_trained(self, node: formulas.Node) -> bool:
        overlapping = self.model.compiled.evaluation.overlapping
        return any(unit.trained for area in self._areas(node) for unit in overlapping(area))

    def _untrained(self, node: formulas.Node) -> list[CellRange]:
        overlapping = self.model.compiled.evaluation.overlapping
        return [part for area in self._areas(node)
                for part in _untrained_part(area, overlapping(area))]  # fmt: skip


def _asks_for_text(node: formulas.Node) -> bool:
    """Whether a node is a comparison of cells with a text."""
    if not isinstance(node, formulas.Binary) or node.operator not in ("=", "<>"):
        return False
    sides = (node.left, node.right)
    text = any(isinstance(side, formulas.Text) for side in sides)
    return text and any(isinstance(side, formulas.Reference) for side in sides)


# ---------------------------------------------------------------- another workbook


def _in_the_text(model: SheetModel, areas: Sequence[CellRange], text: Text) -> list[CellRange]:
    """Those of the ranges whose values are in the text of the program."""
    plain = _code(text(model))
    size = 1 if len(areas) <= _MOST_AREAS else -(-len(areas) // _MOST_AREAS)
    if sum(area.size for area in areas) > _MOST_CELLS:
        size = max(len(areas), 1)
    groups = [list(areas[start : start + size]) for start in range(0, len(areas), size)]
    return [area for group in groups if _differs(model, group, text, plain) for area in group]


def _without_twins(
    model: SheetModel, held: Sequence[CellRange], text: Text
) -> tuple[list[CellRange], tuple[tuple[CellRange, CellRange], ...]]:
    """Ranges without those that are in the text only since others hold the same, and these pairs.

    They are read once: where they change together, the text stays.
    """
    groups: dict[tuple[int, int, bytes], list[CellRange]] = {}
    for area in held:
        if _only_numbers(model, area):
            values = stored(model.compiled.workbook, area).numpy()
            groups.setdefault((area.rows, area.columns, values.tobytes()), []).append(area)
    plain = _code(text(model))
    left, pairs = list(held), []
    for group in groups.values():
        if len(group) > 1 and not _differs(model, group, text, plain):
            left = [area for area in left if area not in group]
            first, *others = sorted(group)
            pairs += [(first, other) for other in others]
    return left, tuple(pairs)


def _differs(model: SheetModel, areas: Sequence[CellRange], text: Text, plain: str) -> bool:
    """Whether the text is another one where the cells hold other values."""
    workbook, literals = model.compiled.workbook, _literals(model)
    for area in areas:
        workbook = _with_others(workbook, area, literals)
    try:
        return _code(text(compile_problem(workbook, model.problem))) != plain
    except Xl2TorchError:
        return True


def _literals(model: SheetModel) -> list[str]:
    """Texts that the trained formulas name."""
    trees = [
        unit.region.tree for unit in model.compiled.evaluation.all_units()
        if unit.trained and unit.region is not None
    ]  # fmt: skip
    return sorted(
        {
            node.value
            for tree in trees
            for node in formulas.walk(tree)
            if isinstance(node, formulas.Text)
        }
    )


def _code(text: str) -> str:
    """A program without its comments, and without its counts of cells that are no numbers."""
    return re.sub(r", others=\d+", "", ast.unparse(ast.parse(text)))


def _with_others(workbook: Workbook, area: CellRange, literals: Sequence[str]) -> Workbook:
    """The workbook with other values, and no formulas, in a range; a few blanks have one too."""
    sheet = workbook.sheet(area.sheet)
    cells, random = sheet.cells, np.random.default_rng(_SEED)
    rows, columns = places_of(cells.keys)
    inside = (rows >= area.top) & (rows <= area.bottom)
    inside &= (columns >= area.left) & (columns <= area.right)
    numbers, texts, kinds = cells.numbers.copy(), cells.texts.copy(), cells.kinds.copy()
    plain = inside & (kinds == NUMBER)
    drawn = random.uniform(1.1, 1.3, int(plain.sum()))
    numbers[plain] = random.permutation(numbers[plain]) * 1.37 + drawn
    numbers[inside & (kinds == LOGICAL)] = 1.0 - numbers[inside & (kinds == LOGICAL)]
    words = np.flatnonzero(inside & (kinds == TEXT))
    texts[words] = random.permutation(texts[words])  # the same ones, in other cells
    if len(set(texts[words].tolist())) < 2:
        texts[words] = _UNKNOWN
    else:  # what formulas ask for, though no cell says it, and what they do not
        some = random.permutation(words)[: len(literals) + 1]
        texts[some] = [_UNKNOWN, *literals][: len(some)]
    found = SparseCells(cells.keys, numbers, kinds, texts)
    blanks = _first_blanks(workbook, area)
    if len(blanks):
        keys = np.concatenate([found.keys, blanks])
        order = np.argsort(keys, kind="stable")
        found = SparseCells(
            keys[order],
            np.concatenate([numbers, np.full(len(blanks), 0.37)])[order],
            np.concatenate([kinds, np.full(len(blanks), NUMBER, dtype=kinds.dtype)])[order],
            np.concatenate([texts, np.full(len(blanks), "", dtype=object)])[order],
        )
    formulas = tuple(
        item for item in sheet.formulas
        if not (area.top <= item.row <= area.bottom and area.left <= item.column <= area.right)
    )  # fmt: skip
    other = dataclasses.replace(sheet, cells=found, formulas=formulas)
    sheets = tuple(other if item is sheet else item for item in workbook.sheets)
    return dataclasses.replace(workbook, sheets=sheets)


def _first_blanks(workbook: Workbook, area: CellRange, most: int = 2) -> np.ndarray[Any, Any]:
    """Keys of the first blank cells of a range, of as many rows as a sheet is used for."""
    last = min(area.bottom, workbook.sheet(area.sheet).extent[0])
    if last < area.top:
        return np.empty(0, dtype=np.int64)
    used = dataclasses.replace(area, bottom=last)
    rows, columns = np.nonzero(stored(workbook, used).full_kinds[0, 0] == BLANK)
    keys = (rows[:most] + area.top) * (MAX_COLUMN + 1) + columns[:most] + area.left
    return keys.astype(np.int64)


# ---------------------------------------------------------------- data that is no constant


def _only_numbers(model: SheetModel, area: CellRange) -> bool:
    kinds = stored(model.compiled.workbook, area).full_kinds
    return bool((kinds == NUMBER).all())


def _with_data(model: SheetModel, data: Sequence[CellRange], text: Text) -> SheetModel | None:
    """The program with some ranges for weights, so that nothing is computed of them beforehand.

    None where it is not the same function, or much longer.
    """
    problem = model.problem
    variables = (*problem.variables, *data)
    try:
        found = compile_problem(
            model.compiled.workbook, dataclasses.replace(problem, variables=variables)
        )
        text(found)
    except Xl2TorchError:
        return None
    known = {node.target for node in model.graph.nodes}
    if not all(node.target in known or _is_plain(node) for node in found.graph.nodes):
        return None  # places in lists, for one, are better numbers than searches
    names = {variable.cells: variable.name for variable in found.variables}
    ours = [model.parameter(variable) for variable in model.variables]
    theirs = [found.get_parameter(names[variable.cells]) for variable in model.variables]
    first = torch.autograd.grad(model(), ours, allow_unused=True, materialize_grads=True)
    second = torch.autograd.grad(found(), theirs, allow_unused=True, materialize_grads=True)
    same = torch.allclose(model(), found(), rtol=1e-9, atol=1e-12) and all(
        torch.allclose(one, two, rtol=1e-6, atol=1e-9)
        for one, two in zip(first, second, strict=True)
    )
    return found if same else None


def _is_plain(node: fx.Node) -> bool:
    """Whether a node is no call, or one that a person would write of cells."""
    row = find_operator(node)
    if row is None:
        return not node.op.startswith("call")
    smooth = row.bend is Bend.SMOOTH or row.name == "abs"
    return smooth and not row.is_own and row.group in _PLAIN_GROUPS


def _fingerprints(
    workbook: Workbook, areas: Sequence[CellRange]
) -> tuple[tuple[CellRange, str], ...]:
    """Fingerprints of ranges, read as the written program reads them."""
    if not areas:
        return ()
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(
                BytesIO(workbook.package.packed()), read_only=True, data_only=True
            )
            return _read_by(book, areas)
    except Exception as error:  # it has many, and some for what is no damage
        raise ModelError(
            "the program reads its workbook with openpyxl, which cannot read this one "
            f'({type(error).__name__}): save it in Excel or LibreOffice first, or export `to="pt2"`'
        ) from None


def _read_by(book: Any, areas: Sequence[CellRange]) -> tuple[tuple[CellRange, str], ...]:
    return tuple(
        (area, fingerprint(book, area.sheet, area.a1))  # type: ignore[no-untyped-call]
        for area in areas
    )
