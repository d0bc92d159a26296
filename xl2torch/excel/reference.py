"""References: where to look. What decides the place is constant, or piecewise constant (INDEX)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    all_of,
    along,
    as_numbers,
    constant,
    scalar,
    to_int64,
    truth,
)  # fmt: skip
from xl2torch.arrays.operators import texts_of
from xl2torch.arrays.shapes import full_data, pick, pick_traced
from xl2torch.cells.address import MAX_COLUMN, MAX_ROW, column_letters, quote_sheet
from xl2torch.cells.values import BLANK, FIRST_ERROR, NULL, REF, VALUE, error_of_kind
from xl2torch.excel.matrix import transpose
from xl2torch.excel.registry import Context, IntArray, function
from xl2torch.excel.text import each
from xl2torch.formula.ast import Bound, Call, Missing, Node, Reference, children
from xl2torch.ir.facts import value_of
from xl2torch.ir.trace import Data, apply


@dataclass(frozen=True)
class Place:
    """A rectangle per copy of the formula: first row and column (four axes), and the size."""

    sheet: str
    top: IntArray
    left: IntArray
    height: int
    width: int


def _whole(context: Context, node: Node | None, default: int) -> IntArray:
    """A constant whole number per cell of the region, fractions cut off."""
    if node is None or isinstance(node, Missing):
        return np.full((1, 1, 1, 1), default, dtype=np.int64)
    return whole_numbers(context.evaluate(node))


def whole_numbers(array: Array) -> IntArray:
    """Constants as whole numbers, fractions cut off."""
    array = as_numbers(array)
    if array.shape[HEIGHT] != 1 or array.shape[WIDTH] != 1:
        raise Unsupported("an offset that is an array")
    errors = array.full_kinds[array.full_kinds >= FIRST_ERROR]
    if len(errors):
        if array.shape != (1, 1, 1, 1):
            raise NotVectorisable("an offset that is an error in some of the copied cells")
        raise ExcelError(error_of_kind(int(errors[0])))
    return to_int64(np.floor(array.numpy()))


# ---------------------------------------------------------------- places


def place_of(context: Context, node: Node, what: str) -> Place:
    """The place that a reference, or a function that gives one, stands for.

    Raises Unsupported when the node is neither.
    """
    node = context.resolved(node)
    if isinstance(node, Reference):
        area, moves_down, moves_right = context.area(node)
        rows = np.full((1, 1, 1, 1), area.top, dtype=np.int64)
        columns = np.full((1, 1, 1, 1), area.left, dtype=np.int64)
        if moves_down:
            step = context.step[0]
            rows = rows + step * np.arange(context.copies[0]).reshape(-1, 1, 1, 1)
        if moves_right:
            step = context.step[1]
            columns = columns + step * np.arange(context.copies[1]).reshape(1, -1, 1, 1)
        return Place(area.sheet, rows, columns, area.rows, area.columns)
    if isinstance(node, Call) and node.function in PLACES:
        return PLACES[node.function](context, *node.arguments)
    raise Unsupported(f"{what} of something that is not a plain reference")


def _size(value: IntArray) -> int:
    if value.min() != value.max():
        raise NotVectorisable("a height or width that differs among the copied cells")
    size = int(value.flat[0])
    if size == 0:
        raise ExcelError(REF)
    return size


def _offset(
    context: Context, base: Node, rows: Node, columns: Node,
    height: Node | None = None, width: Node | None = None,
) -> Place:  # fmt: skip
    start = place_of(context, base, "OFFSET")
    tall = _size(_whole(context, height, start.height))
    wide = _size(_whole(context, width, start.width))
    top = start.top + _whole(context, rows, 0)
    left = start.left + _whole(context, columns, 0)
    if tall < 0:
        top, tall = top + tall + 1, -tall
    if wide < 0:
        left, wide = left + wide + 1, -wide
    return Place(start.sheet, top, left, tall, wide)


def _index(
    context: Context, base: Node, row: Node, column: Node | None = None, part: Node | None = None
) -> Place:
    whole = place_of(context, _part(context, base, part), "INDEX")
    rows, columns = _whole(context, row, 0), _whole(context, column, 0)
    if column is None:
        if whole.height == 1:
            rows, columns = np.ones_like(rows), rows
        elif whole.width == 1:
            columns = np.ones_like(rows)
        else:
            raise ExcelError(REF)
    if rows.min() < 0 or columns.min() < 0:
        if rows.size == columns.size == 1:
            raise ExcelError(VALUE)
        raise NotVectorisable("INDEX with a negative place in some of the copied cells")
    if rows.max() > whole.height or columns.max() > whole.width:
        if rows.size == columns.size == 1:
            raise ExcelError(REF)
        raise NotVectorisable("some of the copied cells look beyond the range (#REF!)")
    all_rows, all_columns = not rows.any(), not columns.any()
    if (not all_rows and rows.min() == 0) or (not all_columns and columns.min() == 0):
        raise NotVectorisable("INDEX with 0 in only some of the copied cells")
    return Place(
        whole.sheet,
        whole.top if all_rows else whole.top + rows - 1,
        whole.left if all_columns else whole.left + columns - 1,
        whole.height if all_rows else 1,
        whole.width if all_columns else 1,
    )


def _part(context: Context, base: Node, part: Node | None) -> Node:
    """One area of a union, the first unless another is asked for."""
    areas: list[Node] = []
    stack = [context.resolved(base)]
    while stack:
        node = stack.pop()
        if isinstance(node, Call) and node.function == "UNION":
            stack += reversed(node.arguments)
        else:
            areas.append(node)
    number = _whole(context, part, 1)
    if number.min() != number.max():
        raise NotVectorisable("INDEX into areas that differ among the copied cells")
    if not 1 <= number.flat[0] <= len(areas):
        raise ExcelError(REF)
    return areas[int(number.flat[0]) - 1]


_R1C1 = re.compile(
    r"(R(?P<row>[0-9]{1,8}|\[-?[0-9]{1,8}\])?)?(C(?P<column>[0-9]{1,8}|\[-?[0-9]{1,8}\])?)?",
    re.IGNORECASE,
)


def _from_r1c1(text: str, sheet: str, own: tuple[int, int]) -> Reference | None:
    """Reference that an address in R1C1 style means for a cell; None when it is none."""
    corners = []
    for corner in text.split(":"):
        match = _R1C1.fullmatch(corner.strip())
        if match is None or not (match[1] and match[3]):
            return None
        places = []
        for written, origin in ((match["row"], own[0]), (match["column"], own[1])):
            if written is None:
                places.append(origin)
            else:
                number = int(written.strip("[]"))
                places.append(number + origin if written[0] == "[" else number)
        corners.append(places)
    (top, left), (bottom, right) = corners[0], corners[-1]
    top, bottom, left, right = (
        min(top, bottom),
        max(top, bottom),
        min(left, right),
        max(left, right),
    )
    if len(corners) > 2 or top < 1 or left < 1 or bottom > MAX_ROW or right > MAX_COLUMN:
        return None
    bounds = (Bound(place, False) for place in (top, left, bottom, right))
    return Reference(sheet, *bounds)


def _indirect(context: Context, text: Node, style: Node | None = None) -> Place:
    a1 = True
    if style is not None and not isinstance(style, Missing):
        flag = as_numbers(context.evaluate(style)).numpy() != 0
        if flag.any() != flag.all():
            raise NotVectorisable("INDIRECT in two styles of addresses")
        a1 = bool(flag.all())
    elif style is not None:
        a1 = False
    address = context.evaluate(text)
    if address.shape[2:] != (1, 1):
        raise Unsupported("INDIRECT of an array")
    errors = address.full_kinds[address.full_kinds >= FIRST_ERROR]
    if len(errors):
        if address.shape == (1, 1, 1, 1):
            raise ExcelError(error_of_kind(int(errors[0])))
        raise NotVectorisable("INDIRECT of an error in some of the copied cells")
    # A relative R1C1 address is another cell in each copy, so each copy reads the text for itself.
    texts = texts_of(address)
    if not a1 and context.copies != (1, 1):
        texts = np.broadcast_to(texts, (*context.copies, 1, 1))
    places = []
    for copy in np.ndindex(texts.shape):
        if a1:
            node = context.parse(str(texts[copy]))
        else:
            own = (context.region.top + context.step[0] * copy[0],
                   context.region.left + context.step[1] * copy[1])  # fmt: skip
            node = _from_r1c1(str(texts[copy]), context.region.sheet, own)
        if not isinstance(node, Reference):
            if texts.size > 1:
                raise NotVectorisable("INDIRECT with an address that some copies cannot read")
            raise ExcelError(REF)
        places.append(place_of(context, node, "INDIRECT"))
    first = places[0]
    alike = {(place.sheet, place.height, place.width) for place in places}
    if len(alike) > 1:
        raise NotVectorisable("INDIRECT to ranges of unequal size")
    shape = texts.shape
    top = np.array([place.top.flat[0] for place in places]).reshape(shape)
    left = np.array([place.left.flat[0] for place in places]).reshape(shape)
    return Place(first.sheet, top, left, first.height, first.width)


def _range(context: Context, first: Node, last: Node) -> Place:
    """``A1:INDEX(…)``: the smallest rectangle around both."""
    one, two = place_of(context, first, "a range"), place_of(context, last, "a range")
    if one.sheet != two.sheet:
        raise ExcelError(REF)
    top, left = np.minimum(one.top, two.top), np.minimum(one.left, two.left)
    bottom = np.maximum(one.top + one.height, two.top + two.height)
    right = np.maximum(one.left + one.width, two.left + two.width)
    return Place(one.sheet, top, left, _size(bottom - top), _size(right - left))


def _intersection(context: Context, first: Node, last: Node) -> Place:
    """``A1:C3 B2:D4``: the cells in both; none is #NULL!."""
    one, two = place_of(context, first, "a range"), place_of(context, last, "a range")
    top, left = np.maximum(one.top, two.top), np.maximum(one.left, two.left)
    bottom = np.minimum(one.top + one.height, two.top + two.height)
    right = np.minimum(one.left + one.width, two.left + two.width)
    if one.sheet != two.sheet or (bottom <= top).any() or (right <= left).any():
        if top.size == left.size == 1:
            raise ExcelError(NULL)
        raise NotVectorisable("ranges that do not meet in some of the copied cells")
    return Place(one.sheet, top, left, _size(bottom - top), _size(right - left))


def _choose_place(context: Context, which: Node, *choices: Node) -> Place:
    index = _whole(context, which, 1)
    if index.min() != index.max():
        raise NotVectorisable("CHOOSE of different ranges in the copied cells")
    chosen = int(index.flat[0])
    if not 1 <= chosen <= len(choices):
        raise ExcelError(VALUE)
    return place_of(context, choices[chosen - 1], "CHOOSE")


def _if_place(context: Context, test: Node, *branches: Node) -> Place:
    condition = truth(context.evaluate(test)).numpy() != 0
    if condition.any() != condition.all():
        raise NotVectorisable("IF between ranges that differ among the copied cells")
    index = 0 if condition.all() else 1
    if index >= len(branches):
        raise Unsupported("IF without a range")
    return place_of(context, branches[index], "IF")


PLACES: dict[str, Callable[..., Place]] = {
    "OFFSET": _offset, "INDEX": _index, "INDIRECT": _indirect, "RANGE": _range,
    "INTERSECTION": _intersection, "CHOOSE": _choose_place, "IF": _if_place,
}  # fmt: skip


def read_place(context: Context, place: Place) -> Array:
    """The cells of a place."""
    top, left = place.top, place.left
    if (
        top.min() < 1
        or left.min() < 1
        or top.max() + place.height - 1 > MAX_ROW
        or left.max() + place.width - 1 > MAX_COLUMN
    ):
        if top.size == left.size == 1:
            raise ExcelError(REF)
        raise NotVectorisable("some of the copied cells look beyond the sheet (#REF!)")
    return context.gather(
        place.sheet,
        top + np.arange(place.height).reshape(1, 1, -1, 1),
        left + np.arange(place.width).reshape(1, 1, 1, -1),
    )


# ---------------------------------------------------------------- the functions


@function("OFFSET", "nnn", "nn", gradient="values")
def offset(context: Context, *arguments: Node) -> Array:
    """A range moved from a reference. With constant arguments it is an index: an embedding."""
    return read_place(context, _offset(context, *arguments))


@function("INDIRECT", "n", "n", gradient="values")
def indirect(context: Context, *arguments: Node) -> Array:
    """The range whose address a constant text gives."""
    return read_place(context, _indirect(context, *arguments))


@function("RANGE", "nn", gradient="values")
def range_(context: Context, first: Node, last: Node) -> Array:
    """The operator ``:`` between computed references."""
    return read_place(context, _range(context, first, last))


@function("INTERSECTION", "nn", gradient="values")
def intersection(context: Context, first: Node, last: Node) -> Array:
    """The operator blank: the cells that two ranges share."""
    return read_place(context, _intersection(context, first, last))


@function("INDEX", "nn", "nn", gradient="values")
def index(
    context: Context, base: Node, row: Node, column: Node | None = None, part: Node | None = None
) -> Array:
    """One cell of a range or array, or a whole row or column of it when the other index is 0."""
    base = _part(context, base, part)
    places = [None if node is None or isinstance(node, Missing) else context.evaluate(node)
              for node in (row, column)]  # fmt: skip
    arrays = any(item is not None and item.shape[2:] != (1, 1) for item in places)
    trained = any(item is not None and item.traced for item in places)
    computed = isinstance(base, Call) and base.function in PLACES
    if (isinstance(base, Reference) or computed) and not trained and not arrays:
        return read_place(context, _index(context, base, row, column))
    table = context.evaluate_range(base) if isinstance(base, Reference) else context.evaluate(
        base, array=True
    )  # fmt: skip
    down, across = places
    if column is None and table.shape[HEIGHT] == 1:
        down, across = None, down
    elif column is None and table.shape[WIDTH] == 1:
        across = constant(np.ones((1, 1, 1, 1)))
    elif column is None and isinstance(base, Reference):
        raise ExcelError(REF)
    for axis, place in ((HEIGHT, down), (WIDTH, across)):
        if place is not None:
            table = _element(table, axis, place)
    return table


def _element(table: Array, axis: int, place: Array) -> Array:
    """Elements of an array at a place along one axis; 0 takes all."""
    place = as_numbers(place)
    size = table.shape[axis]
    if place.traced:
        if place.shape[2:] != (1, 1):
            raise Unsupported("INDEX with an array of trained places")
        return taken_at(table, axis, place)
    if place.kinds is not None and place.shape == (1, 1, 1, 1):
        raise ExcelError(error_of_kind(int(place.full_kinds.flat[0])))
    if place.kinds is not None or (place.shape[HEIGHT] > 1 and place.shape[WIDTH] > 1):
        raise NotVectorisable(
            "INDEX with places some of which are errors, or with a table of places"
        )
    where = to_int64(np.floor(place.numpy()))
    if where.size == 1 and not where.any():
        return table
    if (where < 0).any():
        raise (
            ExcelError(VALUE) if where.size == 1 else NotVectorisable("INDEX with a negative place")
        )
    if (where > size).any():
        if where.size == 1:
            raise ExcelError(REF)
        raise NotVectorisable("some of the copied cells look beyond the array (#REF!)")
    if (where == 0).any():
        raise NotVectorisable("INDEX with 0 in only some of the copied cells")
    if where.size == 1:
        return along(table, axis, int(where.flat[0]) - 1, 1, 1)
    other = HEIGHT if axis == WIDTH else WIDTH
    if where.shape[other] > 1:
        where = where.swapaxes(HEIGHT, WIDTH)
        if table.shape[other] > 1:
            raise Unsupported("INDEX with an array of places in a table")
        picked = pick(table, axis, where - 1)
        return transpose(picked)
    return pick(table, axis, where - 1)


def taken_at(table: Array, axis: int, place: Array) -> Array:
    """Elements at a trained place (1, 2, …): piecewise constant in it, exact in the elements.

    Beyond the array it is an error.
    """
    size = table.shape[axis]
    number = full_data(place)
    position = apply(torch.sub, apply(torch.floor, apply(torch.detach, number)), 1.0)
    if bool((value_of(position) == -1).any()):
        raise Unsupported("a trained place of 0, which takes the whole row or column")
    inside = apply(
        torch.logical_and,
        apply(torch.ge, position, 0.0),
        apply(torch.le, position, float(size - 1)),
    )
    safe: Data = apply(torch.clamp, position, 0, size - 1)
    where = apply(torch.Tensor.to, safe, torch.int64)
    found = pick_traced(table, axis, where, place.shape)
    axes = tuple(item for item in range(4) if place.shape[item] > 1)
    mask = apply(torch.reshape, inside, tuple(place.shape[item] for item in axes))
    valid = all_of(found.valid, place.valid, Array(mask, axes, place.shape))
    return replace(found, valid=valid, from_cells=False)


@function("ROW", "", "n", gradient="none")
def row(context: Context, node: Node | None = None) -> Array:
    """Row number of a reference, or of the formula's own cell."""
    if node is None:
        first, step = context.region.top, context.step[0]
        return constant((first + step * np.arange(context.copies[0] + 0.0)).reshape(-1, 1, 1, 1))
    place = place_of(context, node, "ROW")
    return constant((place.top + np.arange(place.height).reshape(1, 1, -1, 1)).astype(float))


@function("COLUMN", "", "n", gradient="none")
def column(context: Context, node: Node | None = None) -> Array:
    """Column number of a reference, or of the formula's own cell."""
    if node is None:
        first, step = context.region.left, context.step[1]
        return constant((first + step * np.arange(context.copies[1] + 0.0)).reshape(1, -1, 1, 1))
    place = place_of(context, node, "COLUMN")
    return constant((place.left + np.arange(place.width).reshape(1, 1, 1, -1)).astype(float))


def _length(context: Context, node: Node, axis: int) -> Array:
    node = context.resolved(node)
    if isinstance(node, Reference):
        if axis == HEIGHT and node.whole_columns:
            size = MAX_ROW
        elif axis == WIDTH and node.whole_rows:
            size = MAX_COLUMN
        else:
            place = place_of(context, node, "ROWS")
            size = place.height if axis == HEIGHT else place.width
    else:
        size = context.evaluate(node, array=True).shape[axis]
    return constant(np.full((1, 1, 1, 1), float(size)))


@function("ROWS", "n", gradient="none")
def rows(context: Context, node: Node) -> Array:
    """How many rows a range or array has."""
    return _length(context, node, HEIGHT)


@function("COLUMNS", "n", gradient="none")
def columns(context: Context, node: Node) -> Array:
    """How many columns a range or array has."""
    return _length(context, node, WIDTH)


@function("AREAS", "n", gradient="none")
def areas(context: Context, node: Node) -> Array:
    """How many areas a reference has."""
    count = 1
    while isinstance(node, Call) and node.function == "UNION":
        node, count = node.arguments[0], count + 1
    place_of(context, node, "AREAS")
    return constant(np.full((1, 1, 1, 1), float(count)))


@function("ISREF", "n", gradient="none")
def isref(context: Context, node: Node) -> Array:
    """Whether the argument is a reference."""
    node = context.resolved(node)
    computed = isinstance(node, Call) and node.function in (*PLACES, "UNION")
    if computed and node.function == "IF":  # type: ignore[union-attr]
        computed = any(isinstance(context.resolved(item), Reference) for item in children(node))
    return scalar(isinstance(node, Reference) or computed)


@function("ISFORMULA", "n", gradient="none")
def isformula(context: Context, node: Node) -> Array:
    """Whether a cell holds a formula."""
    place = place_of(context, node, "ISFORMULA")
    down = place.top + np.arange(place.height).reshape(1, 1, -1, 1)
    across = place.left + np.arange(place.width).reshape(1, 1, 1, -1)
    return context.holds_formula(place.sheet, down, across)


@function("ADDRESS", "vv", "vvv", gradient="none")
def address(
    row_: Array, column_: Array, kind: Array | None = None, style: Array | None = None,
    sheet: Array | None = None,
) -> Array:  # fmt: skip
    """The address of a cell as a text, absolute unless the kind says otherwise."""

    def write(row: float, column: float, kind: float, a1: float, sheet: str | None) -> str:
        row, column = int(row), int(column)
        if not (1 <= row <= MAX_ROW and 1 <= column <= MAX_COLUMN and 1 <= int(kind) <= 4):
            raise ExcelError(VALUE)
        fixed_row, fixed_column = int(kind) in (1, 2), int(kind) in (1, 3)
        if a1:
            text = f"{'$' * fixed_column}{column_letters(column)}{'$' * fixed_row}{row}"
        else:
            text = f"R{row}" if fixed_row else f"R[{row}]"
            text += f"C{column}" if fixed_column else f"C[{column}]"
        return text if sheet is None else f"{quote_sheet(sheet) if sheet else ''}!{text}"

    numbers = [row_, column_, _default(kind, 1.0), _default(style, 1.0)]
    if sheet is None:
        return each(lambda r, c, k, a: write(r, c, k, a, None), "nnnn", *numbers)
    return each(write, "nnnnt", *numbers, sheet or scalar(""))


def _default(array: Array | None, number: float) -> Array:
    if array is None or (array.kinds is not None and (array.kinds == BLANK).all()):
        return scalar(number)
    return array
