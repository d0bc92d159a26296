"""Dates and times in the 1900 date system. They work on constants: a date has no gradient."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

import numpy as np

from xl2torch.arrays.array import Array, ExcelError, NotVectorisable, as_numbers, number_from_text
from xl2torch.arrays.dates_in_text import moment_from_text, serial_of
from xl2torch.cells.values import FIRST_ERROR, NUM, VALUE, CellValue, error_of_kind
from xl2torch.excel.registry import family, function
from xl2torch.excel.text import each, from_values
from xl2torch.excel.text_format import date_of

_LAST_SERIAL = 2958465


def _serial(value: CellValue) -> float:
    """Serial number of an argument; a text is read as a date."""
    if isinstance(value, str):
        number = number_from_text(value)
        number = moment_from_text(value) if number is None else number
        if number is None:
            raise ExcelError(VALUE)
        value = number
    return 0.0 if value is None else float(value)  # type: ignore[arg-type]


def _checked(serial: float) -> int:
    if not 0 <= serial < _LAST_SERIAL + 1:
        raise ExcelError(NUM)
    return int(serial)


def _day(value: CellValue) -> date:
    """Date of an argument; the two days that never were are their neighbours."""
    year, month, day = date_of(_checked(_serial(value)))
    if (year, month, day) == (1900, 2, 29):
        return date(1900, 2, 28)
    return date(1899, 12, 31) if day == 0 else date(year, month, day)


def _default(array: Array | None, number: float) -> Array:
    return from_values([number], (1, 1, 1, 1)) if array is None else array


# ---------------------------------------------------------------- parts of a date


def _date(year: float, month: float, day: float) -> CellValue:
    whole_year, whole_month, whole_day = (
        int(np.floor(year)),
        int(np.floor(month)),
        int(np.floor(day)),
    )
    if whole_year < 0 or whole_year >= 10000:
        return NUM
    if whole_year < 1900:
        whole_year += 1900
    whole_year += (whole_month - 1) // 12
    whole_month = (whole_month - 1) % 12 + 1
    if not 1899 <= whole_year <= 9999:
        return NUM
    first = serial_of(date(whole_year, whole_month, 1))
    serial = first + whole_day - 1
    if not 0 <= serial <= _LAST_SERIAL:
        return NUM
    return float(serial)


@function("DATE", "vvv", gradient="none")
def date_(year: Array, month: Array, day: Array) -> Array:
    """Serial number of a date; months and days beyond their range run on."""
    return each(_date, "nnn", year, month, day)


@family({"YEAR": 0, "MONTH": 1, "DAY": 2}, "v", gradient="none")
def part_of_date(part: int, value: Array) -> Array:
    """Year, month or day of a date."""
    return each(lambda x: float(date_of(_checked(_serial(x)))[part]), "x", value)


def _seconds(value: CellValue) -> int:
    serial = _serial(value)
    if serial < 0:
        raise ExcelError(NUM)
    return int(serial % 1 * 86400 + 0.5) % 86400


@family({"HOUR": (3600, 24), "MINUTE": (60, 60), "SECOND": (1, 60)}, "v", gradient="none")
def part_of_time(rule: tuple[int, int], value: Array) -> Array:
    """Hour, minute or second of a time."""
    size, count = rule
    return each(lambda x: float(_seconds(x) // size % count), "x", value)


def _time(hour: float, minute: float, second: float) -> CellValue:
    numbers = [int(part) for part in (hour, minute, second)]
    if any(abs(number) > 32767 for number in numbers):
        return NUM
    total = numbers[0] * 3600 + numbers[1] * 60 + numbers[2]
    return NUM if total < 0 else total % 86400 / 86400


@function("TIME", "vvv", gradient="none")
def time(hour: Array, minute: Array, second: Array) -> Array:
    """Share of a day."""
    return each(_time, "nnn", hour, minute, second)


_FIRST_DAYS = {1: 6, 2: 0, 3: 0, 11: 0, 12: 1, 13: 2, 14: 3, 15: 4, 16: 5, 17: 6}
"""Which day of the week (Monday 0) counts as the first, by the way of counting."""


def _weekday(value: CellValue, way: float) -> CellValue:
    serial = _checked(_serial(value))
    first = _FIRST_DAYS.get(int(way))
    if first is None:
        return NUM
    number = (serial + 5 - first) % 7
    return float(number if int(way) == 3 else number + 1)


@function("WEEKDAY", "v", "v", gradient="none")
def weekday(value: Array, way: Array | None = None) -> Array:
    """Day of the week as a number."""
    return each(_weekday, "xn", value, _default(way, 1.0))


def _week(value: CellValue, way: float) -> CellValue:
    day = _day(value)
    if int(way) == 21:
        return float(day.isocalendar().week)
    first = {1: 6, 2: 0}.get(int(way), _FIRST_DAYS.get(int(way)) if int(way) > 10 else None)
    if first is None:
        return NUM
    start = (date(day.year, 1, 1).weekday() - first) % 7
    return float((day.timetuple().tm_yday - 1 + start) // 7 + 1)


@function("WEEKNUM", "v", "v", gradient="none")
def weeknum(value: Array, way: Array | None = None) -> Array:
    """Number of the week in the year."""
    return each(_week, "xn", value, _default(way, 1.0))


@function("ISOWEEKNUM", "v", gradient="none")
def isoweeknum(value: Array) -> Array:
    """Number of the week in the year, ISO 8601."""
    return each(lambda x: float(_day(x).isocalendar().week), "x", value)


# ---------------------------------------------------------------- distances


def _moved(value: CellValue, months: float, to_end: bool) -> CellValue:
    day = _day(value)
    place = day.year * 12 + day.month - 1 + int(months)
    year, month = place // 12, place % 12 + 1
    if not 1900 <= year <= 9999:
        return NUM
    last = calendar.monthrange(year, month)[1]
    return float(serial_of(date(year, month, last if to_end else min(day.day, last))))


@family({"EDATE": False, "EOMONTH": True}, "vv", gradient="none")
def edate(to_end: bool, value: Array, months: Array) -> Array:
    """The same day (the last day) some months later."""
    return each(lambda x, n: _moved(x, n, to_end), "xn", value, months)


@function("DAYS", "vv", gradient="none")
def days(end: Array, start: Array) -> Array:
    """Days between two dates."""
    return each(lambda a, b: float(_checked(_serial(a)) - _checked(_serial(b))), "xx", end, start)


def _days_360(first: date, last: date, european: bool) -> int:
    one, two = first.day, last.day
    if european:
        one, two = min(one, 30), min(two, 30)
    else:
        end_of_february = first.month == 2 and one == calendar.monthrange(first.year, 2)[1]
        if two == 31 and (one >= 30 or end_of_february):
            two = 30
        if one == 31 or end_of_february:
            one = 30
    return (last.year - first.year) * 360 + (last.month - first.month) * 30 + two - one


@function("DAYS360", "vv", "v", gradient="none")
def days360(start: Array, end: Array, european: Array | None = None) -> Array:
    """Days between two dates in a year of twelve months of 30 days."""

    def count(one: CellValue, two: CellValue, way: float) -> CellValue:
        first, last = _day(one), _day(two)
        end_of_month = first.day == calendar.monthrange(first.year, first.month)[1]
        if not way and last.day == 31 and first.day < 30 and not end_of_month:
            first_of_next = last + timedelta(days=1)
            return float(_days_360(first, first_of_next, False))
        return float(_days_360(first, last, bool(way)))

    return each(count, "xxn", start, end, _default(european, 0.0))


def _year_share(one: CellValue, two: CellValue, way: float) -> CellValue:
    first, last = sorted((_day(one), _day(two)))
    basis = int(way)
    if basis == 0:
        a, b = first.day, last.day
        end_a = first.month == 2 and a == calendar.monthrange(first.year, 2)[1]
        end_b = last.month == 2 and b == calendar.monthrange(last.year, 2)[1]
        if end_a and end_b:
            b = 30
        if end_a:
            a = 30
        if b == 31 and a >= 30:
            b = 30
        a = min(a, 30)
        return ((last.year - first.year) * 360 + (last.month - first.month) * 30 + b - a) / 360
    if basis == 1:
        distance = (last - first).days
        if first == last:
            return 0.0
        within = last <= date(first.year + 1, first.month, min(
            first.day, calendar.monthrange(first.year + 1, first.month)[1]))  # fmt: skip
        if within:
            leap = (
                (calendar.isleap(first.year) and first <= date(first.year, 2, 29))
                or (calendar.isleap(last.year) and last >= date(last.year, 2, 29))
            )  # fmt: skip
            if first.year == last.year:
                leap = calendar.isleap(first.year)
            return distance / (366 if leap else 365)
        years = last.year - first.year + 1
        total = (date(last.year, 12, 31) - date(first.year, 1, 1)).days + 1
        return distance / (total / years)
    if basis in (2, 3):
        return (last - first).days / (360 if basis == 2 else 365)
    return _days_360(first, last, True) / 360 if basis == 4 else NUM


@function("YEARFRAC", "vv", "v", gradient="none")
def yearfrac(start: Array, end: Array, basis: Array | None = None) -> Array:
    """Years between two dates, as a fraction."""
    return each(_year_share, "xxn", start, end, _default(basis, 0.0))


def _difference(one: CellValue, two: CellValue, unit: str) -> CellValue:
    first, last = _day(one), _day(two)
    if _serial(one) >= _serial(two) + 1:
        return NUM
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    kind = unit.upper()
    if kind == "D":
        return float((last - first).days)
    if kind == "M":
        return float(months)
    if kind == "Y":
        return float(months // 12)
    if kind == "YM":
        return float(months % 12)
    if kind == "YD":
        year = last.year - ((last.month, last.day) < (first.month, first.day))
        day = min(first.day, calendar.monthrange(year, first.month)[1])
        return float((last - date(year, first.month, day)).days)
    if kind == "MD":
        if last.day >= first.day:
            return float(last.day - first.day)
        before = last.replace(day=1) - timedelta(days=1)
        return float(before.day - first.day + last.day)
    return NUM


@function("DATEDIF", "vvv", gradient="none")
def datedif(start: Array, end: Array, unit: Array) -> Array:
    """Years, months or days between two dates."""
    return each(_difference, "xxt", start, end, unit)


def _free_days(array: Array | None) -> frozenset[date]:
    if array is None:
        return frozenset()
    if array.shape[:2] != (1, 1):
        raise NotVectorisable("holidays that differ among the copied cells")
    errors = array.full_kinds[array.full_kinds >= FIRST_ERROR]
    if len(errors):
        raise ExcelError(error_of_kind(int(errors.flat[0])))
    return frozenset(_day(number) for number in as_numbers(array).numpy().reshape(-1).tolist())


def _is_work(day: date, free: frozenset[date]) -> bool:
    return day.weekday() < 5 and day not in free


@function("NETWORKDAYS", "vv", "r", gradient="none")
def networkdays(start: Array, end: Array, holidays: Array | None = None) -> Array:
    """Working days from Monday to Friday between two dates, both included."""
    free = _free_days(holidays)

    def count(one: CellValue, two: CellValue) -> CellValue:
        first, last = _day(one), _day(two)
        sign = 1.0 if first <= last else -1.0
        first, last = min(first, last), max(first, last)
        span = range((last - first).days + 1)
        return sign * sum(_is_work(first + timedelta(days=n), free) for n in span)

    return each(count, "xx", start, end)


@function("WORKDAY", "vv", "r", gradient="none")
def workday(start: Array, count: Array, holidays: Array | None = None) -> Array:
    """The date some working days later."""
    free = _free_days(holidays)

    def move(value: CellValue, number: float) -> CellValue:
        day, left = _day(value), int(number)
        if abs(left) > 1_000_000:
            return NUM
        step = timedelta(days=1 if left > 0 else -1)
        while left:
            day += step
            left -= int(np.sign(left)) * _is_work(day, free)
        return float(serial_of(day)) if day >= date(1900, 1, 1) else NUM

    return each(move, "xn", start, count)
