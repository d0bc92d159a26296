"""Torch calls that run at once on constants, and are recorded where a parameter is involved.

This is what lets one implementation of a function serve both: with tensors it computes, with
fx nodes it adds a node, with what is known of it (ir.facts).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import Kind, facts, is_constant, note, note_line, value_of
from xl2torch.ir.ops import Group, find_operator, recorded

Data = torch.Tensor | fx.Node
DRAWING = "drawing"
"""Name of the buffer that says whether random numbers are drawn anew."""


class Trace(fx.Graph):
    """An fx graph that keeps the tensors of its get_attr nodes; equal constants are shared."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: dict[str, torch.Tensor] = {}
        self._constants: dict[tuple[Any, ...], fx.Node] = {}
        self._origins: dict[int, tuple[torch.Tensor, CellRange]] = {}
        self._drawing: fx.Node | None = None
        self.modules: dict[str, nn.Module] = {}

    def note_origin(self, tensor: torch.Tensor, cells: CellRange) -> None:
        """Remember which cells a constant was read from: they give it its name."""
        self._origins[id(tensor)] = (tensor, cells)

    def parameter(self, name: str, value: torch.Tensor) -> fx.Node:
        """A node that reads a parameter."""
        node = self.create_node("get_attr", name)  # get_attr looks for it in a module, and warns
        self.tensors[name] = value
        kind = Kind.SWITCH if name == DRAWING else Kind.PARAMETER
        note(node, kind=kind, value=value)
        return node

    def call(self, module: nn.Module, tensors: Sequence[Data]) -> list[Data | None]:
        """A call of a module that gives a tuple; tensors that are constant become buffers."""
        name = f"_recurrence_{len(self.modules) + 1}"  # no label of a sheet becomes that
        self.modules[name] = module
        inputs = tuple(
            tensor if isinstance(tensor, fx.Node) else self.constant(tensor) for tensor in tensors
        )
        node = self.create_node("call_module", name, inputs)
        with torch.no_grad():
            note(node, value=module(*(value_of(tensor) for tensor in inputs)))
        found: list[Data | None] = []
        for index, value in enumerate(facts(node).value):
            if value is None:
                found.append(None)
                continue
            item = self.call_function(operator.getitem, (node, index))
            note(item, value=value)
            found.append(item)
        return found

    def drawing(self) -> fx.Node:
        """A node that says whether random numbers are drawn anew (in training mode)."""
        if self._drawing is None:
            with self.inserting_before(next(iter(self.nodes))):
                self._drawing = self.parameter(DRAWING, torch.tensor(False))
        return self._drawing

    def draw(self, sizes: list[int]) -> fx.Node:
        """A node that draws uniform random numbers; its value at the start point is ½."""
        node = self.call_function(torch.rand, (tuple(sizes),), {"dtype": torch.float64})
        note(node, value=torch.full(sizes, 0.5, dtype=torch.float64))
        return node

    def constant(self, value: torch.Tensor) -> fx.Node:
        """A node that reads a constant buffer."""
        origin = self._origins.get(id(value))
        value = value.contiguous()
        key = (value.dtype, tuple(value.shape), value.numpy().tobytes())
        node = self._constants.get(key)
        if node is None or node._erased:  # a pass may have dropped it
            number = len(self._constants) + 1
            while f"constant_{number}" in self.tensors:  # of one that was dropped
                number += 1
            name = f"constant_{number}"
            # Constants stand before everything else: any later node may read them.
            with self.inserting_before(next(iter(self.nodes))):
                node = self.create_node("get_attr", name)
            self.tensors[name] = value
            note(node, kind=Kind.DATA, value=value)
            self._constants[key] = node
        if origin is not None:
            note_line(node, origin[1], None)
        return node


def as_constant(data: Any) -> Data:
    """A recorded constant as the tensor that it is; anything else as it is."""
    if is_constant(data):
        return value_of(data)
    found: Data = data
    return found


def is_drawn(data: Any) -> bool:
    """Whether the data are random numbers, drawn anew in training mode, or a part of them."""
    while isinstance(data, fx.Node):
        if any(getattr(item, "target", None) == DRAWING for item in data.all_input_nodes):
            return True
        if len(data.all_input_nodes) != 1:
            return False
        data = data.all_input_nodes[0]
    return False


def is_traced(data: Data) -> bool:
    """Whether the data depends on a parameter."""
    return isinstance(data, fx.Node)


def apply(function: Callable[..., Any], *arguments: Any, **options: Any) -> Data:
    """Call a torch function, or record the call when an argument is traced."""
    traces = [node.graph for node in _nodes(arguments)]
    if not traces:
        result: torch.Tensor = function(*arguments, **options)
        return result
    trace = traces[0]
    assert isinstance(trace, Trace)
    row = find_operator(function)
    literal = row is None or not row.tensors_only
    recorded = fx.node.map_aggregate(arguments, lambda item: _recorded(trace, item, literal))
    concrete = fx.node.map_arg(recorded, lambda node: facts(node).value)
    node = trace.call_function(function, recorded, options)
    note(node, value=function(*concrete, **options))
    return node


def _nodes(arguments: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(arguments, found.append)
    return found


def _recorded(trace: Trace, item: Any, literal: bool) -> Any:
    """A constant as a buffer; a single number is written into the code, exact in float64."""
    if not isinstance(item, torch.Tensor):
        return item
    if item.dim() or item.dtype == torch.bool or not literal:
        return trace.constant(item)
    return item.item()


@recorded(Group.PICK, addends=(0,))
def take(data: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    """Elements at integer indices, one index tensor per dim."""
    return data[index]
