"""Recurrences: regions that need each other's previous rows (or columns) become one loop.

A running total, an optimiser written down the rows, an RNN. One step is traced into a graph of its
own, whose inputs are what changes from row to row (``xs``), what does not, and the results of
earlier rows; the loop runs over the rows and keeps all other axes vectorised. What of a formula
does not depend on the recurrence is computed for all rows at once, before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from xl2torch.arrays.array import (
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    Kinds,
    NotVectorisable,
    Unsupported,
    as_float,
    constant,
    permuted,
    spread,
)  # fmt: skip
from xl2torch.cells.address import CellRange
from xl2torch.cells.values import FIRST_ERROR, NUMBER, TEXT
from xl2torch.excel.registry import VOLATILE, IntArray
from xl2torch.formula.ast import (
    Binary,
    Call,
    Invoke,
    Local,
    Node,
    Opaque,
    Reference,
    Unary,
    walk,
)
from xl2torch.ir.facts import Kind, note, value_of
from xl2torch.ir.loop import Recurrence
from xl2torch.ir.rewriting import drop_unused
from xl2torch.ir.share_equal_nodes import share_equal_nodes
from xl2torch.ir.spec import check
from xl2torch.ir.trace import Data, Trace, apply, is_traced
from xl2torch.lowering.blocks import Block, placed, read, windows
from xl2torch.lowering.lower import Lowering
from xl2torch.lowering.precedents import SplitRegion
from xl2torch.lowering.regions import Region
from xl2torch.workbook.read.reader import Workbook

LEAST_STEPS = 8
"""Shorter recurrences are written out step by step."""
_UNCLEAR = frozenset({"OFFSET", "INDIRECT", "RANGE", "INTERSECTION", "ANCHORARRAY"})


class NotScannable(Exception):
    """The regions cannot be computed as one loop."""


# ---------------------------------------------------------------- which regions, in which order


@dataclass(frozen=True)
class Plan:
    """Regions of equal length along an axis, computed step by step, in order within a step.

    ``axis`` is ROW or COLUMN; ``forward`` is False for recurrences that begin at the end.
    ``history``: how many earlier steps are needed.
    """

    regions: tuple[Region, ...]
    axis: int
    forward: bool
    history: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        region = self.regions[0]
        return region.rows if self.axis == ROW else region.columns

    def starts(self) -> list[CellRange]:
        """Cells before the first step that the recurrence may read."""
        if not self.history:
            return []
        found = []
        for region in self.regions:
            first, last = _span(region.range, self.axis)
            along = (first - self.history, first - 1) if self.forward else (
                last + 1, last + self.history,
            )  # fmt: skip
            if along[0] >= 1:
                across = _across(region.range, self.axis)
                found.append(_rectangle(region.range.sheet, self.axis, along, across))
        return found


def _span(area: CellRange, axis: int) -> tuple[int, int]:
    return (area.top, area.bottom) if axis == ROW else (area.left, area.right)


def _across(area: CellRange, axis: int) -> tuple[int, int]:
    return (area.left, area.right) if axis == ROW else (area.top, area.bottom)


def _rectangle(sheet: str, axis: int, along: tuple[int, int], across: tuple[int, int]) -> CellRange:
    if axis == ROW:
        return CellRange(sheet, along[0], across[0], along[1], across[1])
    return CellRange(sheet, across[0], along[0], across[1], along[1])


def _fits(region: Region, axis: int) -> bool:
    """Whether the region's copies follow each other cell by cell along the axis."""
    size, step = (region.height, region.row_step) if axis == ROW else (
        region.width, region.column_step,
    )  # fmt: skip
    return size == step == 1 and not region.has_gaps and not region.volatile


def is_long(region: Region, axis: int) -> bool:
    """Whether the region has enough copies along the axis for a loop."""
    return (region.rows if axis == ROW else region.columns) >= LEAST_STEPS


def common_steps(regions: Sequence[Region], axis: int, skip: int) -> tuple[int, int] | None:
    """Rows (columns) that all regions have, without the first ``skip``; None when too few."""
    if any(not _fits(region, axis) for region in regions):
        return None
    if len({region.range.sheet for region in regions}) > 1:
        return None
    spans = [_span(region.range, axis) for region in regions]
    first, last = max(span[0] for span in spans) + skip, min(span[1] for span in spans)
    return (first, last) if last - first + 1 >= LEAST_STEPS else None


def cut_steps(
    region: Region, axis: int, steps: tuple[int, int]
) -> tuple[list[Region], Region, list[Region]]:
    """A region's copies before some steps, those of the steps, and those after them."""
    first, last = _span(region.range, axis)

    def part(start: int, end: int) -> Region:
        if axis == ROW:
            return region.part(start - first, 0, end - start + 1, region.columns)
        return region.part(0, start - first, region.rows, end - start + 1)

    before = [part(first, steps[0] - 1)] if steps[0] > first else []
    after = [part(steps[1] + 1, last)] if steps[1] < last else []
    return before, part(*steps), after


def make_plan(regions: Sequence[Region], axis: int) -> Plan:
    """Order and direction of regions that all have the same steps. Raises NotScannable."""
    areas = [region.range for region in regions]
    same_step: dict[int, set[int]] = {index: set() for index in range(len(regions))}
    reach: list[int] = []
    for index, region in enumerate(regions):
        for node in walk(region.tree):
            if isinstance(node, Opaque) or (isinstance(node, Call) and node.function in _UNCLEAR):
                raise NotScannable
            if isinstance(node, Reference):
                offsets = _offsets(node, region, areas, axis)
                for other, (low, high) in offsets.items():
                    reach += [low, high]
                    if low <= 0 <= high:
                        same_step[index].add(other)
    forward = all(offset <= 0 for offset in reach)
    if not forward and not all(offset >= 0 for offset in reach):
        raise NotScannable
    order = _sorted_by(same_step)
    history = max((abs(offset) for offset in reach), default=0)
    return Plan(tuple(regions[index] for index in order), axis, forward, history)


def _offsets(
    node: Reference, region: Region, areas: Sequence[CellRange], axis: int
) -> dict[int, tuple[int, int]]:
    """How far from its own step a reference reads the other regions."""
    first, last = (node.top, node.bottom) if axis == ROW else (node.left, node.right)
    sides = (node.left, node.right) if axis == ROW else (node.top, node.bottom)
    start, end = _across(region.range, axis)
    places = [bound.at(origin) for bound in sides for origin in (start, end)]
    own_start, own_end = _span(region.range, axis)
    found: dict[int, tuple[int, int]] = {}
    for index, area in enumerate(areas):
        low, high = _across(area, axis)
        if node.sheet != area.sheet or max(places) < low or min(places) > high:
            continue
        if first.relative and last.relative:
            found[index] = (min(first.value, last.value), max(first.value, last.value))
            continue
        reads = [bound.at(origin) for bound in (first, last) for origin in (own_start, own_end)]
        begin, finish = _span(area, axis)
        if max(reads) >= begin and min(reads) <= finish:
            raise NotScannable
    return found


def _sorted_by(needs: dict[int, set[int]]) -> list[int]:
    """Indices so that each comes after what it needs. Raises NotScannable in a circle."""
    order: list[int] = []
    left = {index: set(others) for index, others in needs.items()}
    while left:
        ready = [index for index, others in left.items() if not others]
        if not ready:
            raise NotScannable
        order += ready
        left = {i: o - set(ready) for i, o in left.items() if i not in ready}
    return order


# ---------------------------------------------------------------- one step


@dataclass(frozen=True)
class _State:
    """What is assumed of a region's earlier results: their kinds, and whether they can fail."""

    kinds: Kinds | None = None
    masked: bool = False


@dataclass(eq=False)
class _Step:
    """The graph of one step, as it is traced."""

    plan: Plan
    workbook: Workbook
    outer_read: Callable[[CellRange], Array]
    outer_trace: Trace | None
    states: list[_State]
    trace: Trace = field(default_factory=Trace)
    xs: list[Data] = field(default_factory=list)
    fixed: list[Data] = field(default_factory=list)
    earlier: dict[tuple[int, int, bool], fx.Node] = field(default_factory=dict)
    inputs: list[tuple[str, int]] = field(default_factory=list)
    results: dict[int, Array] = field(default_factory=dict)
    hoisted: dict[tuple[Node, int, bool, bool], Array] = field(default_factory=dict)
    starts: dict[tuple[int, int], Array] = field(default_factory=dict)
    failing: set[int] = field(default_factory=set)

    @property
    def first(self) -> int:
        """Row (column) of the first step."""
        start, end = _span(self.plan.regions[0].range, self.plan.axis)
        return start if self.plan.forward else end

    # ------------------------------------------------------------ inputs

    def _placeholder(self, kind: str, value: torch.Tensor) -> fx.Node:
        node = self.trace.placeholder(f"{kind}_{len(self.inputs)}")
        note(node, kind=Kind.INPUT, value=value.detach())
        return node

    def changing(self, array: Array) -> Array:
        """An array with the steps on the outer axis, as what a step sees of it."""
        axis = self.plan.axis
        kinds = array.kinds
        if kinds is not None and kinds.shape[axis] > 1:
            if (kinds != kinds.take([0], axis)).any():
                raise NotScannable
            kinds = kinds.take([0], axis)
        texts = array.texts
        if texts is not None and texts.shape[axis] > 1:
            if kinds is not None and (kinds == TEXT).any():
                raise NotScannable
            texts = None
        if kinds is not None and (kinds >= FIRST_ERROR).any():
            raise NotScannable
        if array.shape[axis] == 1:
            whole = replace(array, kinds=kinds, texts=texts)
            return self._constant(whole)
        shape = tuple(1 if item == axis else size for item, size in enumerate(array.shape))
        array = as_float(array)
        rest = tuple(item for item in array.axes if item != axis)
        data = permuted(array.data, array.axes, (axis, *rest))
        valid = None
        if array.valid is not None:
            mask = spread(array.valid, array.shape)
            ordered = permuted(mask.data, mask.axes, (axis, *rest))
            valid = Array(self._x(ordered), rest, shape)  # type: ignore[arg-type]
        return Array(self._x(data), rest, shape, kinds, texts, array.from_cells, valid)  # type: ignore[arg-type]

    def _x(self, data: Data) -> fx.Node:
        self.xs.append(data if self.plan.forward else apply(torch.flip, data, (0,)))
        node = self._placeholder("x", value_of(self.xs[-1])[0])
        self.inputs.append(("x", len(self.xs) - 1))
        return node

    def _constant(self, array: Array) -> Array:
        """What is the same at every step."""
        valid = None if array.valid is None else self._constant(array.valid)
        if not is_traced(array.data):
            return replace(array, valid=valid)
        self.fixed.append(array.data)
        node = self._placeholder("fixed", value_of(array.data))
        self.inputs.append(("fixed", len(self.fixed) - 1))
        return replace(array, data=node, valid=valid)

    def _earlier(self, index: int, offset: int) -> Array:
        """A region's cells some steps ago."""
        axis, region, state = self.plan.axis, self.plan.regions[index], self.states[index]
        start = self._start(index, offset)
        if start.valid is not None:
            self.failing.add(index)
        kinds = (
            np.full((1, 1, 1, 1), NUMBER, dtype=np.uint8) if state.kinds is None else state.kinds
        )
        if (np.broadcast_to(kinds, start.shape) != start.full_kinds).any():
            raise NotScannable
        size = _across(region.range, axis)
        width = size[1] - size[0] + 1
        cross = WIDTH if axis == ROW else HEIGHT
        axes = (cross,) if width > 1 else ()
        key = (index, offset, False)
        if key not in self.earlier:
            value = value_of(as_float(start).data)
            self.earlier[key] = self._placeholder("earlier", value)
            self.inputs.append((f"earlier {index}", offset))
        valid = None
        if state.masked:
            mask_key = (index, offset, True)
            if mask_key not in self.earlier:
                known = torch.ones([width] if width > 1 else [], dtype=torch.bool)
                self.earlier[mask_key] = self._placeholder("mask", known)
                self.inputs.append((f"mask {index}", offset))
            valid = Array(self.earlier[mask_key], axes, start.shape)
        return Array(self.earlier[key], axes, start.shape, state.kinds, valid=valid)

    def _start(self, index: int, offset: int) -> Array:
        """The cells before the first step that an earlier result begins with."""
        key = (index, offset)
        if key not in self.starts:
            axis, region = self.plan.axis, self.plan.regions[index]
            place = self.first + offset
            if place < 1:
                raise NotScannable
            area = _rectangle(region.range.sheet, axis, (place, place), _across(region.range, axis))
            array = self.outer_read(area)
            self.starts[key] = spread(array, array.shape)
        return self.starts[key]

    # ------------------------------------------------------------ reading cells

    def cells(self, area: CellRange, moving: bool) -> Array:
        """Cells that a reference of the first step reads; ``moving`` along with the steps."""
        axis = self.plan.axis
        if not moving:
            return self._constant(self.outer_read(area))
        low, high = _across(area, axis)
        touched = [
            index for index, region in enumerate(self.plan.regions)
            if region.range.sheet == area.sheet
            and _across(region.range, axis)[0] <= high and _across(region.range, axis)[1] >= low
        ]  # fmt: skip
        if not touched:
            return self._moving(area)
        blocks = []
        first, last = _span(area, axis)
        for index in touched:
            columns = _across(self.plan.regions[index].range, axis)
            for place in range(first, last + 1):
                offset = place - self.first
                cells = _rectangle(area.sheet, axis, (place, place), columns)
                array = self.results.get(index) if offset == 0 else self._earlier(index, offset)
                if array is None:
                    raise NotScannable
                blocks.append(Block(cells, array))
        covered = sorted(_across(self.plan.regions[index].range, axis) for index in touched)
        start = low
        for begin, end in [*covered, (high + 1, high + 1)]:
            if start < begin:
                gap = _rectangle(area.sheet, axis, (first, last), (start, begin - 1))
                blocks.append(Block(gap, self._moving(gap)))
            start = max(start, end + 1)
        return read(self.workbook, blocks, area)

    def _moving(self, area: CellRange) -> Array:
        """Cells outside the recurrence that move along with the steps."""
        axis, steps = self.plan.axis, self.plan.steps
        first, last = _span(area, axis)
        along = (first, last + steps - 1) if self.plan.forward else (first - steps + 1, last)
        if along[0] < 1:
            raise NotScannable
        whole = self.outer_read(_rectangle(area.sheet, axis, along, _across(area, axis)))
        inner = HEIGHT if axis == ROW else WIDTH
        return self.changing(windows(whole, inner, axis, last - first + 1, 1))

    def depends(self, node: Node) -> bool:
        """Whether a tree needs something of this recurrence, or a name from around it."""
        axis = self.plan.axis
        for part in walk(node):
            if isinstance(part, Local):
                return True
            if isinstance(part, Call) and part.function in VOLATILE:
                return True
            if isinstance(part, Reference):
                for region in self.plan.regions:
                    try:
                        if _offsets(part, region, [r.range for r in self.plan.regions], axis):
                            return True
                    except NotScannable:
                        return True
        return False

    def hoist(self, region: Region, node: Node, array: bool, single: bool) -> Array:
        """Value of a tree that does not depend on the recurrence, for all steps at once."""
        key = (node, id(region), array, single)
        if key not in self.hoisted:
            lowering = Lowering(self.workbook, region, self.outer_read, self.outer_trace)
            self.hoisted[key] = self.changing(lowering._value(node, array, single))
        return self.hoisted[key]

    def one(self, region: Region) -> Region:
        """The region's first step."""
        last = self.plan.steps - 1
        at = 0 if self.plan.forward else last
        if self.plan.axis == ROW:
            return region.part(at, 0, 1, region.columns)
        return region.part(0, at, region.rows, 1)


@dataclass(frozen=True)
class StepLowering(Lowering):
    """Computes one step of one region."""

    step: _Step | None = None  # type: ignore[assignment]
    whole: Region | None = None

    def _value(self, node: Node, array: bool, single: bool) -> Array:
        assert self.step is not None and self.whole is not None
        if self._is_hoisted(node):
            return self.step.hoist(self.whole, node, array, single)
        return super()._value(node, array, single)

    def _is_hoisted(self, node: Node) -> bool:
        assert self.step is not None
        computed = isinstance(node, Call | Invoke | Reference | Unary | Binary)
        return computed and not self.step.depends(node)

    def _reference(self, reference: Reference, intersect: bool) -> Array:
        step = self.step
        assert step is not None
        first, last = (
            (reference.top, reference.bottom)
            if step.plan.axis == ROW
            else (reference.left, reference.right)
        )
        if first.relative != last.relative or (intersect and first != last):
            raise NotScannable
        inner = replace(self, read_cells=lambda area: step.cells(area, first.relative))
        return Lowering._reference(inner, reference, intersect)

    def gather(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Computed places are not known step by step."""
        raise NotScannable


def trace_step(
    plan: Plan, workbook: Workbook, outer_read: Callable[[CellRange], Array],
    outer_trace: Trace | None,
) -> tuple[_Step, fx.GraphModule]:  # fmt: skip
    """The graph of one step; its outputs are each region's cells, and masks where they can fail.

    Raises NotScannable.
    """
    states = [_State() for _ in plan.regions]
    for _ in range(len(states) + 2):
        step = _Step(plan, workbook, outer_read, outer_trace, states)
        found = []
        for index, region in enumerate(plan.regions):
            lowering = StepLowering(
                workbook, step.one(region), _not_here, step.trace, step=step, whole=region
            )
            try:
                array = as_float(lowering.result())
            except (Unsupported, ExcelError, NotVectorisable, SplitRegion):
                raise NotScannable from None
            cells = placed(array, region.height, region.width)
            if cells.texts is not None or (cells.full_kinds >= FIRST_ERROR).any():
                raise NotScannable
            if not cells.traced:
                raise NotScannable
            step.results[index] = cells
            found.append(_State(cells.kinds, cells.valid is not None))
        found = [
            replace(state, masked=state.masked or index in step.failing)
            for index, state in enumerate(found)
        ]
        if all(_same_state(new, old) for new, old in zip(found, states, strict=True)):
            return step, _module(step, states)
        states = [
            _State(new.kinds, new.masked or old.masked)
            for new, old in zip(found, states, strict=True)
        ]
    raise NotScannable


def _not_here(area: CellRange) -> Array:
    raise NotScannable


def _same_state(new: _State, old: _State) -> bool:
    if new.masked and not old.masked:
        return False
    kinds = [np.zeros(1) if state.kinds is None else state.kinds for state in (new, old)]
    return kinds[0].shape == kinds[1].shape and bool((kinds[0] == kinds[1]).all())


def _module(step: _Step, states: Sequence[_State]) -> fx.GraphModule:
    """The step's graph as a module: (number, mask) of every region; None for a mask not needed."""
    outputs: list[Any] = []
    for index, state in enumerate(states):
        cells = step.results[index]
        outputs.append(cells.data)
        mask = None
        if state.masked:
            mask = cells.valid
            shape = cells.shape
            if mask is None:
                always = torch.ones([size for size in shape if size > 1], dtype=torch.bool)
                outputs.append(step.trace.constant(always))
                continue
            outputs.append(permuted(spread(mask, shape).data, spread(mask, shape).axes, cells.axes))
        else:
            outputs.append(None)
    step.trace.output(tuple(outputs))
    share_equal_nodes(step.trace)
    drop_unused(step.trace)
    check(step.trace, "a step of a loop")
    step.trace.lint()
    root = nn.Module()
    for node in step.trace.nodes:
        if node.op == "get_attr" and not hasattr(root, node.target):
            root.register_buffer(node.target, step.trace.tensors[node.target], persistent=False)
    return fx.GraphModule(root, step.trace, "Step")


def compute(
    plan: Plan, workbook: Workbook, outer_read: Callable[[CellRange], Array], trace: Trace | None
) -> list[Array]:
    """Cells of every region of the plan, as rectangles. Raises NotScannable.

    In constant evaluation a result that is an error cannot be told from here: NotScannable.
    """
    step, body = trace_step(plan, workbook, outer_read, trace)
    starts = sorted({(index, offset) for index, offset, _ in step.earlier})
    # A result of k steps ago begins with the k rows before the first step.
    begins = sorted({
        (index, -place) for index, offset in starts for place in range(1, abs(offset) + 1)
    })  # fmt: skip
    sign = 1 if plan.forward else -1
    tensors: list[Data] = [*step.xs, *step.fixed]
    masks: list[Data] = []
    for index, place in begins:
        start = step._start(index, sign * place)
        state = step.states[index]
        kinds = np.uint8(NUMBER) if state.kinds is None else state.kinds
        if (np.broadcast_to(kinds, start.shape) != start.full_kinds).any():
            raise NotScannable
        tensors.append(as_float(start).data)
        masks.append(_mask_of(start))
    tensors += masks
    recurrence = Recurrence(
        body, step.inputs, (len(step.xs), len(step.fixed)), begins, plan.steps, plan.forward
    )
    if trace is not None and any(is_traced(tensor) for tensor in tensors):
        outputs: list[Data | None] = list(trace.call(recurrence, tensors))
    else:
        with torch.no_grad():
            outputs = list(recurrence(*tensors))
    return [
        _result(plan, index, outputs[2 * index], outputs[2 * index + 1], step.states[index])
        for index in range(len(plan.regions))
    ]


def _mask_of(array: Array) -> Data:
    """Where cells are no errors, in the array's own dims."""
    if array.valid is None:
        return torch.ones([array.shape[axis] for axis in array.axes], dtype=torch.bool)
    mask = spread(array.valid, array.shape)
    return permuted(mask.data, mask.axes, array.axes)


def _result(plan: Plan, index: int, data: Data | None, mask: Data | None, state: _State) -> Array:
    region = plan.regions[index]
    assert data is not None
    shape = (1, 1, region.range.rows, region.range.columns)
    along, cross = (HEIGHT, WIDTH) if plan.axis == ROW else (WIDTH, HEIGHT)
    axes = (along, cross) if shape[cross] > 1 else (along,)
    kinds = None if state.kinds is None else np.broadcast_to(state.kinds, shape)
    if is_traced(data):
        valid = None if mask is None else Array(mask, axes, shape)
        return Array(data, axes, shape, kinds, valid=valid)
    numbers = value_of(data)
    failed = mask is not None and not bool(value_of(mask).all())
    if failed or not bool(torch.isfinite(numbers).all()):
        raise NotScannable
    array = Array(numbers, axes, shape)
    return constant(array.numpy(), None if kinds is None else np.array(kinds))
