"""Predictions for new rows: a table goes in, the sheet's own row formulas run."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xl2torch.arrays.array import HEIGHT, Array, along, constant
from xl2torch.arrays.shapes import join
from xl2torch.cells.address import CellAddress, CellRange, column_letters
from xl2torch.cells.values import BLANK, FIRST_ERROR, LOGICAL, NUMBER, TEXT, CellValue, kind_of
from xl2torch.errors import ModelError, SelectionError
from xl2torch.ir.naming import header
from xl2torch.lowering.blocks import stored
from xl2torch.lowering.precedents import precedents
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.rows.new_rows import Column, RowProgram, like_blocks
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_ranges
from xl2torch.workbook.sparse_cells import cell_value

if TYPE_CHECKING:
    import pandas

_TOLERANCE = 1e-9
_EPOCH = datetime.datetime(1899, 12, 30)
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Input:
    """A data column of the sheet that predictions are made from.

    ``constant`` is what it holds in every row of the sheet, where that is always the same.
    """

    name: str
    columns: tuple[Column, ...]
    array: Array
    constant: bool

    @property
    def kinds(self) -> set[int]:
        """Kinds of values in the sheet, blanks aside."""
        return set(np.unique(self.array.full_kinds).tolist()) - {BLANK}


@dataclass(frozen=True)
class Predictions:
    """Columns of predictions, by header; ``notes`` say what was assumed."""

    columns: Mapping[str, list[CellValue]]
    notes: tuple[str, ...]


class Predictor:
    """Row formulas from data columns to predictions.

    Raises ModelError where the sheet's formulas cannot be applied to single rows. That they give
    the sheet's own predictions for its own rows is checked when it is made.
    """

    def __init__(
        self, workbook: Workbook, evaluation: Evaluation, outputs: Sequence[CellRange]
    ) -> None:
        self.workbook = workbook
        self.evaluation = evaluation
        self.programs = [RowProgram(evaluation, area) for area in outputs]
        top = outputs[0].top
        self._blocks = [
            (block.top - top, block.rows - 1) for block in like_blocks(evaluation, outputs[0])
        ]
        self.inputs = self._find_inputs()
        self.names = _unique_names(
            [
                header(workbook, CellRange(area.sheet, area.top, place, area.top, place))
                or f"{column_letters(place)}{area.top}"
                for area in outputs
                for place in range(area.left, area.right + 1)
            ]
        )
        self._check()

    @property
    def rows(self) -> int:
        """Rows of the sheet's own table."""
        return self.programs[0].outputs.rows

    def own(self, column: Column) -> Array:
        """What a column holds in the sheet, in all blocks of the table."""
        moved = [
            dataclasses.replace(column, top=column.top + shift, bottom=column.top + shift + last)
            for shift, last in self._blocks
        ]
        return join([self.evaluation.value(item.cells) for item in moved], HEIGHT)

    def _find_inputs(self) -> tuple[Input, ...]:
        columns: set[Column] = set()

        def own(column: Column) -> Array:
            columns.add(column)
            return stored(self.workbook, column.cells)

        for program in self.programs:
            program.compute(own, self.rows)
        by_name: dict[str, list[Column]] = {}
        for column in sorted(columns):
            by_name.setdefault(_name_of(self.workbook, column), []).append(column)
        if not by_name:
            raise ModelError(
                f"{self.programs[0].outputs}: nothing in its rows is data, so there is nothing "
                "that new rows could bring"
            )
        for name, found in by_name.items():
            first = stored(self.workbook, found[0].cells)
            if not all(_same(first, stored(self.workbook, item.cells)) for item in found[1:]):
                places = " and ".join(str(item.cells) for item in found[:2])
                raise ModelError(
                    f"{places} are both headed {name!r} and hold other values: give each column a "
                    "heading of its own"
                )
        return tuple(
            _input(name, tuple(found), self.own(found[0])) for name, found in by_name.items()
        )

    def _check(self) -> None:
        """The sheet's own rows have to give the sheet's own predictions."""
        count = max(self.rows - 1, 1)  # another number of rows than the sheet has

        def data(column: Column) -> Array:
            return along(stored(self.workbook, column.cells), HEIGHT, 0, count, 1)

        for program in self.programs:
            ours = program.compute(data, count)
            own = along(self.evaluation.value(program.outputs), HEIGHT, 0, count, 1)
            same = np.isclose(
                ours.numpy(), own.numpy(), rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True
            )
            same |= own.full_kinds >= FIRST_ERROR
            if not bool((same & (ours.full_kinds == own.full_kinds)).all()):
                raise ModelError(
                    f"{program.outputs}: its formulas say something else of a row on its own than "
                    "in the sheet (do they count rows?), so new rows cannot be predicted"
                )

    def predict(self, table: Mapping[str, Sequence[Any]], from_text: bool = False) -> Predictions:
        """Predictions for the rows of a table, columns by header.

        ``from_text``: values are texts (of a CSV file), read as what the sheet's column holds.
        Raises SelectionError for a missing column or values that do not fit.
        """
        names = {header_key(name): name for name in reversed(list(table))}
        notes, missing, wrong = [], [], []
        given: dict[Column, Array] = {}
        count = max((len(values) for values in table.values()), default=0)
        for item in self.inputs:
            name = item.name if item.name in table else names.get(header_key(item.name))
            # A column that is missing is no mistake where the sheet has one value in all its rows.
            if name is None and item.constant:
                value = cell_value(*_first(item.array))
                shown = f"{value:g}" if isinstance(value, float) else repr(value)
                notes.append(f"{item.name} is {shown} in every row of the sheet: taken as that")
                array = _repeated(item.array, count)
            elif name is None:
                missing.append(item.name)
                continue
            else:
                values = [_cell(value) for value in table[name]]
                if from_text:
                    values = [_from_text(value, item.kinds) for value in values]
                place = _unfit(values, item.kinds)
                if place is not None:
                    wrong.append(_complaint(name, place, values[place], item.kinds))
                    continue
                array = _array(values)
                blanks = sum(value is None for value in values)
                if blanks and not (item.array.full_kinds == BLANK).any():
                    notes.append(
                        f"{name} is blank in {blanks:,} of {count:,} rows, as it is nowhere in the "
                        "sheet: its formulas take a blank as 0"
                    )
            given |= dict.fromkeys(item.columns, array)
        if missing:
            raise SelectionError(
                f"the data has no column {', '.join(missing)}. It has: {', '.join(map(str, table))}"
            )
        if wrong:
            raise SelectionError("\n".join(wrong))
        if not count:
            return Predictions({name: [] for name in self.names}, tuple(notes))
        columns: list[list[CellValue]] = []
        for program in self.programs:
            columns += _values(program.compute(given.__getitem__, count))
        failed = sum(
            any(kind_of(value) >= FIRST_ERROR for value in row)
            for row in zip(*columns, strict=True)
        )
        if failed:
            notes.append(f"{failed:,} of {count:,} rows give an error in the sheet's formulas")
        return Predictions(dict(zip(self.names, columns, strict=True)), tuple(notes))


def predict_frame(
    predictor: Predictor, frame: pandas.DataFrame | Mapping[str, Any]
) -> pandas.DataFrame:
    """The frame with a column for each prediction behind its own; NaN for an error.

    Raises SelectionError.
    """
    import pandas

    frame = _as_frame(frame)
    table = table_of(frame)
    found = predictor.predict(table)
    result = frame.copy()
    for name, values in found.columns.items():
        result[free_name(name, table)] = pandas.Series(
            [None if kind_of(value) >= FIRST_ERROR else value for value in values],
            index=frame.index,
            dtype=float if all(kind_of(v) in (NUMBER, *_ERRORS) for v in values) else object,
        )
    result.attrs["notes"] = list(found.notes)
    return result


def table_of(frame: pandas.DataFrame | Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns of a frame by their headings. Raises SelectionError."""
    frame = _as_frame(frame)
    return {str(name): frame[name].tolist() for name in frame.columns}


def _as_frame(frame: pandas.DataFrame | Mapping[str, Any]) -> pandas.DataFrame:
    import pandas

    if isinstance(frame, Mapping):
        one_row = {name: [value] if np.ndim(value) == 0 else value for name, value in frame.items()}
        frame = pandas.DataFrame(one_row)
    if not isinstance(frame, pandas.DataFrame):
        kind = type(frame).__name__
        raise SelectionError(f"rows are a DataFrame or a dict of columns by header, not {kind}")
    return frame


_ERRORS = range(FIRST_ERROR, 256)


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Name of a prediction's column beside columns that may have the same."""
    return f"{name} predicted" if name in taken else name


def find_outputs(
    workbook: Workbook, evaluation: Evaluation, objective: CellAddress, given: str | None
) -> list[CellRange]:
    """Columns of predictions: those that are given, else the nearest before the loss.

    The loss is what reads observed data beside trained columns: these are the predictions.
    Raises SelectionError.
    """
    if given:
        areas = parse_ranges(workbook, given, objective.sheet)
        if len({area.rows for area in areas}) > 1 or min(area.rows for area in areas) < 2:
            raise SelectionError(
                f"`outputs={given!r}`: give one or more columns with the same rows, such as "
                "AG4:AG715"
            )
        evaluation.compute(areas)
        return [longest_block(evaluation, area) for area in areas]
    seen: set[Unit] = set()
    level = [unit for unit in evaluation.overlapping_cell(objective) if unit.trained]
    while level:
        found = [area for unit in level for area in _predicted(workbook, evaluation, unit)]
        if found:
            return _refuse_several_blocks(_one_of_each(evaluation, sorted(set(found))))
        seen |= set(level)
        level = [
            read_
            for unit in level
            for read_ in sorted(unit.reads, key=lambda item: item.area)
            if read_.trained and read_.region is not None and read_ not in seen
        ]
    raise SelectionError(
        "no column of predictions was found before the objective: name it, such as "
        '`outputs="AG4:AG715"`'
    )


def _one_of_each(evaluation: Evaluation, areas: list[CellRange]) -> list[CellRange]:
    """Without blocks whose formulas are those of a longer one."""
    kept: list[CellRange] = []
    for area in sorted(areas, key=lambda item: -item.rows):
        if not any(area in like_blocks(evaluation, other) for other in kept):
            kept.append(area)
    return sorted(kept)


def _refuse_several_blocks(areas: list[CellRange]) -> list[CellRange]:
    """The areas; raises SelectionError where two stand in the same columns, of other formulas."""
    for number, area in enumerate(areas):
        for other in areas[:number]:
            if (other.sheet, other.left, other.right) == (area.sheet, area.left, area.right):
                raise SelectionError(
                    f"predictions stand in {other} and in {area}, whose rows are computed in other "
                    f"ways: name one of them, such as `outputs={other.a1!r}`"
                )
    return areas


def longest_block(evaluation: Evaluation, area: CellRange) -> CellRange:
    """The longest part of a column whose copied formula blank rows part; else the column."""
    parts = [unit.area.intersection(area) for unit in evaluation.overlapping(area)]
    found = _one_of_each(evaluation, [part for part in parts if part is not None])
    return found[0] if len(found) == 1 and found[0].rows > 1 else area


def _predicted(workbook: Workbook, evaluation: Evaluation, unit: Unit) -> list[CellRange]:
    """Trained columns that a formula reads beside data columns with the same rows.

    Not those that are errors themselves: they read the same data beside trained columns. For a sum
    over rows, labels by which it chooses them are no data.
    """
    trained, data = _trained_and_data(workbook, evaluation, unit)
    found = []
    for area in trained:
        beside = [
            item
            for item in data
            if item.rows == area.rows
            and (unit.area.rows == area.rows or _has_numbers(workbook, item))
        ]
        own = [
            _trained_and_data(workbook, evaluation, item) for item in evaluation.overlapping(area)
        ]
        known = [item for columns, items in own if columns for item in items]
        if any(not any(item.intersection(other) for other in known) for item in beside):
            found.append(area)
    return found


def _trained_and_data(
    workbook: Workbook, evaluation: Evaluation, unit: Unit
) -> tuple[list[CellRange], list[CellRange]]:
    """Columns of trained formulas, and of data, that a unit reads."""
    trained: list[CellRange] = []
    data: list[CellRange] = []
    if unit.region is None:
        return trained, data
    for area in precedents(unit.region, workbook, bases=True):
        if area.rows < 2:
            continue
        units = evaluation.overlapping(area)
        if not units:
            data.append(area)
        elif all(item.trained and item.region is not None for item in units):
            trained.append(area)
        elif not any(item.trained for item in units):
            data.append(area)
    return trained, data


def _has_numbers(workbook: Workbook, area: CellRange) -> bool:
    """Whether a range is more than labels."""
    kinds = stored(workbook, area).full_kinds
    return bool(((kinds == NUMBER) | (kinds == LOGICAL)).any()) or not bool((kinds == TEXT).any())


def input_of(workbook: Workbook, column: Column, array: Array) -> Input:
    """A column as an input, by its header."""
    return _input(_name_of(workbook, column), (column,), array)


def _name_of(workbook: Workbook, column: Column) -> str:
    return header(workbook, column.cells) or str(column.cells)


def _input(name: str, columns: tuple[Column, ...], array: Array) -> Input:
    first = _first(array)
    texts = array.full_texts
    same = (
        bool((array.full_kinds == first[1]).all())
        and bool((array.numpy() == first[0]).all() or first[1] == TEXT)
        and bool((texts == first[2]).all())
    )
    return Input(name, columns, array, same)


def _same(one: Array, other: Array) -> bool:
    """Whether two columns hold the same values."""
    return (
        np.array_equal(one.full_kinds, other.full_kinds)
        and np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        and np.array_equal(one.full_texts, other.full_texts)
    )


def _first(array: Array) -> tuple[float, int, str]:
    return (
        float(array.numpy().flat[0]),
        int(array.full_kinds.flat[0]),
        str(array.full_texts.flat[0]),
    )


def _repeated(array: Array, count: int) -> Array:
    number, kind, text = _first(array)
    shape = (1, 1, count, 1)
    return constant(
        np.full(shape, number), np.full(shape, kind, dtype=np.uint8),
        np.full(shape, text, dtype=object),
    )  # fmt: skip


def _unique_names(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        number, candidate = 2, name
        while candidate in found:
            candidate, number = f"{name} {number}", number + 1
        found.append(candidate)
    return found


def header_key(name: str) -> str:
    """A header, whatever its case and spaces."""
    return " ".join(str(name).split()).casefold()


def _cell(value: Any) -> CellValue:
    """A value of a table as what a cell holds; dates count days."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, datetime.datetime):
        plain = value.replace(tzinfo=None)
        return (plain - _EPOCH) / _DAY if plain == plain else None
    if isinstance(value, datetime.date):
        return float((datetime.datetime(value.year, value.month, value.day) - _EPOCH).days)
    if isinstance(value, int | float | np.number):
        return float(value)
    text = str(value)
    return None if text in ("", "<NA>", "NaT") else text


def _from_text(value: CellValue, kinds: set[int]) -> CellValue:
    """A text of a CSV file as what the sheet's column would hold."""
    if not isinstance(value, str) or kinds == {TEXT}:
        return value
    if value.strip().upper() in ("TRUE", "FALSE"):
        return value.strip().upper() == "TRUE"
    try:
        return float(value)
    except ValueError:
        return value


def _unfit(values: Sequence[CellValue], kinds: set[int]) -> int | None:
    """Place of the first value of a kind that the sheet's column does not hold."""
    allowed = {BLANK, *kinds}
    if kinds & {NUMBER, LOGICAL}:
        allowed |= {NUMBER, LOGICAL}
    if not kinds:
        return None
    return next((i for i, value in enumerate(values) if kind_of(value) not in allowed), None)


def _complaint(name: str, place: int, value: CellValue, kinds: set[int]) -> str:
    wanted = "text" if kinds == {TEXT} else "numbers"
    return f"column {name}, row {place + 1}: {value!r}, where the sheet's column holds {wanted}"


def _array(values: Sequence[CellValue]) -> Array:
    """Column of cells from their values."""
    shape = (1, 1, len(values), 1)
    kinds = np.array([kind_of(value) for value in values], dtype=np.uint8).reshape(shape)
    numbers = np.array([float(v) if isinstance(v, int | float) else 0.0 for v in values])
    texts = np.array([v if isinstance(v, str) else "" for v in values], dtype=object)
    return constant(numbers.reshape(shape), kinds, texts.reshape(shape))


def _values(array: Array) -> list[list[CellValue]]:
    """Columns of an array (1, 1, rows, columns) as cell values."""
    numbers, kinds, texts = array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0]
    return [
        [
            cell_value(number, kind, text)
            for number, kind, text in zip(
                numbers[:, place].tolist(),
                kinds[:, place].tolist(),
                texts[:, place].tolist(),
                strict=True,
            )
        ]
        for place in range(array.shape[3])
    ]
