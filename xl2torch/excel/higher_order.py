"""LET, LAMBDA and the functions that take one.

A LAMBDA that is applied to every element of an array is computed once, for all elements together:
they become copies of the formula. Where that is not possible, element by element.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator

import numpy as np
import torch

from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    UnknownFunction,
    Unsupported,
    along,
    broadcast_shape,
    check_count,
    check_size,
    constant,
    elementwise,
    pad,
    scalar,
    spread,
)  # fmt: skip
from xl2torch.arrays.shapes import from_full, full_data, join, one_copy, renamed, scalars
from xl2torch.cells.values import ERRORS, VALUE
from xl2torch.excel.dynamic import whole
from xl2torch.excel.registry import Context, family, function
from xl2torch.formula.ast import Binary, Call, Missing, Node, walk
from xl2torch.ir.trace import apply
from xl2torch.safety.limits import CALLS, MOST_CALLS, MOST_TRACED_CALLS

CALC = ERRORS["#CALC!"]
Applied = Callable[..., Array]


@function("LET", "nnn", repeats=True)
def let(context: Context, *arguments: Node) -> Array:
    """Names for intermediate results."""
    return context.let(arguments)


@function("LAMBDA", "n", repeats=True)
def lambda_(context: Context, *arguments: Node) -> Array:
    """A function; as the result of a cell it is #CALC!."""
    raise ExcelError(CALC)


@function("ISOMITTED", "n", gradient="none")
def isomitted(context: Context, node: Node) -> Array:
    """Whether an optional argument of the LAMBDA was left out."""
    return scalar(context.is_omitted(node))


def _single(array: Array) -> Array:
    """A result that has to be one value: an array in an array is #CALC!."""
    if array.shape[2:] != (1, 1):
        raise ExcelError(CALC)
    return array


def _together(apply_: Applied, shape: tuple[int, int], *arguments: Array) -> Array:
    """The results for arguments that are copies, as an inner array of a shape."""
    result = _single(apply_(*arguments))
    result = renamed(renamed(result, ROW, HEIGHT), COLUMN, WIDTH)
    return spread(result, (1, 1, *shape))


def _one_by_one(
    apply_: Applied, shape: tuple[int, int], arguments: Iterator[tuple[Array, ...]]
) -> Array:
    results = []
    for operands in arguments:
        try:
            results.append(_single(apply_(*operands)))
        except ExcelError as error:
            results.append(scalar(error.error))
    height, width = shape
    rows = [join(results[row * width : (row + 1) * width], WIDTH) for row in range(height)]
    return join(rows, HEIGHT)


def _applied(
    context: Context, callee: Node, shape: tuple[int, int], copies: tuple[Array, ...],
    elements: Callable[[], Iterator[tuple[Array, ...]]],
) -> Array:  # fmt: skip
    if context.copies != (1, 1) or context.is_mapped:
        # The outer axes hold the copies of the formula (or of an outer LAMBDA) already.
        return _one_by_one(context.callee(callee), shape, elements())
    try:
        return _together(context.callee(callee, mapped=True), shape, *copies)
    except UnknownFunction:
        raise
    except (NotVectorisable, ExcelError, Unsupported):
        return _one_by_one(context.callee(callee), shape, elements())


@function("MAP", "nn", repeats=True)
def map_(context: Context, *arguments: Node) -> Array:
    """A LAMBDA of each element of an array, or of the elements of several."""
    *nodes, callee = arguments
    arrays = [context.evaluate_range(node) for node in nodes]
    one_copy(*arrays)
    shape = broadcast_shape(*arrays)
    arrays = [spread(pad(array, shape), shape) for array in arrays]

    def elements() -> Iterator[tuple[Array, ...]]:
        for row in range(shape[HEIGHT]):
            for column in range(shape[WIDTH]):
                yield tuple(_element(array, row, column) for array in arrays)

    copies = tuple(scalars(array) for array in arrays)
    return _applied(context, callee, (shape[HEIGHT], shape[WIDTH]), copies, elements)


def _element(array: Array, row: int, column: int) -> Array:
    return along(along(array, HEIGHT, row, 1, 1), WIDTH, column, 1, 1)


@family({"BYROW": (HEIGHT, ROW), "BYCOL": (WIDTH, COLUMN)}, "nn")
def byrow(axes: tuple[int, int], context: Context, node: Node, callee: Node) -> Array:
    """A LAMBDA of each row (column) of an array."""
    inner, outer = axes
    array = context.evaluate_range(node)
    one_copy(array)
    count = array.shape[inner]

    def elements() -> Iterator[tuple[Array, ...]]:
        for place in range(count):
            yield (along(array, inner, place, 1, 1),)

    shape = (count, 1) if inner == HEIGHT else (1, count)
    return _applied(context, callee, shape, (renamed(array, inner, outer),), elements)


@function("MAKEARRAY", "nnn")
def makearray(context: Context, rows: Node, columns: Node, callee: Node) -> Array:
    """An array from a LAMBDA of the row and column number."""
    height, width = whole(context.evaluate(rows), 1), whole(context.evaluate(columns), 1)
    if height < 1 or width < 1:
        raise ExcelError(VALUE)
    check_size(height, width)
    down = constant(np.arange(1.0, height + 1).reshape(-1, 1, 1, 1))
    across = constant(np.arange(1.0, width + 1).reshape(1, -1, 1, 1))

    def elements() -> Iterator[tuple[Array, ...]]:
        for row in range(height):
            for column in range(width):
                yield scalar(row + 1.0), scalar(column + 1.0)

    return _applied(context, callee, (height, width), (down, across), elements)


def _steps(context: Context, arguments: tuple[Node, ...]) -> tuple[list[Array], Array]:
    """What REDUCE holds after each element, and the array itself."""
    start, node, callee = arguments if len(arguments) == 3 else (Missing(), *arguments)
    array = context.evaluate_range(node)
    one_copy(array)
    count = math.prod(array.shape)
    check_count(count, MOST_CALLS, CALLS)
    apply_ = context.callee(callee)
    held: Array | None = None if isinstance(start, Missing) else context.evaluate_range(start)
    found = []
    for row in range(array.shape[HEIGHT]):
        for column in range(array.shape[WIDTH]):
            element = _element(array, row, column)
            if held is None:
                held = element
            else:
                try:
                    held = apply_(held, element)
                except ExcelError as error:
                    held = scalar(error.error)
            if held.traced:
                check_count(count, MOST_TRACED_CALLS, f"{CALLS} with trained values")
            found.append(held)
    return found, array


def _running_sum(context: Context, arguments: tuple[Node, ...]) -> Array | None:
    """What SCAN gives where its LAMBDA adds to what it holds, over a column or row of numbers.

    None where it is something else, or may meet a text or an error.
    """
    start, node, callee = arguments if len(arguments) == 3 else (Missing(), *arguments)
    if isinstance(start, Missing) or (term := _addend(callee)) is None:
        return None
    if context.evaluate_range(node).kinds is not None:
        return None  # a text or a blank is one thing to a function in a cell, another as a value
    terms = map_(context, node, term)
    first = context.evaluate_range(start)
    axis = HEIGHT if terms.shape[WIDTH] == 1 else WIDTH
    plain = all(array.kinds is None and array.valid is None for array in (terms, first))
    lies = terms.shape[HEIGHT] * terms.shape[WIDTH] == terms.shape[axis] > 1
    if not (terms.traced and plain and lies) or first.shape != (1, 1, 1, 1):
        return None
    total = from_full(apply(torch.cumsum, full_data(terms), dim=axis), terms.shape)
    return elementwise(operator.add, total, first)


def _addend(callee: Node) -> Node | None:
    """LAMBDA(b, term) of LAMBDA(a, b, a + term); None of any other."""
    if not isinstance(callee, Call) or callee.function != "LAMBDA" or len(callee.arguments) != 3:
        return None
    held, element, body = callee.arguments
    terms: list[Node] = []
    while isinstance(body, Binary) and body.operator == "+" and body.left != held:
        if body.right == held:
            terms.append(body.left)
            break
        terms.append(body.right)
        body = body.left
    else:
        if not isinstance(body, Binary) or body.operator != "+":
            return None
        terms.append(body.right)
    if held in (part for term in terms for part in walk(term)):
        return None
    total = terms.pop()
    while terms:
        total = Binary("+", total, terms.pop())
    return Call("LAMBDA", (element, total))


@function("REDUCE", "nn", "n")
def reduce(context: Context, *arguments: Node) -> Array:
    """The last value of a LAMBDA that takes its previous value and the next element."""
    running = _running_sum(context, arguments)
    if running is not None:
        last = running.shape[HEIGHT] - 1, running.shape[WIDTH] - 1
        return _element(running, *last)
    return _steps(context, arguments)[0][-1]


@function("SCAN", "nn", "n")
def scan(context: Context, *arguments: Node) -> Array:
    """Every value of a LAMBDA that takes its previous value and the next element."""
    running = _running_sum(context, arguments)
    if running is not None:
        return running
    found, array = _steps(context, arguments)
    width = array.shape[WIDTH]
    found = [_single(item) for item in found]
    rows = [join(found[start : start + width], WIDTH) for start in range(0, len(found), width)]
    return join(rows, HEIGHT)
