"""SUBTOTAL and AGGREGATE: one of nineteen functions, without the cells that are to be ignored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xl2torch.arrays.array import (
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    as_float,
    as_numbers,
    choose,
    constant,
    scalar,
)  # fmt: skip
from xl2torch.arrays.operators import divide
from xl2torch.cells.values import BLANK, FIRST_ERROR, NUMBER, VALUE, error_of_kind
from xl2torch.excel.mathematical import extreme, total
from xl2torch.excel.registry import FUNCTIONS, Context, function
from xl2torch.formula.ast import Call, Node, Reference

_FUNCTIONS = (
    "AVERAGE", "COUNT", "COUNTA", "MAX", "MIN", "PRODUCT", "STDEV.S", "STDEV.P", "SUM", "VAR.S",
    "VAR.P", "MEDIAN", "MODE.SNGL", "LARGE", "SMALL", "PERCENTILE.INC", "QUARTILE.INC",
    "PERCENTILE.EXC", "QUARTILE.EXC",
)  # fmt: skip
_WITH_RANK = 14


def _constant(context: Context, node: Node) -> int:
    number = as_numbers(context.evaluate(node))
    if number.traced:
        raise Unsupported("a trained value chooses the function")
    if number.kinds is not None:
        raise ExcelError(error_of_kind(int(number.full_kinds.max())))
    values = number.numpy()
    if (values != values.flat[0]).any():
        raise NotVectorisable("a function that differs among the copied cells")
    if not np.isfinite(values.flat[0]):
        raise ExcelError(VALUE)
    return int(np.trunc(values.flat[0]))


def _visible(
    context: Context, node: Node, hidden: bool, filtered: bool, nested: bool, errors: bool
) -> Array:
    """The argument, with a blank for every cell that is ignored."""
    node = context.resolved(node)
    array = context.evaluate_range(node) if isinstance(node, Reference) else context.evaluate(
        node, array=True
    )  # fmt: skip
    drop = np.zeros((1, 1, 1, 1), dtype=bool)
    if isinstance(node, Reference):
        area, moves_down, moves_right = context.area(node)
        if moves_down or moves_right:
            whole = context.swept(node)
            if whole is None or context.ignored(whole, hidden, filtered, nested).any():
                raise NotVectorisable("cells that are ignored in ranges that move")
        else:
            drop = context.ignored(area, hidden, filtered, nested)[None, None]
    if errors:
        drop = drop | (np.asarray(array.full_kinds) >= FIRST_ERROR)
    if not drop.any():
        return array
    kinds = np.where(drop, BLANK, array.full_kinds).astype(np.uint8)
    if not array.traced:
        numbers = np.where(np.broadcast_to(drop, array.shape), 0.0, array.numpy())
        fresh = constant(numbers, np.broadcast_to(kinds, array.shape).copy(),
                         np.array(array.full_texts))  # fmt: skip
        return replace(fresh, from_cells=True)
    return replace(array, kinds=kinds, from_cells=True)


def _without_trained_errors(name: str, array: Array) -> Array:
    """SUM, COUNT, AVERAGE, MAX or MIN of the trained values that are no errors."""
    valid = array.valid
    assert valid is not None
    safe = replace(array, valid=None)
    if array.kinds is not None and (array.kinds != NUMBER).any():
        raise Unsupported("trained errors are ignored among other cells")
    always = as_float(valid)
    if name == "COUNT":
        return total((always,))
    if name in ("SUM", "AVERAGE"):
        summed = total((replace(choose(valid, safe, scalar(0.0)), from_cells=True),))
        return summed if name == "SUM" else divide(summed, total((always,)))
    if name in ("MAX", "MIN"):
        worst = -1e308 if name == "MAX" else 1e308
        return extreme(name == "MAX", (choose(valid, safe, scalar(worst)),))
    raise Unsupported(f"{name} that ignores errors of trained values")


def _aggregated(name: str, arrays: list[Array], errors: bool) -> Array:
    if errors and any(array.valid is not None for array in arrays):
        if len(arrays) > 1:
            raise Unsupported("errors of trained values are ignored in several ranges")
        return _without_trained_errors(name, arrays[0])
    return FUNCTIONS[name].compute(*arrays)


@function("SUBTOTAL", "nn", repeats=True)
def subtotal(context: Context, which: Node, *nodes: Node) -> Array:
    """One of eleven functions (from 101 on: without hidden rows), without other subtotals."""
    number = _constant(context, which)
    hidden = number > 100
    number -= 100 * hidden
    if not 1 <= number <= 11:
        raise ExcelError(VALUE)
    if not all(_is_reference(context, node) for node in nodes):
        raise ExcelError(VALUE)
    arrays = [_visible(context, node, hidden, True, True, False) for node in _single(nodes)]
    return FUNCTIONS[_FUNCTIONS[number - 1]].compute(*arrays)


def _is_reference(context: Context, node: Node) -> bool:
    resolved = context.resolved(node)
    return isinstance(resolved, Reference) or (
        isinstance(resolved, Call)
        and resolved.function in ("UNION", "OFFSET", "INDEX", "INDIRECT", "RANGE", "INTERSECTION")
    )


def _single(nodes: tuple[Node, ...]) -> list[Node]:
    """References, unions taken apart."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Call) and node.function == "UNION":
            found += _single(node.arguments)
        else:
            found.append(node)
    return found


_OPTIONS = {
    0: (False, True, False), 1: (True, True, False), 2: (False, True, True),
    3: (True, True, True), 4: (False, False, False), 5: (True, False, False),
    6: (False, False, True), 7: (True, False, True),
}  # fmt: skip
"""Hidden rows, nested totals, errors: what is ignored, by option."""


@function("AGGREGATE", "nnn", repeats=True)
def aggregate(context: Context, which: Node, option: Node, *nodes: Node) -> Array:
    """One of nineteen functions, without hidden rows, other totals or errors, by the option."""
    number, rule = _constant(context, which), _constant(context, option)
    if not 1 <= number <= 19 or rule not in _OPTIONS:
        raise ExcelError(VALUE)
    hidden, nested, errors = _OPTIONS[rule]
    name = _FUNCTIONS[number - 1]
    if number >= _WITH_RANK:
        if len(nodes) != 2:
            raise ExcelError(VALUE)
        array = _visible(context, nodes[0], hidden, hidden, nested, errors)
        if errors and array.valid is not None:
            raise Unsupported(f"{name} that ignores errors of trained values")
        return FUNCTIONS[name].compute(array, context.evaluate(nodes[1]))
    if not all(_is_reference(context, node) for node in nodes):
        raise ExcelError(VALUE)
    arrays = [_visible(context, node, hidden, hidden, nested, errors) for node in _single(nodes)]
    return _aggregated(name, arrays, errors)
