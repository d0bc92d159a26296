"""Text functions. They work on constants: a text has no gradient."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import reduce as fold
from typing import Any

import numpy as np

from xl2torch.arrays.array import (
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    as_numbers,
    broadcast_shape,
    constant,
    number_from_text,
    pad,
    reduce_errors,
    truth,
)  # fmt: skip
from xl2torch.arrays.dates_in_text import date_from_text, moment_from_text
from xl2torch.arrays.operators import concatenate, texts_of
from xl2torch.arrays.sample import overlaid
from xl2torch.arrays.shapes import one_copy
from xl2torch.cells.values import (
    BLANK,
    ERRORS,
    FIRST_ERROR,
    LOGICAL,
    NA,
    NUM,
    TEXT,
    VALUE,
    CellValue,
    ErrorValue,
    error_of_kind,
    kind_of,
)  # fmt: skip
from xl2torch.excel.criteria import wildcard
from xl2torch.excel.logical import replaced_errors
from xl2torch.excel.registry import family, function
from xl2torch.excel.text_format import formatted
from xl2torch.safety.limits import MOST_LETTERS
from xl2torch.workbook.sparse_cells import cell_value

# ---------------------------------------------------------------- element by element


def from_values(values: Sequence[CellValue], shape: tuple[int, ...]) -> Array:
    """Array of cell values, in reading order of the four axes."""
    kinds = np.array([kind_of(value) for value in values], dtype=np.uint8).reshape(shape)
    numbers = np.array(
        [float(v) if isinstance(v, float | bool | int) else np.nan if isinstance(v, ErrorValue)
         else 0.0 for v in values]
    ).reshape(shape)  # fmt: skip
    texts = np.array([v if isinstance(v, str) else "" for v in values], dtype=object).reshape(shape)
    return constant(numbers, kinds, texts)


def each(function_: Callable[..., CellValue], letters: str, *arrays: Array) -> Array:
    """A function of constants, element by element; equal operands are computed once.

    ``letters`` say what each operand is read as: ``n`` a number, ``t`` a text, ``x`` as it is. An
    error among the operands is the result, an ExcelError that the function raises too.
    """
    if any(array.traced for array in arrays):
        raise Unsupported("it works on texts or whole values, not on trained numbers")
    shape = broadcast_shape(*arrays)
    columns: list[list[Any]] = []
    for letter, array in zip(letters, arrays, strict=True):
        array = pad(array, shape)
        array = as_numbers(array) if letter == "n" else array
        kinds = np.broadcast_to(array.full_kinds, shape).reshape(-1)
        if letter == "n":
            values: list[Any] = np.broadcast_to(array.numpy(), shape).reshape(-1).tolist()
        elif letter == "t":
            values = list(np.broadcast_to(texts_of(array), shape).reshape(-1))
        else:
            numbers = np.broadcast_to(array.numpy(), shape).reshape(-1).tolist()
            texts = np.broadcast_to(array.full_texts, shape).reshape(-1)
            values = [
                cell_value(n, int(k), str(t)) for n, k, t in zip(numbers, kinds, texts, strict=True)
            ]
        for index in np.flatnonzero(kinds >= FIRST_ERROR):
            values[index] = error_of_kind(int(kinds[index]))
        columns.append(values)
    known: dict[tuple[Any, ...], CellValue] = {}
    results: list[CellValue] = []
    for operands in zip(*columns, strict=True):
        key = tuple((type(value), value) for value in operands)
        if key not in known:
            known[key] = _one(function_, operands)
        results.append(known[key])
    return from_values(results, shape)


def _one(function_: Callable[..., CellValue], operands: tuple[Any, ...]) -> CellValue:
    for operand in operands:
        if isinstance(operand, ErrorValue):
            return operand
    try:
        result = function_(*operands)
    except ExcelError as error:
        return error.error
    if isinstance(result, str) and len(result) > MOST_LETTERS:
        return VALUE
    if isinstance(result, float) and not math.isfinite(result):
        return NUM
    return float(result) if type(result) is int else result


# ---------------------------------------------------------------- parts


def _units(text: str) -> str:
    """A text as Excel counts it: a character beyond U+FFFF is two units of UTF-16."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(data[at] | data[at + 1] << 8) for at in range(0, len(data), 2))


def _whole(units: str) -> str:
    """The text that units are; of a character that was cut apart the half is no character."""
    if units.isascii() or not any("\ud800" <= unit <= "\udfff" for unit in units):
        return units
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _count(number: float, least: int = 0) -> int:
    whole = int(np.floor(number))
    if whole < least:
        raise ExcelError(VALUE)
    return whole


@function("LEFT", "v", "v", gradient="none")
def left(text: Array, count: Array | None = None) -> Array:
    """First characters of a text, one unless given."""
    return each(lambda t, n: _whole(_units(t)[: _count(n)]), "tn", text, _given(count, 1.0))


@function("RIGHT", "v", "v", gradient="none")
def right(text: Array, count: Array | None = None) -> Array:
    """Last characters of a text, one unless given."""
    return each(_last, "tn", text, _given(count, 1.0))


def _last(text: str, count: float) -> str:
    units = _units(text)
    return _whole(units[max(len(units) - _count(count), 0) :])


def _given(array: Array | None, number: float) -> Array:
    """An optional number; left empty it is 0."""
    return from_values([number], (1, 1, 1, 1)) if array is None else array


def _unless_empty(array: Array | None, number: float) -> Array:
    """An optional number; left empty it has its default."""
    empty = array is None or (array.kinds is not None and bool((array.kinds == BLANK).all()))
    return from_values([number], (1, 1, 1, 1)) if empty or array is None else array


def _part(text: str, start: float, count: float) -> str:
    first, length = _count(start, 1), _count(count)
    return _whole(_units(text)[first - 1 : first - 1 + length])


@function("MID", "vvv", gradient="none")
def mid(text: Array, start: Array, count: Array) -> Array:
    """Characters from the middle of a text."""
    return each(_part, "tnn", text, start, count)


@function("LEN", "v", gradient="none")
def len_(text: Array) -> Array:
    """Number of characters."""
    return each(lambda t: float(len(_units(t))), "t", text)


def _found(wanted: str, within: str, start: float, ignore_case: bool) -> float:
    wanted, within, first = _units(wanted), _units(within), _count(start, 1)
    if first > len(within) + 1:
        raise ExcelError(VALUE)
    if ignore_case:
        place = wildcard(wanted.lower()).find(within.lower(), first - 1)
    else:
        place = within.find(wanted, first - 1)
    if place < 0 or (place >= len(within) and wanted):
        raise ExcelError(VALUE)
    if not wanted and first > max(len(within), 1):
        raise ExcelError(VALUE)
    return place + 1.0


@family({"FIND": False, "SEARCH": True}, "vv", "v", gradient="none")
def find(ignore_case: bool, wanted: Array, within: Array, start: Array | None = None) -> Array:
    """Place of one text in another; SEARCH ignores case and knows wildcards."""
    return each(
        lambda w, t, s: _found(w, t, s, ignore_case), "ttn", wanted, within, _given(start, 1.0)
    )


def _substituted(text: str, old: str, new: str, which: float | None) -> str:
    if not old:
        if which is not None:
            _count(which, 1)
        return text
    if which is None:
        length = len(text) + text.count(old) * (len(new) - len(old))
        if length > MOST_LETTERS:
            raise ExcelError(VALUE)
        return text.replace(old, new)
    number = _count(which, 1)
    place = -len(old)
    for _ in range(number):
        place = text.find(old, place + len(old))
        if place < 0:
            return text
    return text[:place] + new + text[place + len(old) :]


@function("SUBSTITUTE", "vvv", "v", gradient="none")
def substitute(text: Array, old: Array, new: Array, which: Array | None = None) -> Array:
    """A text with every occurrence (or the n-th) of another replaced."""
    if which is None:
        return each(lambda t, o, n: _substituted(t, o, n, None), "ttt", text, old, new)
    return each(_substituted, "tttn", text, old, new, which)


def _replaced(text: str, start: float, count: float, new: str) -> str:
    first, length = _count(start, 1), _count(count)
    units = _units(text)
    return _whole(units[: first - 1]) + new + _whole(units[first - 1 + length :])


@function("REPLACE", "vvvv", gradient="none")
def replace_(text: Array, start: Array, count: Array, new: Array) -> Array:
    """A text with some characters replaced."""
    return each(_replaced, "tnnt", text, start, count, new)


def _upper(text: str) -> str:
    """Capitals; a letter whose capital is two letters (ß) stays."""
    return "".join(x.upper() if len(x.upper()) == 1 else x for x in text)


def _proper(text: str) -> str:
    return re.sub(r"[^\W\d_]+", lambda match: _upper(match[0][0]) + match[0][1:].lower(), text)


_CONTROL = re.compile(r"[\x00-\x1f]")


@family(
    {
        "UPPER": _upper,
        "LOWER": str.lower,
        "PROPER": _proper,
        "TRIM": lambda text: re.sub(" +", " ", text.strip(" ")),
        "CLEAN": lambda text: _CONTROL.sub("", text),
    },
    "v",
    gradient="none",
)
def changed(change: Callable[[str], str], text: Array) -> Array:
    """A text in other letters, or without superfluous characters."""
    return each(change, "t", text)


@function("REPT", "vv", gradient="none")
def rept(text: Array, count: Array) -> Array:
    """A text repeated."""

    def repeat(piece: str, number: float) -> CellValue:
        times = _count(number) if piece else 0
        return VALUE if len(piece) * times > MOST_LETTERS else piece * times

    return each(repeat, "tn", text, count)


@function("EXACT", "vv", gradient="none")
def exact(one: Array, other: Array) -> Array:
    """Whether two texts are the same, case included."""
    return each(lambda a, b: a == b, "tt", one, other)


def _character(number: float) -> CellValue:
    code = int(number)
    if not 1 <= code <= 255:
        return VALUE
    return bytes([code]).decode("cp1252", errors="replace")


def _unicode(number: float) -> CellValue:
    code = int(number)
    if not 1 <= code <= 0x10FFFF:
        return VALUE
    return NA if 0xD800 <= code <= 0xDFFF else chr(code)


@family({"CHAR": _character, "UNICHAR": _unicode}, "v", gradient="none")
def char(form: Callable[[float], CellValue], number: Array) -> Array:
    """The character of a code, Windows-1252 or Unicode."""
    return each(form, "n", number)


def _code(text: str) -> CellValue:
    return float(text[0].encode("cp1252", errors="replace")[0]) if text else VALUE


@family({"CODE": _code, "UNICODE": lambda t: float(ord(t[0])) if t else VALUE}, "v",
        gradient="none")  # fmt: skip
def code(form: Callable[[str], CellValue], text: Array) -> Array:
    """The code of the first character."""
    return each(form, "t", text)


@function("T", "v", gradient="none")
def t(value: Array) -> Array:
    """A text, or an empty one for anything else."""
    return each(lambda x: x if isinstance(x, str) else "", "x", value)


# ---------------------------------------------------------------- joining and cutting


def _texts_per_copy(arrays: tuple[Array, ...]) -> tuple[tuple[int, int], list[list[list[str]]]]:
    """Texts of each argument, for each copy."""
    if any(array.traced for array in arrays):
        raise Unsupported("it works on texts, not on trained numbers")
    rows, columns = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    flat = [
        np.broadcast_to(texts_of(a), (rows, columns, *a.shape[2:])).reshape(rows * columns, -1)
        for a in arrays
    ]
    return (rows, columns), [
        [part[copy].tolist() for part in flat] for copy in range(rows * columns)
    ]


@function("CONCATENATE", "v", repeats=True, gradient="none")
def concatenate_(*arrays: Array) -> Array:
    """Texts joined element by element, as & does."""
    return fold(concatenate, arrays, from_values([""], (1, 1, 1, 1)))


@function("CONCAT", "r", repeats=True, gradient="none")
def concat(*arrays: Array) -> Array:
    """All texts, one after the other."""
    errors = reduce_errors(arrays)
    copies, texts = _texts_per_copy(arrays)
    joined = [_joined(itertools.chain(*parts)) for parts in texts]
    return overlaid(from_values(joined, (*copies, 1, 1)), errors)


@function("TEXTJOIN", "rvr", repeats=True, gradient="none")
def textjoin(delimiter: Array, skip_empty: Array, *arrays: Array) -> Array:
    """Texts with delimiters between them, empty ones skipped or not."""
    skip = as_numbers(_as_flag(skip_empty))
    if skip.kinds is not None or (skip.numpy() != skip.numpy().flat[0]).any():
        raise NotVectorisable("texts joined by different rules")
    errors = reduce_errors([delimiter, *arrays])
    copies, texts = _texts_per_copy((delimiter, *arrays))
    drop = bool(skip.numpy().flat[0])
    results: list[CellValue] = []
    for marks, *parts in texts:
        pieces = [piece for piece in itertools.chain(*parts) if piece or not drop]
        between = itertools.chain([""], itertools.cycle(marks))
        results.append(_joined(itertools.chain.from_iterable(zip(between, pieces, strict=False))))
    return overlaid(from_values(results, (*copies, 1, 1)), errors)


def _joined(pieces: Iterable[str]) -> CellValue:
    """Texts put together; #VALUE! where that is longer than a cell holds."""
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > MOST_LETTERS:
            return VALUE
        found.append(piece)
    return "".join(found)


def _as_flag(array: Array) -> Array:
    return truth(array)


def _places(text: str, marks: list[str], ignore_case: bool) -> list[tuple[int, int]]:
    pattern = "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True) if mark)
    if not pattern:
        return []
    flags = re.IGNORECASE if ignore_case else 0
    return [match.span() for match in re.finditer(pattern, text, flags)]


def _cut_at(
    before: bool, text: str, marks: list[str], which: int, ignore_case: bool, at_end: bool,
    missing: CellValue,
) -> CellValue:  # fmt: skip
    if which == 0 or abs(which) > max(len(text), 1):
        return VALUE
    if "" in marks:
        head = which > 0
        return ("" if head == before else text) if before else (text if head else "")
    spans = _places(text, marks, ignore_case)
    if at_end:
        spans = [*spans, (len(text), len(text))] if which > 0 else [(0, 0), *spans]
    index = which - 1 if which > 0 else len(spans) + which
    if not 0 <= index < len(spans):
        return missing
    return text[: spans[index][0]] if before else text[spans[index][1] :]


@family({"TEXTBEFORE": True, "TEXTAFTER": False}, "vr", "vvvv", gradient="none")
def textbefore(
    before: bool, text: Array, delimiter: Array, which: Array | None = None,
    mode: Array | None = None, at_end: Array | None = None, missing: Array | None = None,
) -> Array:  # fmt: skip
    """The part of a text before (after) a delimiter."""
    one_copy(delimiter)
    marks = [str(mark) for mark in texts_of(delimiter).reshape(-1)]
    absent = from_values([NA], (1, 1, 1, 1)) if missing is None else missing

    def cut(value: str, number: float, case: float, end: float) -> CellValue:
        return _cut_at(before, value, marks, int(number), bool(case), bool(end), NA)

    options = [_unless_empty(which, 1.0), _unless_empty(mode, 0.0), _unless_empty(at_end, 0.0)]
    result = each(cut, "tnnn", text, *options)
    if missing is None:
        return result
    return replaced_errors(result, absent, (NA.kind,))


@function("TEXTSPLIT", "vr", "rvvv", gradient="none", singly=True)
def textsplit(
    text: Array, columns: Array, rows: Array | None = None, skip: Array | None = None,
    mode: Array | None = None, filler: Array | None = None,
) -> Array:  # fmt: skip
    """A text cut at delimiters into columns and rows."""
    one_copy(text, columns)
    ignore_case = mode is not None and bool(as_numbers(mode).numpy().flat[0])
    drop = skip is not None and bool(as_numbers(skip).numpy().flat[0])
    errors = reduce_errors([text, columns] + ([rows] if rows is not None else []))
    if errors is not None:
        raise ExcelError(error_of_kind(int(errors.flat[0])))

    def cut(value: str, delimiter: Array | None) -> list[str]:
        if delimiter is None or (delimiter.full_kinds == BLANK).all():
            return [value]
        marks = [str(mark) for mark in texts_of(delimiter).reshape(-1)]
        if "" in marks:
            raise ExcelError(VALUE)
        parts, start = [], 0
        for first, last in _places(value, marks, ignore_case):
            parts.append(value[start:first])
            start = last
        parts.append(value[start:])
        return [part for part in parts if part] if drop else parts

    whole = str(texts_of(text).flat[0])
    table = [cut(line, columns) for line in cut(whole, rows)]
    width = max((len(line) for line in table), default=0)
    if not width:
        raise ExcelError(_calc())
    rest: CellValue = NA
    if filler is not None:
        one = (filler.numpy().flat[0], filler.full_kinds.flat[0], filler.full_texts.flat[0])
        rest = cell_value(float(one[0]), int(one[1]), str(one[2]))
    values: list[CellValue] = []
    for line in table:
        values += [*line, *([rest] * (width - len(line)))]
    return from_values(values, (1, 1, len(table), width))


def _calc() -> ErrorValue:
    return ERRORS["#CALC!"]


# ---------------------------------------------------------------- numbers and texts


@function("VALUE", "v")
def value(text: Array) -> Array:
    """The number that a text shows; a number stays what it is."""
    if text.kinds is None or not (text.kinds == TEXT).any():
        if text.kinds is not None and (text.kinds == LOGICAL).any():
            return each(lambda x: VALUE if isinstance(x, bool) else x or 0.0, "x", text)
        return as_numbers(text)

    def read(item: CellValue) -> CellValue:
        if isinstance(item, bool):
            return VALUE
        if not isinstance(item, str):
            return item or 0.0
        number = number_from_text(item)
        moment = moment_from_text(item) if number is None else number
        return VALUE if moment is None else moment

    return each(read, "x", text)


@function("NUMBERVALUE", "v", "vv", gradient="none")
def numbervalue(text: Array, decimal: Array | None = None, group: Array | None = None) -> Array:
    """The number that a text shows, with given signs for decimals and groups."""

    def read(item: str, point: str, comma: str) -> CellValue:
        if not point or not comma:
            return VALUE
        point, comma = point[0], comma[0]
        plain = re.sub(r"\s", "", item)
        if not plain:
            return 0.0
        whole, mark, digits = plain.partition(point)
        if mark and comma in digits:
            return VALUE
        percent = len(digits or whole) - len((digits or whole).rstrip("%"))
        plain = (whole.replace(comma, "") + ("." + digits if mark else "")).rstrip("%")
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", plain):
            return VALUE
        number = float(plain)
        return number / 100.0**percent if math.isfinite(number) else VALUE

    marks = [from_values([mark], (1, 1, 1, 1)) for mark in (".", ",")]
    return each(read, "ttt", text, decimal or marks[0], group or marks[1])


@function("TEXT", "vv", gradient="none")
def text(value_: Array, pattern: Array) -> Array:
    """A number as a text in a number format (common formats)."""
    return each(formatted, "xt", value_, pattern)


@function("FIXED", "v", "vv", gradient="none")
def fixed(number: Array, digits: Array | None = None, plain: Array | None = None) -> Array:
    """A number rounded, as a text with or without group signs."""

    def write(x: float, places: float, no_commas: float) -> CellValue:
        count = int(places)
        if count > 127:
            return VALUE
        pattern = "0" if no_commas else "#,##0"
        if count < 0:
            x = float(round_half(x, count))
        return formatted(x, pattern + ("." + "0" * count if count > 0 else ""))

    return each(write, "nnn", number, _given(digits, 2.0), _given(plain, 0.0))


def round_half(x: float, digits: int) -> float:
    """Round half away from zero at a decimal place."""
    step = Decimal(1).scaleb(-digits)
    return float((Decimal(repr(x)) / step).to_integral_value(ROUND_HALF_UP) * step)


@function("DATEVALUE", "v", gradient="none")
def datevalue(item: Array) -> Array:
    """The date that a text shows, as a serial number."""

    def read(shown: str) -> CellValue:
        date = date_from_text(shown)
        return VALUE if date is None else float(np.floor(date))

    if item.kinds is None or not (item.kinds == TEXT).all():
        return each(lambda x: read(x) if isinstance(x, str) else VALUE, "x", item)
    return each(read, "t", item)
