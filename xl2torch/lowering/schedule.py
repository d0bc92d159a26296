"""The order of evaluation: what is asked for first, then what that needs, with an explicit stack.

A region that needs itself at an offset (a running total) is cut into its rows, and those into
cells, only as far as the circle demands. What is still circular then is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import fx

from xl2torch.arrays.array import (
    COLUMN,
    ROW,
    Array,
    ExcelError,
    NotVectorisable,
    UnknownFunction,
    Unsupported,
    align,
    scalar,
    spread,
)  # fmt: skip
from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.cells.values import BLANK, NUMBER
from xl2torch.errors import CircularReferenceError
from xl2torch.ir.facts import note, note_line
from xl2torch.ir.trace import Trace, apply
from xl2torch.lowering.blocks import Block, cut, placed, read, stored, with_gaps
from xl2torch.lowering.families import (
    Board,
    FamilyProgress,
    compute_members,
    find_families,
    taken_apart,
)
from xl2torch.lowering.lower import Lowering, Resized
from xl2torch.lowering.places import with_plain_places
from xl2torch.lowering.precedents import RectangleIndex, SplitRegion, precedents, unknowable
from xl2torch.lowering.recurrence import (
    NotScannable,
    Plan,
    common_steps,
    compute,
    cut_steps,
    is_long,
    make_plan,
)
from xl2torch.lowering.regions import Region, find_regions
from xl2torch.safety.limits import MOST_CELLS, beyond, shortage
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.spills import Size, resized, spills
from xl2torch.workbook.sparse_cells import key_of, places_of

_MOST_ROUNDS = 8


class NotReady(Exception):
    """A rectangle was read before its regions were computed."""

    def __init__(self, units: list[Unit]) -> None:
        self.units = units


class Circle(Exception):
    """Cells that need each other."""

    def __init__(self, units: list[Unit]) -> None:
        self.units = units


@dataclass(eq=False)
class Loop:
    """Units that are computed together, row by row."""

    plan: Plan
    units: list[Unit] = field(default_factory=list)


@dataclass(eq=False)
class Unit:
    """A region, or a part of one, on its way to a block of values.

    ``cached_because`` says why the values are the file's cached ones; ``blocked`` why there are
    none: an unsupported formula that a parameter reaches (``is_cause``), or one that needs such a
    formula. ``trained``: a parameter reaches it. ``resampled``: its random numbers are drawn anew
    in training. ``on_stack``: it waits for what it needs.
    ``loop``: the recurrence that it is a part of. ``member``: its place among formulas that are
    alike, where it is computed with them.
    """

    area: CellRange
    region: Region | None
    block: Block | None = None
    on_stack: bool = False
    reads: set[Unit] = field(default_factory=set)
    cached_because: str | None = None
    volatile: bool = False
    blocked: str | None = None
    is_cause: bool = False
    trained: bool = False
    resampled: bool = False
    loop: Loop | None = None
    member: tuple[Relatives, int] | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to compute."""
        return self.block is not None or self.blocked is not None


@dataclass(eq=False)
class Relatives:
    """A family on its way: its units, and those of the cells that it reads, by place on a board."""

    board: Board
    progress: FamilyProgress
    units: list[Unit]
    sources: dict[int, Unit]


class Evaluation:
    """Values of a workbook's cells, computed on demand.

    ``given`` are blocks that replace cells: variable cells, as parameters of a trace or as numbers.
    ``draws``: in a trace, cells of random numbers draw anew in training mode. Its ``workbook`` has
    dynamic arrays over the cells that they fill.
    """

    def __init__(
        self, workbook: Workbook, given: Iterable[Block] = (), trace: Trace | None = None,
        draws: bool = False,
    ) -> None:  # fmt: skip
        self.workbook = with_true_sizes(workbook)
        self.trace = trace
        self.draws = draws and trace is not None
        self.given = [Unit(block.area, None, block, trained=True) for block in given]
        self._units: dict[str, list[Unit]] = {}
        self._indices: dict[str, RectangleIndex] = {}
        self.regions: dict[str, list[Region]] = {}
        self._sizes: dict[CellAddress, Size] = {}
        self._boards: dict[str, tuple[Board, dict[int, Unit]]] = {}

    # ------------------------------------------------------------ units

    def units(self, sheet: str) -> list[Unit]:
        """All units of a sheet, found when the sheet is first needed."""
        if sheet not in self._units:
            given = [unit for unit in self.given if unit.area.sheet == sheet]
            cut = {(cell.row, cell.column) for unit in given for cell in unit.area.cells()}
            regions = find_regions(self.workbook, self.workbook.sheet(sheet), cut)
            self.regions[sheet] = regions
            self._set(sheet, [Unit(region.range, region) for region in regions] + given)
            if self.trace is None:
                self._find_relatives(sheet)
        return self._units[sheet]

    def _find_relatives(self, sheet: str) -> None:
        """Let formulas that are alike be computed together."""
        families = find_families(self.workbook, self.workbook.sheet(sheet), self.regions[sheet])
        if not families:
            return
        board = Board(self.workbook.sheet(sheet), families)
        sources = _sources(board, self._units[sheet])
        self._boards[sheet] = board, sources
        board.known[list(sources)] = False
        for family in families:
            progress = FamilyProgress(family, board)
            units = [sources[place] for place in progress.own.tolist()]
            relatives = Relatives(board, progress, units, sources)
            for number, unit in enumerate(units):
                unit.member = relatives, number

    def _set(self, sheet: str, units: list[Unit]) -> None:
        self._units[sheet] = units
        self._indices[sheet] = RectangleIndex([unit.area for unit in units])
        if sheet in self._boards:
            board, sources = self._boards[sheet]
            sources.update(_sources(board, units))

    def overlapping(self, area: CellRange) -> list[Unit]:
        """Units that share a cell with a rectangle; given cells last, since they go over others."""
        units = self.units(area.sheet)
        return [units[index] for index in self._indices[area.sheet].overlapping(area)]

    def overlapping_cell(self, cell: CellAddress) -> list[Unit]:
        """Units that hold a cell."""
        return self.overlapping(single_cell(cell))

    def _split(self, units: list[Unit]) -> None:
        for sheet in {unit.area.sheet for unit in units}:
            fresh: list[Unit] = []
            for unit in self._units[sheet]:
                if unit in units and unit.region is not None:
                    fresh += [Unit(part.range, part) for part in unit.region.split()]
                else:
                    fresh.append(unit)
            self._set(sheet, fresh)

    # ------------------------------------------------------------ evaluation

    def value(self, area: CellRange) -> Array:
        """Values of a rectangle on the two inner axes.

        Raises CircularReferenceError. Where a cell is blocked, raises Unsupported.
        """
        self.compute([area])
        return self._read(area, None)

    def compute(self, areas: list[CellRange]) -> None:
        """Compute everything that stands in some rectangles. Raises CircularReferenceError."""
        self._settle(lambda: self._compute(areas))

    def _compute(self, areas: list[CellRange]) -> None:
        if self.given and self.trace is None:
            self._compute_spills()  # the values that are given may make them larger
        try:
            while wanted := self._unfinished(areas):
                self._run(wanted)
        except Circle as circle:
            cells = [str(unit.area.first) for unit in circle.units]
            raise CircularReferenceError(cells, self.workbook.iterates) from None

    def compute_all(self) -> None:
        """Compute every formula of the workbook; cells in a circle keep their cached values."""
        self._settle(
            lambda: self._compute_where(
                lambda: [u for sheet in self.workbook.sheets for u in self.units(sheet.name)]
            )
        )

    def compute_reached(self) -> None:
        """Compute every formula that the given cells may reach, and what that reads."""

        def work() -> None:
            areas = [unit.area for unit in self._reached()]
            self._compute_where(lambda: [unit for area in areas for unit in self.overlapping(area)])

        self._settle(work)

    def compute_spills(self) -> None:
        """Compute the dynamic arrays, which gives them their sizes."""
        self._settle(self._compute_spills)

    def _compute_spills(self) -> None:
        areas = spills(self.workbook)
        self._compute_where(lambda: [unit for area in areas for unit in self.overlapping(area)])

    def _settle(self, work: Callable[[], None]) -> None:
        """Do some work, and again where results turn out to have other sizes than their ranges."""
        with np.errstate(all="ignore"):  # numbers beyond floats become #NUM! in what reads them
            work()
            for _ in range(_MOST_ROUNDS):
                if not self._sizes:
                    return
                self.workbook = resized(self.workbook, self._sizes)
                for known in (self._sizes, self._units, self._indices, self.regions, self._boards):
                    known.clear()
                work()
        self._sizes.clear()

    def _reached(self) -> set[Unit]:
        """Units that the given cells may reach, by what their formulas are known to read."""
        readers: dict[Unit, list[Unit]] = {}
        roots = list(self.given)
        for name in self._sheets_reached():
            for unit in self.units(name):
                if unit.region is None:
                    continue
                if unknowable(unit.region.tree):
                    roots.append(unit)
                for area in precedents(unit.region, self.workbook, bases=True):
                    for source in self.overlapping(area):
                        readers.setdefault(source, []).append(unit)
        return _closure(roots, readers) | set(roots)

    def _sheets_reached(self) -> list[str]:
        """Sheets whose formulas may read one that is reached, by the names in their texts."""
        found = list(dict.fromkeys(unit.area.sheet for unit in self.given))
        words = [word.name.lower() for word in self.workbook.names]
        words += [table.name.lower() for sheet in self.workbook.sheets for table in sheet.tables]
        words += ["indirect(", "offset(", "[", ":'"]
        several = re.compile(r":[^!,()+*/-]*!")  # Jan:Dec!B2 names only the first and the last
        texts = {
            sheet.name: "\n".join(group.text for group in sheet.groups).lower()
            for sheet in self.workbook.sheets
        }
        left = [name for name in texts if name not in found]
        for source in found:
            wanted = [*words, source.lower().replace("'", "''")]
            readers = [
                name for name in left
                if any(word in texts[name] for word in wanted) or several.search(texts[name])
            ]  # fmt: skip
            found += readers
            left = [name for name in left if name not in readers]
        return found

    def _compute_where(self, listed: Callable[[], list[Unit]]) -> None:
        while wanted := [unit for unit in listed() if not unit.done]:
            try:
                self._run(wanted)
            except Circle as circle:
                for unit in circle.units:
                    unit.cached_because = "it is part of a circular reference"
                    unit.block = Block(unit.area, stored(self.workbook, unit.area))
                _close(circle.units)

    def _unfinished(self, areas: list[CellRange]) -> list[Unit]:
        return [unit for area in areas for unit in self.overlapping(area) if not unit.done]

    def _run(self, stack: list[Unit]) -> None:
        """Work off the stack; returns early when units had to be split."""
        # A depth-first walk without Python's own stack: a chain of cells can be a million long.
        # ``path`` are the units that wait for one another; one that is met again closes a circle.
        path: list[Unit] = []
        while stack:
            unit = stack[-1]
            if unit.done:
                stack.pop()
                if path and path[-1] is unit:
                    path.pop()
                continue
            missing: list[Unit]
            if unit.on_stack:
                missing = []
            else:
                unit.on_stack = True
                path.append(unit)
                assert unit.region is not None
                missing = self._missing(unit)
            if not missing:
                try:
                    if unit.member and self._compute_relatives(*unit.member):
                        pass
                    elif unit.loop:
                        self._compute_loop(unit.loop)
                    else:
                        self._compute_unit(unit)
                except NotReady as needed:
                    if any(item.on_stack for item in needed.units) and self._made_plain(unit):
                        path.pop()
                        unit.on_stack = False
                        continue
                    missing = needed.units
                except NotScannable:
                    assert unit.loop is not None
                    self._split(unit.loop.units)
                    _close(path)
                    return
                except SplitRegion:
                    self._split([unit])
                    _close(path)
                    return
            circle = next((needed for needed in missing if needed.on_stack), None)
            if circle is not None:
                # Regions that need each other's previous rows are a loop; else they are taken apart
                # into cells, and only a circle of cells is a true one.
                members = path[path.index(circle) :]
                if self._make_loop(members):
                    _close(path)
                    return
                members += [part for m in members if m.loop for part in m.loop.units]
                divisible = [
                    m for m in members if m.region and m.region.rows * m.region.columns > 1
                ]
                if not divisible:
                    _close(path)
                    raise Circle(list(reversed(members)))
                self._split(divisible)
                _close(path)
                return
            stack.extend(missing)

    def _made_plain(self, unit: Unit) -> bool:
        """Write computed references of a unit as plain ones, if there are any that are."""
        if unit.region is None or unit.loop:
            return False

        def known(area: CellRange) -> Array:
            try:
                return self._read(area, unit)
            except NotReady:
                raise Unsupported("a place that is not known yet") from None

        tree = with_plain_places(Lowering(self.workbook, unit.region, known))
        if tree is unit.region.tree:
            return False
        unit.region = unit.region.with_tree(tree)
        return True

    def _compute_relatives(self, relatives: Relatives, number: int) -> bool:
        """Compute a unit with all that are alike and ready; False where it has to go alone."""
        board, progress = relatives.board, relatives.progress
        chosen, values = np.empty(0, dtype=np.int64), None
        if not progress.given_up:
            self._look_at(relatives, progress.wanted(board))
            ready = progress.ready(board).tolist()  # a circle may have given some their values
            open_ = [place for place in ready if not relatives.units[place].done]
            chosen = np.array(open_, dtype=np.int64)
        if number in chosen:
            sheet = relatives.units[number].area.sheet
            values = compute_members(self.workbook, sheet, progress.family, chosen, board.gather)
        if values is None:
            progress.given_up = True
            for unit in relatives.units:
                unit.member = None
            return False
        progress.left[chosen] = False
        board.put(progress.own[chosen], values)
        reads = progress.reads[chosen].tolist()
        for place, item, read_ in zip(chosen.tolist(), taken_apart(values), reads, strict=True):
            unit = relatives.units[place]
            unit.block = Block(unit.area, item)
            unit.reads = {relatives.sources[n] for n in read_ if n in relatives.sources}
            unit.trained = any(source.trained for source in unit.reads)
        return True

    def _look_at(self, relatives: Relatives, places: Iterable[int]) -> list[Unit]:
        """Put values on the board where units are computed by now; those that are not yet."""
        board, found = relatives.board, []
        for place in places:
            source = relatives.sources[place]
            if source.block is None:
                found.append(source)
                continue
            row, column = (int(item) for item in places_of(board.codes[place]))
            cell = CellRange(source.area.sheet, row, column, row, column)
            board.put(np.array([place]), cut(source.block, cell))
        return found

    def _missing(self, unit: Unit) -> list[Unit]:
        """Units that one is known to read and that are not computed yet."""
        if unit.member:
            relatives, number = unit.member
            reads = relatives.progress.reads[number]
            places = reads[~relatives.board.known[reads]].tolist()
            return self._look_at(relatives, places)
        parts = unit.loop.units if unit.loop else [unit]
        return [
            needed
            for part in parts
            if part.region is not None
            for area in precedents(part.region, self.workbook)
            for needed in self.overlapping(area)
            if not needed.done and not (unit.loop and needed.loop is unit.loop)
        ]

    def _make_loop(self, members: list[Unit]) -> bool:
        """Make the units that need each other a loop, if they can be computed row by row."""
        group = self._component(members[0])
        if any(unit.loop for unit in group):
            return False
        for axis in (ROW, COLUMN):
            # Single cells before the first step (a start value) are computed on their own.
            long = [unit for unit in group if unit.region and is_long(unit.region, axis)]
            regions = [unit.region for unit in long if unit.region]
            for skip in (0, 1):
                steps = common_steps(regions, axis, skip) if regions else None
                if steps is None:
                    continue
                parts = [cut_steps(region, axis, steps) for region in regions]
                try:
                    plan = make_plan([inside for _, inside, _ in parts], axis)
                except NotScannable:
                    continue
                if not skip and not self._starts_with_numbers(plan):
                    continue
                self._set_loop(long, plan, parts)
                return True
        return False

    def _starts_with_numbers(self, plan: Plan) -> bool:
        """Whether the cells before the first step are cells like those of the recurrence itself."""
        for area in plan.starts():
            if any(unit.area.intersection(area) for unit in self.overlapping(area)):
                continue
            if (stored(self.workbook, area).full_kinds != NUMBER).any():
                return False
        return True

    def _set_loop(
        self, group: list[Unit], plan: Plan,
        parts: list[tuple[list[Region], Region, list[Region]]],
    ) -> None:  # fmt: skip
        loop = Loop(plan)
        inside = {id(region) for region in plan.regions}
        by_region: dict[int, Unit] = {}
        fresh = []
        for before, middle, after in parts:
            for region in (*before, middle, *after):
                unit = Unit(region.range, region)
                if id(region) in inside:
                    unit.loop = loop
                    by_region[id(region)] = unit
                fresh.append(unit)
        loop.units = [by_region[id(region)] for region in plan.regions]
        sheet = group[0].area.sheet
        self._set(sheet, [unit for unit in self._units[sheet] if unit not in group] + fresh)

    def _component(self, start: Unit) -> list[Unit]:
        """Units that need each other with one of them, in the order of the sheet."""
        needs: dict[Unit, list[Unit]] = {}
        stack = [start]
        while stack:
            unit = stack.pop()
            if unit in needs:
                continue
            needs[unit] = self._missing(unit)
            stack += needs[unit]
        readers: dict[Unit, list[Unit]] = {}
        for unit, needed in needs.items():
            for other in needed:
                readers.setdefault(other, []).append(unit)
        group = _closure([start], readers) | {start}
        return sorted(group & needs.keys(), key=lambda unit: unit.area)

    def _compute_loop(self, loop: Loop) -> None:
        first = loop.units[0]
        arrays = compute(loop.plan, self.workbook, lambda area: self._read(area, first), self.trace)
        first.reads -= set(loop.units)
        trained = any(read_.trained for read_ in first.reads)
        for unit, array in zip(loop.units, arrays, strict=True):
            assert unit.region is not None
            if isinstance(array.data, fx.Node):
                note_line(array.data, unit.area, unit.region.formula)
            unit.block = Block(unit.area, array)
            unit.trained = trained
            unit.reads = first.reads | set(loop.units) - {unit}

    def _compute_unit(self, unit: Unit) -> None:
        region = unit.region
        assert region is not None
        if unit.area.size > MOST_CELLS:
            unit.cached_because = beyond(unit.area.size, MOST_CELLS, "cells of an array formula")
            self._block(unit, unit.cached_because)
            return
        if region.volatile:
            unit.volatile = True
            self._note_reads(unit)
            # Without a trace it keeps its stored value, whatever it reads.
            if self.trace and any(read_.trained or read_.blocked for read_ in unit.reads):
                self._block(
                    unit,
                    "it draws random numbers beside a trained value: give RAND a cell of its own",
                )
                return
            cached = stored(self.workbook, unit.area)
            if self.trace is not None and (cached.full_kinds == BLANK).all():
                # A blank would count as 0: a number that nobody drew.
                self._block(
                    unit, "the file holds no value of it: recalculate and save it in Excel first"
                )
                return
            unit.block = self._drawn(unit) or Block(unit.area, cached)
            return
        lowering = Lowering(self.workbook, region, lambda area: self._read(area, unit), self.trace)
        try:
            array = _result(lowering)
        except ExcelError as error:
            size = (region.rows, region.columns, region.height, region.width)
            array = spread(scalar(error.error), size)
        except Unsupported as reason:
            if isinstance(reason, NotVectorisable) and region.rows * region.columns > 1:
                raise SplitRegion from None
            if isinstance(reason, Resized):
                self._sizes[region.range.first] = reason.size
            needed = [read_ for read_ in unit.reads if read_.blocked]
            if needed:
                unit.blocked = f"it needs {needed[0].area.first}"
                self._reaches_trace(unit)  # notes the other blocked cells that it reads
            elif self._reaches_trace(unit):
                self._block(unit, str(reason))
            elif region.rows * region.columns > 1 and not isinstance(reason, UnknownFunction):
                # What fails for the whole region may work cell by cell.
                raise SplitRegion from None
            else:
                unit.cached_because = str(reason)
                unit.block = self._foreign(unit, reason) or Block(
                    unit.area, stored(self.workbook, unit.area)
                )
            return
        array = placed(array, region.height, region.width)
        if region.has_gaps:
            array = with_gaps(array, region.row_step, region.column_step)
        if isinstance(array.data, fx.Node):
            note_line(array.data, region.range, region.formula)
        unit.block = Block(unit.area, array)
        unit.trained = any(read_.trained for read_ in unit.reads)

    def _foreign(self, unit: Unit, reason: Unsupported) -> Block | None:
        """Values by another package, where we lack the function and the file keeps no value."""
        region = unit.region
        assert region is not None
        if not isinstance(reason, UnknownFunction) or region.has_gaps:
            return None
        if (stored(self.workbook, unit.area).full_kinds != BLANK).any():
            return None
        lowering = Lowering(
            self.workbook, region, lambda area: self._read(area, unit), foreign=True
        )
        try:
            array = lowering.result()
        except ExcelError as error:
            if region.rows * region.columns > 1:
                return None
            array = spread(scalar(error.error), (1, 1, region.height, region.width))
        except (Unsupported, SplitRegion):
            return None
        unit.cached_because = f"{reason}; computed by the package formulas"
        return Block(unit.area, placed(array, region.height, region.width))

    def _drawn(self, unit: Unit) -> Block | None:
        """Random numbers that are drawn anew in training mode, else the stored ones.

        None where they cannot be: the time of day, texts, no stored numbers.
        """
        region, trace = unit.region, self.trace
        if not self.draws or trace is None or region is None:
            return None
        cached = stored(self.workbook, unit.area)
        if cached.kinds is not None:
            return None
        lowering = Lowering(
            self.workbook, region, lambda area: self._read(area, unit), trace, drawing=trace.draw
        )
        try:
            fresh = placed(lowering.result(), region.height, region.width)
        except (Unsupported, ExcelError, SplitRegion):
            return None
        if (
            region.has_gaps
            or fresh.kinds is not None
            or fresh.valid is not None
            or not fresh.traced
        ):
            return None
        (first, second), axes = align([fresh, cached])
        data = apply(torch.where, trace.drawing(), first, second)
        assert isinstance(data, fx.Node)
        note(data, cells=region.range, formula=region.formula)
        unit.resampled = True
        return Block(unit.area, Array(data, axes, fresh.shape))

    def _block(self, unit: Unit, reason: str) -> None:
        unit.blocked, unit.is_cause = reason, True

    def _note_reads(self, unit: Unit) -> None:
        """Note everything that a formula may read."""
        assert unit.region is not None
        unit.reads |= {
            needed
            for area in precedents(unit.region, self.workbook, bases=True)
            for needed in self.overlapping(area)
        }
        if unknowable(unit.region.tree):
            unit.reads.update(self.given)

    def _reaches_trace(self, unit: Unit) -> bool:
        self._note_reads(unit)
        return any(
            read_.blocked or (read_.block and read_.block.array.traced) for read_ in unit.reads
        )

    def _read(self, area: CellRange, reader: Unit | None) -> Array:
        units = self.overlapping(area)
        missing = [unit for unit in units if not unit.done]
        if missing:
            raise NotReady(missing)
        if reader is not None:
            reader.reads.update(units)
        for unit in units:
            if unit.blocked:
                raise Unsupported(f"it needs {unit.area.first}")
        return read(self.workbook, [unit.block for unit in units if unit.block], area)

    # ------------------------------------------------------------ what came out

    def all_units(self) -> list[Unit]:
        """Every unit of the sheets that were needed."""
        return [unit for units in self._units.values() for unit in units]

    def descendants(self, roots: Iterable[Unit]) -> set[Unit]:
        """Units that read one of the roots, directly or not."""
        readers: dict[Unit, list[Unit]] = {}
        for unit in self.all_units():
            for source in unit.reads:
                readers.setdefault(source, []).append(unit)
        return _closure(roots, readers)

    def ancestors(self, roots: Iterable[Unit]) -> set[Unit]:
        """Units that the roots read, directly or not, the roots included."""
        links = {unit: list(unit.reads) for unit in self.all_units()}
        return _closure(roots, links) | set(roots)


_KNOWN: WeakKeyDictionary[Workbook, Workbook | None] = WeakKeyDictionary()


def with_true_sizes(workbook: Workbook) -> Workbook:
    """The workbook with every dynamic array over the cells that its result fills.

    Programs that write formulas alone give such a formula one cell, and Excel spills it when it
    opens the file.
    """
    if workbook not in _KNOWN:
        _KNOWN[workbook] = None  # as it is: also while its arrays are computed
        if spills(workbook):
            evaluation = Evaluation(workbook)
            evaluation.compute_spills()
            if evaluation.workbook is not workbook:
                _KNOWN[workbook] = evaluation.workbook
                _KNOWN[evaluation.workbook] = None
    return _KNOWN[workbook] or workbook


def _sources(board: Board, units: Iterable[Unit]) -> dict[int, Unit]:
    """Which unit each cell on a board is of; given cells come last, since they go over others."""
    found: dict[int, Unit] = {}
    for unit in units:
        area = unit.area
        first, last = key_of(area.top, area.left), key_of(area.bottom, area.right)
        start, end = np.searchsorted(board.codes, (first, last + 1)).tolist()
        for place in range(start, end) if area.size == 1 else _inside(board, area, start, end):
            found[place] = unit
    return found


def _inside(board: Board, area: CellRange, start: int, end: int) -> list[int]:
    _, columns = places_of(board.codes[start:end])
    inside = (columns >= area.left) & (columns <= area.right)
    places: list[int] = (np.flatnonzero(inside) + start).tolist()
    return places


def _closure(roots: Iterable[Unit], links: Mapping[Unit, list[Unit]]) -> set[Unit]:
    found: set[Unit] = set()
    stack = list(roots)
    while stack:
        for unit in links.get(stack.pop(), []):
            if unit not in found:
                found.add(unit)
                stack.append(unit)
    return found


def _close(path: list[Unit]) -> None:
    for unit in path:
        unit.on_stack = False


def _result(lowering: Lowering) -> Array:
    """The values of a region. Raises Unsupported where memory or depth are short, too."""
    try:
        return lowering.result()
    except (MemoryError, RecursionError, RuntimeError) as error:
        why = shortage(error)
        if not why:
            raise
        raise Unsupported(why) from None
