"""SheetModel: the cells between variables and objective as a torch.nn.Module."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import torch
from torch import fx, nn

from xl2torch.arrays.array import DTYPE, Array, Unsupported, logical, spread
from xl2torch.arrays.shapes import full_data
from xl2torch.cells.address import MAX_COLUMN, CellAddress, CellRange, single_cell
from xl2torch.cells.values import BLANK, FIRST_ERROR, NUMBER, TEXT, error_of_kind
from xl2torch.errors import (
    ModelError,
    SelectionError,
    UnsupportedCell,
    UnsupportedError,
    equals,
)
from xl2torch.formula.ast import Call, Text, walk
from xl2torch.formula.parser import FOREIGN, SPILLED
from xl2torch.ir.device import retarget_constants
from xl2torch.ir.facts import facts, note, value_of
from xl2torch.ir.naming import RESERVED, identifier, label, unique
from xl2torch.ir.nodes import parameter_nodes
from xl2torch.ir.ops import operators_in
from xl2torch.ir.printing import expression, is_line
from xl2torch.ir.trace import DRAWING, Data, Trace, apply
from xl2torch.lowering.blocks import Block, given_numbers, stored
from xl2torch.lowering.module import build_module, parameter_block
from xl2torch.lowering.precedents import precedents
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Evaluation, Unit, with_true_sizes
from xl2torch.model.candidates import suggestion
from xl2torch.model.problem import Problem, find_problem
from xl2torch.passes import simplify
from xl2torch.rows.normalisers import find_divisors
from xl2torch.rows.prediction import Predictor, find_outputs, predict_frame, table_of
from xl2torch.rows.row_module import ColumnPredictor, Weight
from xl2torch.rows.row_objective import RowObjective, find_row_objective
from xl2torch.rows.sheet_rows import SheetRows, check_terms, columns_of, require_plain_sum
from xl2torch.safety.limits import MOST_VARIABLES, within_limits
from xl2torch.safety.plain_text import short
from xl2torch.workbook.read.reader import Workbook, load

if TYPE_CHECKING:
    import pandas

_ROUNDING = 1e-6
_LOST_DIGITS = 1e-3
_ASIDE = 0.1
_FEW_CELLS, _MOST_NAMED = 20, 3


@dataclass(frozen=True)
class Variable:
    """A range of variable cells: its parameter and its limits, both in the parameter's shape."""

    name: str
    label: str
    cells: CellRange
    start: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor

    @property
    def bounded(self) -> bool:
        """Whether any cell has a limit."""
        return bool(torch.isfinite(self.lower).any() or torch.isfinite(self.upper).any())


@dataclass(frozen=True)
class Compiled:
    """What a SheetModel was made from."""

    workbook: Workbook
    problem: Problem
    variables: tuple[Variable, ...]
    evaluation: Evaluation
    drawn: tuple[CellRange, ...] = ()


class SheetModel(fx.GraphModule):
    """The objective cell as a module, made by ``compile``.

    ``model()`` is the objective as a 0-d float64 tensor, its parameters are the variable ranges by
    label (ranges of one row or column are vectors), ``model.code`` is the readable forward.

    Args:
        args: What torch.fx.GraphModule takes; people call ``compile`` instead.
        kwargs: The same.

    Raises:
        TypeError: When it is pickled: keep its ``state_dict`` instead.

    Example:
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> model().backward()
        >>> model.m_b.grad.tolist()
        [-3.0, -1.0]
    """

    _compiled: Compiled
    _moved = ""

    def made_from(self, compiled: Compiled) -> Self:
        """The model, which knows from now on what it was made from."""
        self._compiled = compiled
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SheetModel:
        """A copy with parameters and data of its own, made from the same workbook."""
        memo[id(self._compiled)] = self._compiled
        copied: SheetModel = super().__deepcopy__(memo)  # type: ignore[assignment]
        copied._moved = self._moved
        return copied.made_from(self._compiled)

    def train(self, mode: bool = True) -> SheetModel:
        """Training mode: cells of random numbers draw anew at each call; else they keep theirs."""
        super().train(mode)
        drawing = dict(self.named_buffers()).get(DRAWING)
        if drawing is not None:
            drawing.fill_(mode)
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> SheetModel:
        """What ``to``, ``cuda`` and ``double`` do; the program's own numbers follow."""
        before = _where(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        after = _where(self)
        if after != before:
            retarget_constants(self, *after)
            name = str(after[1]).removeprefix("torch.")
            self._moved = self._moved or f"{name} on {after[0]}"
        return self

    @property
    def drawn(self) -> tuple[CellRange, ...]:
        """Cells of random numbers on the way to the objective, drawn anew in training mode."""
        return self.compiled.drawn

    @property
    def compiled(self) -> Compiled:
        """Workbook, problem, variables and evaluation behind the model."""
        return self._compiled

    @property
    def moved(self) -> str:
        """Where it was moved to, in words; '' where it computes as it was compiled."""
        return self._moved

    @property
    def problem(self) -> Problem:
        """Objective, variables and sense."""
        return self.compiled.problem

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Variable ranges, in the order of the problem."""
        return self.compiled.variables

    def parameter(self, variable: Variable) -> nn.Parameter:
        """The parameter of a variable range."""
        return self.get_parameter(variable.name)

    def cell_values(self) -> dict[CellAddress, float]:
        """Present value of every variable cell."""
        values: dict[CellAddress, float] = {}
        for variable in self.variables:
            flat = self.parameter(variable).detach().reshape(-1).tolist()
            values.update(zip(variable.cells.cells(), flat, strict=True))
        return values

    def _lines(self) -> list[tuple[str, str, str]]:
        """Name, shape or formula, and text of parameters, data and lines of the program."""
        found = []
        parameters = set(parameter_nodes(self))
        for node in self.graph.nodes:
            if node.op == "get_attr":
                kind = "parameter" if node in parameters else "data"
                cells = facts(node).cells
                shape = "×".join(map(str, value_of(node).shape)) or "scalar"
                found.append((node.name, f"{kind} {shape}", str(cells) if cells else ""))
            elif is_line(node):
                formula = "=" + (facts(node).formula or "")
                found.append((f"{node.name} = {expression(node)}", formula, str(facts(node).cells)))
        return found

    def __repr__(self) -> str:
        head = f"SheetModel of {self.compiled.workbook.path.name}: {self.problem.goal}"
        lines = self._lines()
        width = min(max((len(text) for text, _, _ in lines), default=0), 60)
        return "\n".join([head, *(f"  {text:{width}}  {what}  {where}".rstrip()
                                  for text, what, where in lines)])  # fmt: skip

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        head = html.escape(str(self).partition("\n")[0])
        rows = "".join(
            f"<tr><td><code>{html.escape(text)}</code></td><td><code>{html.escape(what)}</code>"
            f"</td><td>{html.escape(where)}</td></tr>"
            for text, what, where in self._lines()
        )
        return (
            f"<p><b>{head}</b></p><table><tr><th>PyTorch</th><th>Excel</th><th>cells</th></tr>"
            f"{rows}</table>"
        )

    def __reduce__(self) -> Any:
        """Refuse to be pickled: what it computes would be lost, and a pickle can run any code."""
        raise TypeError(
            "a SheetModel is not pickled: keep its weights, torch.save(model.state_dict(), path) "
            "or xl2torch.export(model, 'weights.safetensors'), and compile the workbook again"
        )

    def row_objective(self, program: fx.GraphModule | None = None) -> RowObjective:
        """The rows that the objective is over, of another program of it perhaps.

        Raises ModelError where rows mix.
        """
        cell = self.problem.objective
        divisors = find_divisors(self.compiled.evaluation, cell)
        return find_row_objective(program or self, f"the objective {cell}", divisors=divisors)

    def rows(self, frame: pandas.DataFrame | Mapping[str, Any] | None = None) -> SheetRows:
        """The rows that the objective is over, as a dataset for a DataLoader.

        ``frame`` gives other rows than the sheet's: a DataFrame, or a dict of columns, which match
        by header; the sheet's own formulas make of them what the objective reads. Raises
        ModelError where the objective is no sum or mean over rows, SelectionError for a frame
        that does not fit.

        >>> rows = model.rows()                                       # doctest: +SKIP
        >>> for batch in DataLoader(rows, 32, shuffle=True):          # doctest: +SKIP
        ...     loss = rows.objective(*batch)
        """
        rows = self.row_objective()
        if frame is None:
            return SheetRows(rows)
        workbook, table = self.compiled.workbook, table_of(frame)
        require_plain_sum(self.compiled.evaluation, self.problem.objective, rows.cells)
        own = SheetRows(rows)
        new = SheetRows(rows, columns_of(rows, Evaluation(workbook, self._given()), table))
        present = [parameter.detach().clone() for parameter in self.parameters()]
        try:
            for step in (0.0, _ASIDE):  # weights of 0 would hide what they are multiplied with
                for parameter in self.parameters():
                    parameter.detach().add_(step * (1 + parameter.detach().abs()))
                evaluation = Evaluation(workbook, self._given())
                check_terms(own, new, table, evaluation)
        finally:
            for parameter, value in zip(self.parameters(), present, strict=True):
                parameter.detach().copy_(value)
        return new

    def _given(self) -> list[Block]:
        """The variable cells with the present parameters."""
        return [
            given_numbers(variable.cells, self.parameter(variable).detach().cpu().numpy())
            for variable in self.variables
        ]

    def row_formulas(self, outputs: str | None = None) -> Predictor:
        """The row formulas for tables of any values, with the present parameters.

        Raises ModelError, SelectionError.
        """
        compiled = self.compiled
        self.problem.require_objective("a prediction")
        areas = find_outputs(
            compiled.workbook, compiled.evaluation, self.problem.objective, outputs
        )
        return Predictor(compiled.workbook, Evaluation(compiled.workbook, self._given()), areas)

    def predictor(self, outputs: str | None = None) -> ColumnPredictor:
        """The row formulas as a torch.nn.Module from columns of numbers to predictions.

        It has the model's own parameters: what trains one trains the other. ``outputs`` as for
        ``predict``. Raises ModelError, SelectionError.
        """
        weights = [
            Weight(variable.name, variable.cells, self.parameter(variable))
            for variable in self.variables
        ]
        return ColumnPredictor(self.row_formulas(outputs), self.compiled.evaluation, weights)

    def predict(
        self, frame: pandas.DataFrame | Mapping[str, Any], outputs: str | None = None
    ) -> pandas.DataFrame:
        """Predictions for new rows, beside the columns of the frame, which match by header.

        ``outputs``: the sheet's columns of predictions (``AG4:AG715``), by default those nearest
        before the loss. What the sheet computes over its own rows (a maximum that it divides by)
        stays the sheet's. ``frame.attrs["notes"]`` says what was assumed. Raises SelectionError
        (a column is missing or of another type), ModelError (rows cannot be predicted alone).
        """
        return predict_frame(self.row_formulas(outputs), frame)


def as_workbook(given: Workbook | str | Path | BinaryIO) -> Workbook:
    """A workbook, read where it is a path. Raises WorkbookError, SelectionError."""
    if isinstance(given, Workbook):
        return given
    if isinstance(given, str | Path) or callable(getattr(given, "read", None)):
        return load(given)
    raise SelectionError(
        f"a workbook is what xl2torch.load gives, or a path, not {type(given).__name__}"
    )


def as_model(given: SheetModel | Workbook | str | Path) -> SheetModel:
    """A model, that of a workbook where it is one. Raises what ``compile`` raises."""
    return given if isinstance(given, SheetModel) else compile(given)


@within_limits("compiling the model")
def compile(
    workbook: Workbook | str | Path,
    sheet: str | None = None,
    objective: str | None = None,
    variables: str | Sequence[str] | None = None,
    *,
    sense: str | None = None,
    constraints: Sequence[str] | None = None,
    non_negative: bool | None = None,
) -> SheetModel:
    """Compile the model of a sheet, by default the Solver model stored in it.

    Args:
        workbook: A workbook, or its path.
        sheet: The sheet to work on, where several store a model.
        objective: The objective cell, not the stored one: ``"B8"``.
        variables: The variable cells: a range or a defined name, or several.
        sense: ``min``, ``max`` or ``value=NUMBER``.
        constraints: Texts such as ``B5:B9 <= 100``, in the place of the stored ones.
        non_negative: Whether variable cells without a lower bound stay at 0 or above.

    Returns:
        The model in evaluation mode. ``model()`` is the objective, a 0-d float64 tensor in the unit
        of its cell; each range of R×C variable cells is a parameter of shape (R, C), (R,) or (C,).

    Raises:
        SelectionError: A sheet, cell or option that is not there.
        ModelError: The objective does not depend on the variable cells.
        UnsupportedError: Formulas on the way that are not supported; all their cells are named.
        CircularReferenceError: Cells that need each other.

    Example:
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> model().item(), {name: tuple(item.shape) for name, item in model.named_parameters()}
        (2.5, {'m_b': (2,)})
    """
    workbook = as_workbook(workbook)
    problem = find_problem(workbook, sheet, objective, variables, sense, constraints, non_negative)
    return compile_problem(workbook, problem)


def compile_problem(workbook: Workbook, problem: Problem) -> SheetModel:
    """Compile a problem that is already chosen. The model is in evaluation mode."""
    try:
        return _compiled(workbook, problem, draws=True)
    except UnsupportedError as error:
        # With the stored random numbers there may be a way: these are constants.
        try:
            return _compiled(workbook, problem, draws=False)
        except UnsupportedError:
            raise error from None


def _compiled(workbook: Workbook, problem: Problem, draws: bool) -> SheetModel:
    workbook = with_true_sizes(workbook)
    trace = Trace()
    taken = set(RESERVED)
    found: list[Variable] = []
    given: list[Block] = []
    for area in problem.variables:
        _refuse_spilled(workbook, area)
        start = _start_values(workbook, area)
        text = label(workbook, area)
        name = unique(_free_name(identifier(text, area)), taken)
        tensor = start.reshape([size for size in (area.rows, area.columns) if size > 1])
        lower, upper = _limits(problem, area)
        found.append(
            Variable(
                name, text, area, tensor, lower.reshape(tensor.shape), upper.reshape(tensor.shape)
            )
        )
        given.append(parameter_block(trace, name, area, tensor))
    evaluation = Evaluation(workbook, given, trace, draws)
    result = cell_node(evaluation, problem.objective)
    reached = evaluation.ancestors(evaluation.overlapping(single_cell(problem.objective)))
    if result is None or not any(unit.trained for unit in reached):
        names = ", ".join(str(area) for area in problem.variables)
        raise ModelError(
            f"the objective {problem.objective} does not depend on the variable cells {names}"
            + suggestion(workbook, problem.objective.sheet, ": try")
        )
    _refuse_google_spill(evaluation, reached)
    trace.output(result)
    plain = value_of(result)
    graph = simplify(trace)
    _name_nodes(workbook, graph, taken)
    drawn = tuple(sorted(unit.area for unit in reached if unit.resampled))
    starts = {variable.name: variable.start for variable in found}
    compiled = Compiled(workbook, problem, tuple(found), evaluation, drawn)
    module = build_module(SheetModel, graph, trace.tensors, starts).made_from(compiled)
    _check_simplified(module, plain)
    return module


@torch.no_grad()
def _check_simplified(model: SheetModel, plain: torch.Tensor) -> None:
    """Raise ModelError where the simplified program gives another objective than the plain one."""
    with torch.random.fork_rng(devices=[]):  # cells of random numbers draw, though it is not used
        found = model()
    if bool(torch.isfinite(plain)) and (
        found.dim() or not torch.allclose(found, plain, rtol=rounding(model), atol=_ROUNDING)
    ):
        raise ModelError(
            f"the objective {model.problem.objective} is {float(plain)}, but the program made of "
            f"the formulas gives {found.tolist()}: a fault of xl2torch, please report it"
        )


def rounding(model: fx.GraphModule, usual: float = _ROUNDING) -> float:
    """How far, relative to it, program and sheet may differ in the objective by rounding.

    LN(1-p) loses the digits of a p near 1, which the function that is recognised keeps.
    """
    stable = any(row.is_stable for row in operators_in(model.graph))
    return _LOST_DIGITS if stable else usual


def refuse_moved(model: SheetModel) -> None:
    """Raise SelectionError for a model that was moved to another device or precision, and back."""
    if model.moved:
        raise SelectionError(
            f"the model was moved to {model.moved}, and its numbers with it: compile it "
            "anew, and give fit device= and dtype= instead"
        )


def _where(model: SheetModel) -> tuple[torch.device, torch.dtype]:
    first = next(model.parameters())
    return first.device, first.dtype


def watch(model: SheetModel, cells: Sequence[CellAddress]) -> Callable[[], tuple[float, ...]]:
    """A function that gives some cells at the model's present parameters.

    A cell that cannot be compiled, or holds no number, gives NaN.
    """
    trace, evaluation = _traced(model)
    outputs: list[fx.Node | float] = [_watched_node(evaluation, cell) for cell in cells]
    if not any(isinstance(output, fx.Node) for output in outputs):
        numbers = tuple(float(output) for output in outputs)  # type: ignore[arg-type]
        return lambda: numbers
    trace.output(tuple(outputs))
    module = _of_model(model, trace)

    @torch.no_grad()
    def values() -> tuple[float, ...]:
        return tuple(float(value) for value in module())

    return values


def cell_program(model: SheetModel, cell: CellAddress) -> fx.GraphModule | None:
    """A cell as a module whose parameters are the model's; None where it is constant.

    Raises UnsupportedError or ModelError where it cannot be compiled.
    """
    trace, evaluation = _traced(model, bool(model.drawn))
    node = cell_node(evaluation, cell)
    if node is None:
        return None
    trace.output(node)
    return _of_model(model, trace)


def _traced(model: SheetModel, draws: bool = False) -> tuple[Trace, Evaluation]:
    """A new trace of the sheet, with the variable cells as its parameters."""
    trace = Trace()
    given = [
        parameter_block(trace, variable.name, variable.cells, variable.start)
        for variable in model.variables
    ]
    return trace, Evaluation(model.compiled.workbook, given, trace, draws)


def _of_model(model: SheetModel, trace: Trace) -> fx.GraphModule:
    """A module of a trace that reads the parameters of a model."""
    starts = {variable.name: variable.start for variable in model.variables}
    module = build_module(fx.GraphModule, simplify(trace), trace.tensors, starts)
    for variable in model.variables:
        module.register_parameter(variable.name, model.parameter(variable))
    return module


def _watched_node(evaluation: Evaluation, cell: CellAddress) -> fx.Node | float:
    try:
        node = cell_node(evaluation, cell)
    except ModelError:
        return math.nan
    if node is not None:
        return node
    return float(evaluation.value(single_cell(cell)).numpy().flat[0])


def cell_node(evaluation: Evaluation, cell: CellAddress) -> fx.Node | None:
    """Node of one cell; None when it is constant.

    Raises UnsupportedError with every cell that stands in the way, ModelError when the cell is a
    text or an error.
    """
    area = single_cell(cell)
    array = supported_value(evaluation, area)
    kind = int(array.full_kinds.flat[0])
    if kind >= FIRST_ERROR:
        culprit = first_error(evaluation, area)
        raise ModelError(f"{cell} is the error {error_of_kind(kind)}; it begins in {culprit}")
    if kind == TEXT:
        raise ModelError(f"the cell {cell} is a text, not a number")
    if not isinstance(array.data, fx.Node):
        return None
    data: Data = array.data
    if value_of(data).dtype == torch.bool:
        data = apply(torch.Tensor.to, data, DTYPE)
    if array.valid is not None:
        data = apply(torch.where, array.valid.data, data, math.nan)
        assert isinstance(data, fx.Node)
        line = facts(array.data)
        note(data, is_final=True, cells=line.cells, formula=line.formula)
        note(array.data, cells=None, formula=None)
    assert isinstance(data, fx.Node)
    return data


def supported_value(evaluation: Evaluation, area: CellRange) -> Array:
    """Values of a range. Raises UnsupportedError with every cell that stands in the way."""
    try:
        return evaluation.value(area)
    except Unsupported:
        targets = evaluation.overlapping(area)
        blocked = [unit for unit in evaluation.ancestors(targets) if unit.is_cause and unit.blocked]
        raise UnsupportedError(
            [
                UnsupportedCell(
                    _place(unit.area),
                    unit.region.formula if unit.region else "",
                    unit.blocked or "",
                )
                for unit in sorted(blocked, key=lambda unit: unit.area)
            ]
        ) from None


def compile_range(
    workbook: Workbook, area: CellRange, given: Mapping[CellRange, torch.Tensor]
) -> fx.GraphModule | None:
    """The numbers of a range, by rows, as a function of given cells; None where it is constant.

    Its parameters are ``given_1``, … with the numbers of ``given``, each flat. An element that is
    an error or a text is NaN. Raises UnsupportedError.
    """
    trace = Trace()
    starts = {
        f"given_{number}": start.reshape([n for n in (cells.rows, cells.columns) if n > 1])
        for number, (cells, start) in enumerate(given.items(), 1)
    }
    blocks = [
        parameter_block(trace, name, cells, start)
        for (name, start), cells in zip(starts.items(), given, strict=True)
    ]
    array = supported_value(Evaluation(workbook, blocks, trace), area)
    if not array.traced:
        return None
    trace.output(flat_numbers(array))
    return build_module(fx.GraphModule, simplify(trace), trace.tensors, starts)


def flat_numbers(array: Array) -> Data:
    """The numbers of a range, by rows; what is an error or a text is NaN."""
    data = full_data(array)
    if array.valid is not None:
        valid = apply(torch.gt, full_data(spread(array.valid, array.shape)), 0.5)
        data = apply(torch.where, valid, data, math.nan)
    fails = (array.full_kinds >= FIRST_ERROR) | (array.full_kinds == TEXT)
    if fails.any():
        data = apply(torch.where, torch.from_numpy(fails), math.nan, data)
    return apply(torch.reshape, data, (-1,))


def largest_tensor(model: SheetModel) -> int:
    """Elements of the largest tensor of the program."""
    values = [facts(node).value for node in model.graph.nodes]
    return max((v.numel() for v in values if isinstance(v, torch.Tensor)), default=0)


def first_error(evaluation: Evaluation, area: CellRange) -> str:
    """The cell, with its formula, in which an error value arises."""
    ancestors = evaluation.ancestors(evaluation.overlapping(area))
    for unit in sorted(ancestors, key=lambda unit: unit.area):
        if unit.block is None or unit.region is None:
            continue
        bad = unit.block.array.full_kinds >= FIRST_ERROR
        if not bad.any():
            continue
        inherits = any(
            source.block is not None and (source.block.array.full_kinds >= FIRST_ERROR).any()
            for source in unit.reads
            if source is not unit
        )
        if not inherits:
            row, column = (int(index) for index in np.argwhere(bad[0, 0])[0])
            place = CellAddress(unit.area.sheet, unit.area.top + row, unit.area.left + column)
            step = unit.region.row_step, unit.region.column_step
            own = unit.region.part(row // step[0], column // step[1], 1, 1)
            return f"{place}: {equals(own.formula)}{_at_fault(evaluation, own)}"
    return str(area)


def _at_fault(evaluation: Evaluation, region: Region) -> str:
    """Cells that a formula reads and that are likely to spoil it, in words."""
    workbook = evaluation.workbook
    found: list[str] = []
    for area in precedents(region, workbook):
        if area.size > _FEW_CELLS:
            continue
        block = stored(workbook, area)
        kinds, numbers = block.full_kinds[0, 0], block.numpy()[0, 0]
        for place, cell in enumerate(area.cells()):
            row, column = divmod(place, area.columns)
            kind = kinds[row, column]
            if kind == TEXT:
                text = short(str(block.full_texts[0, 0][row, column]), _FEW_CELLS)
                found.append(f"{cell} holds the text {text!r}")
            elif kind == BLANK:
                found.append(f"{cell} is blank")
            elif kind == NUMBER and numbers[row, column] <= 0:
                found.append(f"{cell} is {numbers[row, column]:g}")
    texts = [item for item in found if "text" in item] or found
    return f", where {' and '.join(texts[:_MOST_NAMED])}" if texts else ""


def _place(area: CellRange) -> str:
    return str(area.first) if area.size == 1 else str(area)


def _free_name(name: str) -> str:
    """A name that torch.nn.Module does not use itself."""
    return name + "_" if hasattr(nn.Module, name) or hasattr(SheetModel, name) else name


def _refuse_spilled(workbook: Workbook, area: CellRange) -> None:
    for formula in workbook.sheet(area.sheet).array_formulas:
        assert formula.array is not None
        spill = CellRange(area.sheet, *formula.array)
        if spill.size > 1 and area.intersection(spill) and not area.contains(spill):
            raise ModelError(
                f"the variable cells {area} cover a part of the array formula in {spill}: "
                "take all of it, or none"
            )


def _refuse_google_spill(evaluation: Evaluation, reached: Iterable[Unit]) -> None:
    """Raise ModelError where a value that Google Sheets spilled would follow variable cells."""
    spilled = {unit.area.sheet: unit for unit in reached if _calls_google(unit, SPILLED)}
    for sheet, unit in sorted(spilled.items()):
        assert unit.region is not None
        areas = [other.area for other in evaluation.units(sheet) if _calls_google(other)]
        evaluation.compute(areas)
        for other in (item for area in areas for item in evaluation.overlapping(area)):
            if other.region is not None and (other.trained or other.blocked):
                raise ModelError(
                    f"{unit.area.first}: {equals(unit.region.formula)}: a value of a formula of "
                    f"Google Sheets, which may be {other.area.first}: "
                    f"{equals(other.region.formula)}, that reads variable cells: write it in "
                    "Excel's functions"
                )


def _calls_google(unit: Unit, texts: tuple[str, ...] = ()) -> bool:
    """Whether a formula is one of Google Sheets, of one of some texts where they are given."""
    return unit.region is not None and any(
        isinstance(node, Call) and node.function == FOREIGN
        and (not texts or any(Text(text) in node.arguments for text in texts))
        for node in walk(unit.region.tree)
    )  # fmt: skip


def _start_values(workbook: Workbook, area: CellRange) -> torch.Tensor:
    if area.size > MOST_VARIABLES:
        raise SelectionError(
            f"the variable range {area} has {area.size:,} cells: more than {MOST_VARIABLES:,}"
        )
    array = stored(workbook, area)
    if _has_uncomputed(workbook, area, array):
        array = supported_value(Evaluation(workbook), area)
    kinds = array.full_kinds[0, 0]
    wrong = (kinds >= FIRST_ERROR) | (kinds == TEXT)
    if wrong.any():
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        cell = CellAddress(area.sheet, area.top + row, area.left + column)
        value = workbook.sheet(area.sheet).cells.value(cell.row, cell.column)
        raise ModelError(
            f"the variable cell {cell} holds {str(value)!r}, not a number{_beside(workbook, area)}"
        )
    numbers = np.array(logical(array)[0, 0])
    return torch.from_numpy(numbers)


def _beside(workbook: Workbook, area: CellRange) -> str:
    """The numbers beside labels that were taken for them, as a hint."""
    right = replace(area, left=area.left + 1, right=area.right + 1)
    if right.right > MAX_COLUMN or not bool((stored(workbook, right).full_kinds == NUMBER).all()):
        return ""
    return f": the numbers beside it are {right}"


def _has_uncomputed(workbook: Workbook, area: CellRange, array: Array) -> bool:
    """Whether there are formulas without a stored value: some programs write none."""
    formulas = workbook.sheet(area.sheet).formula_at
    blank = np.argwhere(array.full_kinds[0, 0] == BLANK)
    return any((area.top + int(r), area.left + int(c)) in formulas for r, c in blank)


def _limits(problem: Problem, area: CellRange) -> tuple[torch.Tensor, torch.Tensor]:
    lower = np.full((area.rows, area.columns), -math.inf)
    upper = np.full((area.rows, area.columns), math.inf)
    for bound in problem.bounds:
        common = bound.cells.intersection(area)
        if common is None:
            continue
        place = _place_in(area, common)
        lower[place] = np.maximum(lower[place], bound.lower)
        upper[place] = np.minimum(upper[place], bound.upper)
    if problem.non_negative:
        # Solver's rule: variables without an explicit lower bound are kept at 0 or above.
        bounded = np.zeros(lower.shape, dtype=bool)
        for cells in problem.bounded_below:
            common = cells.intersection(area)
            if common is not None:
                bounded[_place_in(area, common)] = True
        lower = np.where(np.isinf(lower) & ~bounded, 0.0, lower)
    return torch.from_numpy(lower), torch.from_numpy(upper)


def _place_in(area: CellRange, part: CellRange) -> tuple[slice, slice]:
    """Where a part of a range stands in an array of the range."""
    return (
        slice(part.top - area.top, part.bottom - area.top + 1),
        slice(part.left - area.left, part.right - area.left + 1),
    )


def _name_nodes(workbook: Workbook, graph: fx.Graph, taken: set[str]) -> None:
    """Give every node that is a region, or a constant read from cells, its name on the sheet."""
    for node in graph.nodes:
        area = facts(node).cells
        if area is None or node.op == "output" or node.name in taken:
            continue
        name = _free_name(identifier(label(workbook, area), area))
        node._rename(unique(name, taken))
