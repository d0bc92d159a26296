"""The predictions as a module: data columns in, predictions out, any number of rows."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import fx

from xl2torch.arrays.array import DTYPE, HEIGHT, WIDTH, Array, permuted, spread
from xl2torch.cells.address import CellRange
from xl2torch.cells.values import BLANK, LOGICAL, NUMBER
from xl2torch.errors import ModelError, SelectionError
from xl2torch.ir.facts import Kind, facts, note, value_of
from xl2torch.ir.naming import RESERVED, identifier, unique
from xl2torch.ir.ops import Group, in_group
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
)
from xl2torch.ir.trace import Data, Trace, apply
from xl2torch.lowering.blocks import stored
from xl2torch.lowering.module import build_module, parameter_block
from xl2torch.lowering.schedule import Evaluation
from xl2torch.passes import simplify
from xl2torch.rows.new_rows import Column, RowProgram
from xl2torch.rows.prediction import Predictor, input_of

_SAME, _CLOSE = 1e-9, 1e-6


@dataclass(frozen=True)
class RowModule:
    """A module of the row formulas.

    ``inputs`` are its arguments by name, each a vector with the sheet's own rows; ``outputs`` are
    the names of what it gives, vectors or matrices (rows, columns); ``expected`` is that for the
    sheet's rows. ``notes`` say which columns became constants.
    """

    module: fx.GraphModule
    inputs: dict[str, torch.Tensor]
    headers: dict[str, str]
    outputs: tuple[str, ...]
    expected: tuple[torch.Tensor, ...]
    notes: tuple[str, ...]

    def dynamic_shapes(self) -> tuple[dict[int, Any], ...]:
        """That the number of rows is free, as torch.export is told for each input."""
        dimension = torch.export.Dim("rows", min=1)
        return tuple({0: dimension} for _ in self.inputs)

    def check(self, run: Callable[[list[torch.Tensor]], Sequence[Any]], fewest: int) -> None:
        """Compare what was written with the sheet, on its rows and on the fewest.

        ``run`` gives the outputs for some inputs. Raises ModelError.
        """
        for count in sorted({fewest, len(self.expected[0])}):
            found = run([value[:count] for value in self.inputs.values()])
            for name, ours, sheet in zip(self.outputs, found, self.expected, strict=True):
                if not _agree(np.asarray(ours), sheet[:count], _SAME):
                    raise ModelError(
                        f"what was written predicts something else for {name} than the sheet: "
                        "nothing is kept"
                    )


@dataclass(frozen=True, eq=False)
class Weight:
    """A range of variable cells and its parameter, in the parameter's shape."""

    name: str
    cells: CellRange
    parameter: torch.nn.Parameter


class ColumnPredictor(torch.nn.Module):
    """Predictions from columns of numbers, a module with a model's own parameters.

    ``inputs`` are the names of its arguments, ``headers`` their headings in the sheet; ``outputs``
    name what it gives. ``table`` predicts tables of any values, and texts.
    """

    def __init__(self, table: Predictor, trained: Evaluation, weights: Sequence[Weight]) -> None:
        super().__init__()
        self.table = table
        self._trained = trained
        self._weights = tuple(weights)
        for weight in weights:
            self.register_parameter(weight.name, weight.parameter)

    def __repr__(self) -> str:
        return f"ColumnPredictor({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"

    @cached_property
    def rows(self) -> RowModule:
        """The program behind it, for exports. Raises ModelError where predictions need texts."""
        found = row_module(self.table, self._trained, self._weights)
        for weight in self._weights:
            found.module.register_parameter(weight.name, weight.parameter)
        return found

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the arguments. Raises ModelError where predictions need texts."""
        return tuple(self.rows.inputs)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headings of the sheet by the names of the arguments."""
        return self.rows.headers

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return self.rows.outputs

    def sheet(self) -> dict[str, torch.Tensor]:
        """The sheet's own columns, by the names of the arguments."""
        return {name: value.clone() for name, value in self.rows.inputs.items()}

    def forward(self, *columns: torch.Tensor, **named: torch.Tensor) -> Any:
        """Predictions (rows,) or (rows, columns) of each output; a tuple where there are several.

        ``columns`` stand in the order of ``inputs``, vectors with a number for each row. Raises
        SelectionError.
        """
        names = self.inputs
        given = dict(zip(names, columns, strict=False)) | named
        missing, more = [n for n in names if n not in given], [n for n in given if n not in names]
        if missing or more or len(columns) > len(names):
            raise SelectionError(
                f"the predictor takes the columns {', '.join(names)}"
                + (f"; {', '.join(missing)} is missing" if missing else "")
                + (f"; {', '.join(more)} is none of them" if more else "")
            )
        values = [torch.as_tensor(given[name], dtype=DTYPE).reshape(-1) for name in names]
        found = self.rows.module(*values)
        return found[0] if len(self.outputs) == 1 else tuple(found)


def row_module(predictor: Predictor, trained: Evaluation, weights: Sequence[Weight]) -> RowModule:
    """The module of predictions, with copies of the weights that the predictor was made with.

    ``trained`` is the evaluation of the model, which knows what depends on the weights.
    Inputs are the data columns that hold numbers; where a formula makes a number from text, the
    column of that formula. A column that holds one number in all rows is a constant. Raises
    ModelError or SelectionError.
    """
    workbook = predictor.workbook
    trace = Trace()
    starts = _weights_of(predictor.evaluation, weights)
    given = [
        parameter_block(trace, weight.name, weight.cells, starts[weight.name]) for weight in weights
    ]
    evaluation = Evaluation(workbook, given, trace)
    programs = [RowProgram(evaluation, program.outputs) for program in predictor.programs]
    numeric = _numeric_columns(predictor)
    _refuse_weights_in_inputs(trained, numeric)
    taken = {*RESERVED, *starts}
    headers: dict[str, str] = {}
    inputs: dict[str, torch.Tensor] = {}
    arrays: dict[Column, Array] = {}
    notes: dict[str, None] = {}
    nodes: dict[str, fx.Node] = {}
    rows = predictor.rows
    fixed: dict[Column, float] = {}
    for column, own in numeric.items():
        found = input_of(workbook, column, predictor.own(column))
        if found.constant and rows > 1:
            fixed[column] = float(own.numpy().flat[0])
            notes[f"{found.name} is {fixed[column]:g} in every row of the sheet: a constant"] = None
            continue
        if found.name not in nodes:
            name = unique(identifier(found.name, column.cells), taken)
            value = torch.from_numpy(own.numpy().reshape(rows).copy())
            node = trace.placeholder(name)
            note(node, kind=Kind.INPUT, value=value)
            nodes[found.name], inputs[name], headers[name] = node, value, found.name
        arrays[column] = _column(nodes[found.name], rows)
    if not nodes:
        raise ModelError("the predictions do not depend on data: every column is a constant")
    for column, number in fixed.items():
        like = apply(torch.full_like, next(iter(nodes.values())), number)
        arrays[column] = _column(like, rows)
    results, labels, expected = [], [], []
    start = 0
    for program in programs:
        result, sheet = _output(program, arrays, rows, trace, predictor.evaluation)
        results.append(result)
        expected.append(sheet)
        labels.append(unique(identifier(predictor.names[start], program.outputs), taken))
        start += program.outputs.columns
    trace.output(tuple(results))
    graph = simplify(trace)
    _in_plain_words(graph)
    _free_rows(graph, rows)
    module = build_module(fx.GraphModule, graph, trace.tensors, starts)
    made = RowModule(module, inputs, headers, tuple(labels), tuple(expected), tuple(notes))
    _check_rows(made)
    return made


def _weights_of(evaluation: Evaluation, weights: Sequence[Weight]) -> dict[str, torch.Tensor]:
    """The numbers that an evaluation was given for the variable cells, by name."""
    given = {unit.area: unit.block.array for unit in evaluation.given if unit.block is not None}
    return {
        weight.name: torch.from_numpy(given[weight.cells].numpy()[0, 0].copy())
        .reshape(weight.parameter.shape)
        .to(weight.parameter.dtype)
        for weight in weights
    }


def _numeric_columns(predictor: Predictor) -> dict[Column, Array]:
    """Columns of numbers that the outputs can be computed from, with the sheet's own values."""
    texts = {
        column
        for item in predictor.inputs
        for column in item.columns
        if not _is_numeric(stored(predictor.workbook, column.cells))
    }
    found: dict[Column, Array] = {}
    for program in predictor.programs:
        stack = program.output_columns()
        seen = set(stack)
        while stack:
            column = stack.pop()
            reads = program.reads.get(column)
            if reads is None or reads & texts:
                if column in texts:
                    raise ModelError(f"{column.cells} holds text, and is a prediction's own input")
                found[column] = program.evaluation.value(column.cells)
                continue
            fresh = [item for item in reads if item not in seen]
            seen |= set(fresh)
            stack += fresh
    return {column: found[column] for column in sorted(found)}


def _refuse_weights_in_inputs(evaluation: Evaluation, columns: Collection[Column]) -> None:
    """Raise ModelError where a formula makes a number of text and of weights in one."""
    mixed = [
        str(column.cells)
        for column in columns
        if any(unit.trained for unit in evaluation.overlapping(column.cells))
    ]
    if mixed:
        raise ModelError(
            f"{', '.join(mixed)} reads text and weights in one formula, and an exported program "
            "has numbers only: compute numbers from the text in a column of its own, or export "
            '`to="python"`'
        )


def _is_numeric(array: Array) -> bool:
    return set(np.unique(array.full_kinds).tolist()) <= {NUMBER, BLANK, LOGICAL}


def _column(data: Data, rows: int) -> Array:
    return Array(data, (HEIGHT,), (1, 1, rows, 1))


def _output(
    program: RowProgram, arrays: dict[Column, Array], rows: int, trace: Trace, own: Evaluation
) -> tuple[fx.Node, torch.Tensor]:
    """Node of an output, NaN where it is an error, and the sheet's own values."""
    array = program.compute(arrays.__getitem__, rows, trace, arrays)
    if not array.traced:
        raise ModelError(f"{program.outputs} depends neither on data nor on weights")
    axes = (HEIGHT,) if program.outputs.columns == 1 else (HEIGHT, WIDTH)
    if set(array.axes) != set(axes):
        raise ModelError(f"{program.outputs} is the same in every row or column")
    data = permuted(array.data, array.axes, axes)
    if array.valid is not None:
        valid = spread(array.valid, array.shape)
        data = apply(torch.where, permuted(valid.data, valid.axes, axes), data, math.nan)
        assert isinstance(data, fx.Node)
        note(data, is_final=True)
    assert isinstance(data, fx.Node)
    expected = torch.from_numpy(own.value(program.outputs).numpy()[0, 0].copy())
    return data, expected[:, 0] if len(axes) == 1 else expected


def _in_plain_words(graph: fx.Graph) -> None:
    """Say in other words what ONNX runtimes do not have, or not in float64.

    They choose between numbers only, not between checks, and numbers in the program itself are
    rounded to float32: they become constants.
    """
    for node in list(graph.nodes):
        if is_call(node, torch.log10):
            with graph.inserting_before(node):
                natural = add_node(graph, torch.log, node.args[0])
                node.replace_all_uses_with(add_node(graph, operator.truediv, natural, math.log(10)))
        if is_call(node, torch.where) and value_of(node).dtype == torch.bool:
            test, yes, no = node.args
            with graph.inserting_before(node):
                first = add_node(graph, torch.logical_and, test, yes)
                opposite = add_node(graph, torch.logical_not, test)
                second = add_node(graph, torch.logical_and, opposite, no)
                node.replace_all_uses_with(add_node(graph, torch.logical_or, first, second))
    for node in list(graph.nodes):
        if not in_group(node, Group.ARITHMETIC, Group.COMPARISON, Group.CHOICE):
            continue
        for place, item in enumerate(node.args):
            if isinstance(item, float) and float(np.float32(item)) != item and item == item:
                number = add_constant(graph, torch.tensor(item, dtype=DTYPE))
                node.update_arg(place, number)
    drop_unused(graph)


def _free_rows(graph: fx.Graph, rows: int) -> None:
    """Make a program that holds for any number of rows of one for the sheet's rows.

    Constants that are the same in all rows follow the number of rows of the inputs. Raises
    ModelError where a constant has a number for each row of the sheet.
    """
    first = next(node for node in graph.nodes if node.op == "placeholder")
    last = [node for node in graph.nodes if node.op in ("placeholder", "get_attr")][-1]
    for node in list(graph.nodes):
        value = constant_value(node, graph)
        if value is not None and value.dim() and value.shape[0] == rows > 1:
            if not bool((value == value[:1]).all()):
                raise ModelError(
                    f"{facts(node).cells or 'a constant'} has a value for each row of the "
                    "sheet, so that new rows have none: a free number of rows is not possible"
                )
            row = value[0].clone()
            with graph.inserting_before(first):
                constant = add_constant(graph, row)
            same = _zeros(graph, first, last, value.dim())
            with graph.inserting_after(same):
                whole = add_node(graph, _joining(row), same, constant)
            node.replace_all_uses_with(whole)
        elif is_call(node, torch.broadcast_to) and node.args[1][0] == rows:
            source, sizes = node.args
            tensor = value_of(source)
            if tensor.dim() < len(sizes) or tensor.shape[0] == 1 < rows:
                same = _zeros(graph, first, last, len(sizes))
                with graph.inserting_before(node):
                    source = add_node(graph, _joining(tensor), same, source)
            node.args = (source, (-1, *sizes[1:]))
    drop_unused(graph)


def _zeros(graph: fx.Graph, first: fx.Node, last: fx.Node, dims: int) -> fx.Node:
    """Zeros with a row for each row of the inputs, and some axes."""
    with graph.inserting_after(last):
        same = add_node(graph, torch.zeros_like, first)
    for _ in range(dims - 1):
        with graph.inserting_after(same):
            same = add_node(graph, torch.unsqueeze, same, -1)
    return same


def _joining(value: torch.Tensor) -> Callable[..., torch.Tensor]:
    """What leaves a value as it is beside zeros, and gives it their rows."""
    return torch.logical_or if value.dtype == torch.bool else torch.add


def _check_rows(found: RowModule) -> None:
    """Raise ModelError where one row alone is not predicted as in the sheet."""
    single = [value[:1] for value in found.inputs.values()]
    same = False
    with suppress(RuntimeError), torch.no_grad():
        outputs = found.module.forward(*single)
        same = all(
            _agree(output.numpy(), wanted[:1], _CLOSE)
            for output, wanted in zip(outputs, found.expected, strict=True)
        )
    if not same:
        raise ModelError(
            "the predictions cannot be computed for another number of rows than the sheet's: "
            "predict(frame) takes tables of any length"
        )


def _agree(found: np.ndarray, wanted: torch.Tensor, tolerance: float) -> bool:
    """Whether outputs are of the same shape and the same, errors at the same places."""
    return found.shape == tuple(wanted.shape) and np.allclose(
        found, wanted.numpy(), rtol=tolerance, atol=tolerance, equal_nan=True
    )
