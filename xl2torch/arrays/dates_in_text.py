"""Dates and times that a text shows, as Excel reads them (en-US)."""

from __future__ import annotations

import re
from datetime import date, datetime


def serial_of(found: date) -> int:
    """Serial number of a date from 1900 on."""
    days = (found - date(1899, 12, 30)).days
    return days if days > 60 else days - 1


_TIME = re.compile(r"(\d{1,4}):(\d{1,2})(?::(\d{1,2}(?:\.\d+)?))?\s*(AM|PM|A|P)?", re.IGNORECASE)
_DATES = (
    "%m/%d/%Y", "%m/%d/%y", "%Y-%m-%d", "%Y/%m/%d", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y",
    "%d %b %Y", "%d %B %Y", "%d-%B-%Y", "%B %d, %Y", "%b %d, %Y", "%d %b %y", "%b-%d-%Y",
)  # fmt: skip


def date_from_text(text: str) -> float | None:
    """Serial number of a date that a text shows (en-US), with a time behind it or not."""
    text = text.strip()
    match = re.search(r"\s+(\d{1,2}:.*)$", text)
    time = 0.0
    if match:
        found = _time(match[1])
        if found is None:
            return None
        text, time = text[: match.start()].strip(), found
    for form in _DATES:
        try:
            day = datetime.strptime(text, form).date()
        except ValueError:
            continue
        if form.endswith("%y") and day.year >= 2030:
            day = day.replace(year=day.year - 100)
        elif form.endswith("%y") and day.year < 1930:
            day = day.replace(year=day.year + 100)
        return None if day.year < 1900 else serial_of(day) + time
    return None


def _time(text: str) -> float | None:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), float(match[3] or 0)
    half = (match[4] or "").upper()[:1]
    if minute >= 60 or second >= 60 or (half and not 1 <= hour <= 12):
        return None
    if half:
        hour = hour % 12 + 12 * (half == "P")
    return (hour * 3600 + minute * 60 + second) / 86400


def moment_from_text(text: str) -> float | None:
    """Serial number of a date, a time or both that a text shows; None when it shows neither."""
    time = _time(text)
    return date_from_text(text) if time is None else time
