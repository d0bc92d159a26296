"""A program as text: each node as the torch expression that a person would write."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import fx
from torch.nn import functional

from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.ops import find_operator

_PREFIX, _ATOM = 4, 9
"""How tightly a prefix minus and a call bind, beside the infix operators of the table."""
_MODULES = (
    (torch, "torch"), (functional, "F"), (torch.special, "torch.special"),
    (torch.linalg, "torch.linalg"), (operator, "operator"),
)  # fmt: skip

_DEEPEST = 60
"""Operators within each other that a person still reads."""


class Printer:
    """Prints expressions; ``name_of`` gives the name of a node that stands for itself.

    ``qualified``: with ``torch.`` and ``F.``, as code that runs. Else short, and without what only
    guards a function at the edge of its domain.
    """

    def __init__(self, name_of: Callable[[fx.Node], str | None], qualified: bool = False) -> None:
        self.name_of = name_of
        self.qualified = qualified
        self._depth = 0

    def expression(self, node: fx.Node) -> str:
        """Right-hand side of a node's line."""
        if not self.qualified and facts(node).is_final:
            assert isinstance(node.args[1], fx.Node)
            return self.expression(node.args[1])
        return self._call(node)[0]

    def operand(self, item: Any, binding: int = 0) -> str:
        """Text of an operand, in parentheses where it binds less than its surroundings."""
        if isinstance(item, fx.Node):
            if not self.qualified and facts(item).protects:
                return self.operand(item.args[1], binding)
            name = self.name_of(item)
            if name is not None:
                return name
            if self._depth >= _DEEPEST and not self.qualified:
                return "…"
            self._depth += 1
            text, own = self._call(item)
            self._depth -= 1
            return f"({text})" if own < binding else text
        if isinstance(item, tuple | list):
            inside = ", ".join(self.operand(part) for part in item)
            if not self.qualified or isinstance(item, list):
                return f"[{inside}]"
            return f"({inside},)" if len(item) == 1 else f"({inside})"
        return self._literal(item, binding)

    def _literal(self, item: Any, binding: int) -> str:
        if isinstance(item, str):  # an option of a torch function
            return f'"{item}"'
        if isinstance(item, float):
            if not math.isfinite(item):
                text = "nan" if math.isnan(item) else "inf" if item > 0 else "-inf"
                return f'float("{text}")' if self.qualified else text
            if item.is_integer() and abs(item) < 1e15:
                item = int(item)
        negative = isinstance(item, int | float) and item < 0 and binding
        return f"({item})" if negative else str(item)

    def _call(self, node: fx.Node) -> tuple[str, int]:
        """Text of a call, and how tightly it binds."""
        target: Any = node.target
        if node.op == "get_attr":
            return node.name, _ATOM
        row = find_operator(node)
        if row is not None and row.symbol and target is row.function:
            binding, left_first = row.binding, target is not operator.pow
            left = self.operand(node.args[0], binding + (not left_first))
            right = self.operand(node.args[1], binding + left_first)
            return f"{left} {row.symbol} {right}", binding
        if target is operator.neg:
            return f"-{self.operand(node.args[0], _PREFIX)}", _PREFIX
        return self._move(node) or self._function(node), _ATOM

    def _move(self, node: fx.Node) -> str | None:
        """An index, a slice or a transposition."""
        source: Any = node.args[0] if node.args else None
        rest: Any = node.args[1:]
        if node.target is torch.t:
            return f"{self.operand(source, _ATOM)}.T"
        if node.target is torch.clone:  # only another layout in memory
            return self.operand(source, _ATOM)
        if node.target is torch.select:
            return self._indexed(source, rest[0], str(rest[1]))
        if node.target is torch.narrow:
            return self._sliced(source, *rest)
        if node.target is torch.unsqueeze and rest[0] in (0, 1) and self.qualified:
            return self._indexed(source, rest[0], "None")
        if node.target is torch.squeeze and _is_piece(source):
            start, _ = _extent(source)
            whole, _, axis = source.args[0].args
            if axis == rest[0]:
                return self._indexed(whole, axis, str(start))
        if node.target is operator.getitem and source.op == "call_module":
            return f"{self.operand(source, _ATOM)}[{rest[0]}]"
        if _is_piece(node):
            start, size = _extent(node)
            whole, _, axis = source.args
            return self._sliced(whole, axis, start, size)
        return None

    def _indexed(self, source: Any, axis: int, index: str) -> str:
        return f"{self.operand(source, _ATOM)}[{':, ' * axis}{index}]"

    def _sliced(self, source: Any, axis: int, start: int, size: int) -> str:
        whole = value_of(source).shape[axis]
        end = "" if start + size == whole else start + size
        return self._indexed(source, axis, f"{start or ''}:{end}")

    def _function(self, node: fx.Node) -> str:
        name = function_name(node.target) if self.qualified else short_name(node.target)
        inputs = list(node.args)
        owner = ""
        row = find_operator(node)
        if row is not None and row.is_method:
            owner = f"{self.operand(inputs.pop(0), _ATOM)}."
            name = short_name(node.target)
        arguments = [self.operand(item) for item in inputs]
        arguments += [f"{key}={self.operand(value)}" for key, value in sorted(node.kwargs.items())]
        return f"{owner}{name}({', '.join(arguments)})"


def short_name(target: Any) -> str:
    """Name of a function, without where it stands."""
    name: str = getattr(target, "__name__", str(target))
    return name.removeprefix("linalg_").lstrip("_")


@cache
def function_name(target: Any) -> str:
    """Name of a function as code that imports torch, and torch.nn.functional as F, calls it.

    That is not always what the function calls itself: F.logsigmoid is log_sigmoid.
    """
    name: str = getattr(target, "__name__", str(target))
    for module, prefix in _MODULES:
        if getattr(module, name, None) is target:
            return f"{prefix}.{name}"
    for module, prefix in _MODULES:
        for word, value in vars(module).items():
            if value is target:
                return f"{prefix}.{word}"
    return short_name(target)


def _is_piece(item: Any) -> bool:
    """Whether a node is one of the parts into which another was split."""
    return (
        isinstance(item, fx.Node)
        and item.target is operator.getitem
        and isinstance(item.args[0], fx.Node)
        and item.args[0].target is torch.split_with_sizes
    )


def _extent(item: Any) -> tuple[int, int]:
    """Where a part begins, and its size."""
    sizes = item.args[0].args[1]
    return sum(sizes[: item.args[1]]), sizes[item.args[1]]


def is_line(node: fx.Node) -> bool:
    """Whether a node is a line of the readable program: a region of the sheet."""
    return node.op == "call_function" and facts(node).cells is not None


_PRINTER = Printer(lambda node: node.name if node.op == "get_attr" or is_line(node) else None)


def expression(node: fx.Node) -> str:
    """Torch expression of a node, in terms of the named nodes that it uses."""
    if node.target is operator.getitem and node.args[0].op == "call_module":  # type: ignore[union-attr]
        return _loop_text(node)
    return _PRINTER.expression(node)


def _loop_text(node: fx.Node) -> str:
    """A line that a loop over rows computes: what it begins with and reads."""
    loop = node.args[0]
    assert isinstance(loop, fx.Node)
    names = dict.fromkeys(_PRINTER.operand(item) for item in loop.all_input_nodes)
    steps = value_of(node).shape[0]
    return f"loop over {steps} steps of ({', '.join(names)})"
