"""Number formats: from a number and a pattern to a text (ECMA-376 part 1, 18.8.31), and dates back.

Formats that are not understood are an error, not a guess.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from xl2torch.arrays.array import ExcelError, Unsupported, number_from_text
from xl2torch.arrays.dates_in_text import moment_from_text
from xl2torch.arrays.operators import number_text
from xl2torch.cells.values import VALUE, CellValue

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PIECES = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<ampm>AM/PM|A/P)|(?P<general>General)|(?P<exponent>E[+-])"
    r"|(?P<date>y+|m+|d+|h+|s+)|(?P<digit>[0#?]+)|(?P<point>\.)|(?P<comma>,)|(?P<percent>%)"
    r"|(?P<at>@)|(?P<literal>[-+$€£¥/:()!^&'~{}<>= ])",
    re.IGNORECASE,
)

Piece = tuple[str, str]


@lru_cache(maxsize=1024)
def _sections(pattern: str) -> tuple[tuple[Piece, ...], ...]:
    """The pattern's sections as pieces (kind, text). Raises Unsupported."""
    sections: list[list[Piece]] = [[]]
    position = 0
    while position < len(pattern):
        if pattern[position] == ";":
            sections.append([])
            position += 1
            continue
        match = _PIECES.match(pattern, position)
        if match is None:
            raise Unsupported(f"the number format {pattern!r}")
        kind = match.lastgroup or ""
        text = match[kind]
        if kind in ("quoted", "escaped"):
            kind = "literal"
        elif kind == "space":
            kind, text = "literal", " "
        if kind == "fill":
            raise Unsupported(f"the number format {pattern!r}")
        sections[-1].append((kind, text))
        position = match.end()
    return tuple(tuple(section) for section in sections)


def formatted(value: CellValue, pattern: str) -> str:
    """A value in a number format. Raises ExcelError (#VALUE!) or Unsupported."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if not pattern:
        return "" if value is None or not isinstance(value, str) else value
    sections = _sections(pattern)
    if isinstance(value, str):
        read = number_from_text(value)
        read = moment_from_text(value) if read is None else read
        if read is None:
            return _as_text(value, sections)
        value = read
    assert value is None or isinstance(value, float)
    number = value or 0.0
    sections = tuple(section for section in sections if not _has(section, "at")) or sections
    section, magnitude, sign = _section_for(number, sections)
    if _has(section, "at") and len(section) == 1:
        return general(number)
    if _has(section, "date") or _has(section, "ampm"):
        return _as_date(number, section)
    return _as_number(magnitude, section, sign)


def _has(section: tuple[Piece, ...], kind: str) -> bool:
    return any(piece[0] == kind for piece in section)


def _as_text(value: str, sections: tuple[tuple[Piece, ...], ...]) -> str:
    section = sections[3] if len(sections) > 3 else next(
        (s for s in sections if _has(s, "at")), None
    )  # fmt: skip
    if section is None:
        return value
    return "".join(value if kind == "at" else text for kind, text in section)


def _section_for(
    number: float, sections: tuple[tuple[Piece, ...], ...]
) -> tuple[tuple[Piece, ...], float, str]:
    """Section, number to show and sign in front."""
    conditions = [_condition(section) for section in sections]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=True):
            if condition is None or condition(number):
                return section, abs(number), "-" if number < 0 and condition is None else ""
        raise Unsupported("a number format without a section for this number")
    if len(sections) == 1 or (len(sections) == 2 and number >= 0):
        return sections[0], abs(number), "-" if number < 0 else ""
    if number < 0:
        return sections[1], abs(number), ""
    if number == 0 and len(sections) > 2:
        return sections[2], 0.0, ""
    return sections[0], number, ""


_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)(-?\d+(?:\.\d+)?)")
_COMPARE = {
    "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
    "=": operator.eq, "<>": operator.ne,
}  # fmt: skip


def _condition(section: tuple[Piece, ...]) -> Callable[[float], bool] | None:
    """The condition in brackets that a section begins with."""
    for kind, text in section:
        match = _CONDITION.fullmatch(text) if kind == "bracket" else None
        if match:
            compare, limit = _COMPARE[match[1]], float(match[2])
            return lambda number: bool(compare(number, limit))
    return None


def general(number: float) -> str:
    """A number as the General format writes it into a text."""
    return number_text(number)


_ALL_DIGITS = Context(prec=1000)
"""Enough for 309 digits before the point and all that a format asks for behind it."""


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _ALL_DIGITS)


def _decimal(number: float) -> Decimal:
    """The decimal number that Excel's 15 digits show."""
    return Decimal(f"{number:.15g}")


def _as_number(number: float, section: tuple[Piece, ...], sign: str) -> str:
    if _has(section, "general"):
        body = "".join(general(number) if k == "general" else text for k, text in section)
        return sign + body
    digits = [index for index, (kind, _) in enumerate(section) if kind == "digit"]
    value = _decimal(number)
    if not digits:
        literals = "".join(text for kind, text in section if kind in ("literal", "percent"))
        return sign + literals
    if any(kind == "literal" and text == "/" for kind, text in section) and len(digits) > 1:
        return sign + _as_fraction(value, section)
    value *= Decimal(100) ** sum(kind == "percent" for kind, _ in section)
    if _has(section, "exponent"):
        return sign + _scientific(value, section)
    point = next((i for i, (kind, _) in enumerate(section) if kind == "point"), None)
    last_whole = max((i for i in digits if point is None or i < point), default=-1)
    trailing = 0
    for end in {last_whole + 1, digits[-1] + 1}:
        while end < len(section) and section[end][0] == "comma":
            trailing += 1
            end += 1
    value = value.scaleb(-3 * trailing)
    grouped = any(
        kind == "comma" and any(i < index for i in digits) and index < last_whole
        for index, (kind, _) in enumerate(section)
    )
    whole_pattern = "".join(section[i][1] for i in digits if point is None or i < point)
    part_pattern = "".join(section[i][1] for i in digits if point is not None and i > point)
    value = _rounded(value, len(part_pattern))
    whole, _, part = f"{value:f}".partition(".")
    least = whole_pattern.count("0")
    whole = whole.lstrip("0").rjust(least, "0")
    if grouped:
        whole = _grouped(whole)
    needed = len(part_pattern.rstrip("#"))
    part = part.ljust(len(part_pattern), "0")
    while len(part) > needed and part.endswith("0"):
        part = part[:-1]
    if not value and sign:
        sign = ""
    return sign + _woven(section, digits, point, whole, part)


def _as_fraction(value: Decimal, section: tuple[Piece, ...]) -> str:
    """A number as a fraction whose denominator has at most as many digits as the pattern."""
    slash = next(i for i, piece in enumerate(section) if piece == ("literal", "/"))
    digits = [i for i, (kind, _) in enumerate(section) if kind == "digit"]
    above, below = max(i for i in digits if i < slash), min(i for i in digits if i > slash)
    has_whole = any(i < above for i in digits)
    whole = int(value) if has_whole else 0
    limit = 10 ** len(section[below][1]) - 1
    nearest = Fraction(value - whole).limit_denominator(limit)
    if nearest == 1 and has_whole:
        whole, nearest = whole + 1, Fraction(0)
    top, bottom = str(nearest.numerator), str(nearest.denominator)
    empty = has_whole and not nearest.numerator
    blanks = len(section[above][1]) + 1 + len(section[below][1])
    result = []
    for index, (kind, text) in enumerate(section):
        if index == above:
            if empty:
                result.append(" " * blanks)
            else:
                result.append(top.rjust(len(text)) + "/" + bottom.ljust(len(section[below][1])))
        elif above < index <= below:
            continue
        elif kind == "digit":
            shown = str(whole) if whole or "0" in text or empty else ""
            result.append(shown)
        elif kind == "literal":
            result.append(text)
    return "".join(result)


def _grouped(whole: str) -> str:
    return re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", whole)


def _woven(
    section: tuple[Piece, ...], digits: list[int], point: int | None, whole: str, part: str
) -> str:
    """Whole part at the first digits, decimals behind the point, literals between."""
    wholes = [i for i in digits if point is None or i < point]
    if len(wholes) > 1 and any(section[i][0] == "literal" for i in range(wholes[0], wholes[-1])):
        return _spread_over(section, wholes, whole)
    result = []
    put = False
    for index, (kind, text) in enumerate(section):
        if kind == "digit":
            if point is not None and index > point:
                result.append(part[: len(text)])
                part = part[len(text) :]
            elif not put:
                result.append(whole)
                put = True
        elif kind == "point":
            if not put:
                result.append(whole)
                put = True
            result.append(".")
        elif kind in ("literal", "percent"):
            result.append("%" if kind == "percent" else text)
    return "".join(result)


def _spread_over(section: tuple[Piece, ...], wholes: list[int], whole: str) -> str:
    """Digits with literals between them, such as 000-0000."""
    room = sum(len(section[i][1]) for i in wholes)
    whole = whole.rjust(room, "0") if "0" in section[wholes[0]][1] else whole.rjust(room)
    extra = len(whole) - room
    result, place = [], 0
    for kind, text in section:
        if kind == "digit":
            size = len(text) + (extra if place == 0 else 0)
            result.append(whole[place : place + size])
            place += size
        elif kind in ("literal", "percent"):
            result.append("%" if kind == "percent" else text)
    return "".join(result).lstrip()


def _scientific(value: Decimal, section: tuple[Piece, ...]) -> str:
    at = next(i for i, (kind, _) in enumerate(section) if kind == "exponent")
    point = next((i for i, (kind, _) in enumerate(section) if kind == "point"), at)
    before = "".join(text for kind, text in section[:point] if kind == "digit")
    after = "".join(text for kind, text in section[point:at] if kind == "digit")
    width = "".join(text for kind, text in section[at:] if kind == "digit")
    step = max(len(before), 1)
    exponent = value.adjusted() if value else 0
    exponent = exponent // step * step
    mantissa = _rounded(value.scaleb(-exponent), len(after))
    if mantissa.adjusted() >= step:
        exponent += step
        mantissa = _rounded(value.scaleb(-exponent), len(after))
    whole, _, part = f"{mantissa:f}".partition(".")
    whole = whole.rjust(before.count("0"), "0")
    needed = len(after.rstrip("#"))
    while len(part) > needed and part.endswith("0"):
        part = part[:-1]
    text = whole + ("." + part if point != at else "")
    sign = "-" if exponent < 0 else ("+" if section[at][1].endswith("+") else "")
    mark = section[at][1][0]
    return f"{text}{mark}{sign}{str(abs(exponent)).rjust(len(width), '0')}"


# ---------------------------------------------------------------- dates


def date_of(serial: int) -> tuple[int, int, int]:
    """Year, month, day of a serial number; 60 is the 29 February 1900 that never was."""
    if serial == 60:
        return 1900, 2, 29
    if serial == 0:
        return 1900, 1, 0
    base = date(1899, 12, 31) if serial < 60 else date(1899, 12, 30)
    found = base + timedelta(days=serial)
    return found.year, found.month, found.day


_LAST_SERIAL = 2958465


def _as_date(number: float, section: tuple[Piece, ...]) -> str:
    if number < 0 or number >= _LAST_SERIAL + 1:
        raise ExcelError(VALUE)
    pieces = list(section)
    has_fraction = any(
        kind == "point" and index + 1 < len(pieces) and pieces[index + 1][0] == "digit"
        and set(pieces[index + 1][1]) == {"0"}
        for index, (kind, _) in enumerate(pieces)
    )  # fmt: skip
    seconds_shown = any(kind == "date" and text[0] in "sS" for kind, text in pieces) or any(
        kind == "bracket" for kind, _ in pieces
    )
    # Excel rounds to whole seconds only where seconds are shown without a fraction.
    total = round(number * 86400, 3)
    if not has_fraction and seconds_shown:
        total = float(int(total + 0.5))
    day = int(total // 86400)
    rest = total - day * 86400
    year, month, number_of_day = date_of(day)
    weekday = (day + 5) % 7
    hour, minute, second = int(rest // 3600), int(rest % 3600 // 60), rest % 60
    half = next((text for kind, text in pieces if kind == "ampm"), "")
    twelve = (hour + 11) % 12 + 1
    result = []
    previous = ""
    for index, (kind, text) in enumerate(pieces):
        low = text.lower()
        if kind == "date":
            # m is minutes behind hours and before seconds, and months anywhere else.
            following = next((t.lower() for k, t in pieces[index + 1 :] if k == "date"), "")
            if low[0] == "m" and len(low) < 3 and (previous[:1] == "h" or following[:1] == "s"):
                result.append(str(minute).rjust(len(low), "0"))
            elif low[0] == "m":
                result.append(_month(month, len(low)))
            elif low[0] == "y":
                result.append(str(year) if len(low) > 2 else f"{year % 100:02d}")
            elif low[0] == "d":
                result.append(_day(number_of_day, weekday, len(low)))
            elif low[0] == "h":
                result.append(str(twelve if half else hour).rjust(min(len(low), 2), "0"))
            else:
                result.append(str(int(second)).rjust(min(len(low), 2), "0"))
            previous = low
        elif kind == "ampm":
            words = ("AM", "PM") if len(text) > 3 else ("A", "P")
            result.append(words[hour >= 12])
        elif kind == "bracket":
            result.append(_elapsed(low, total))
            previous = low
        elif kind == "point" and has_fraction:
            result.append(".")
        elif kind == "digit" and has_fraction:
            result.append(f"{second % 1:.{len(text)}f}"[2:])
        elif kind == "comma":
            result.append(",")
        elif kind in ("literal", "point"):
            result.append(text)
        else:
            raise Unsupported("a number format that mixes dates and numbers")
    return "".join(result)


def _month(month: int, length: int) -> str:
    name = _MONTHS[month - 1]
    if length == 5:
        return name[0]
    return (str(month), f"{month:02d}", name[:3], name)[min(length, 4) - 1]


def _day(day: int, weekday: int, length: int) -> str:
    name = _DAYS[weekday]
    return (str(day), f"{day:02d}", name[:3], name)[min(length, 4) - 1]


def _elapsed(unit: str, total: float) -> str:
    sizes = {"h": 3600, "m": 60, "s": 1}
    if not unit or unit[0] not in sizes or set(unit) != {unit[0]}:
        return ""
    return str(int(total // sizes[unit[0]])).rjust(len(unit), "0")
