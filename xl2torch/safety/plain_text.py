"""Text of a workbook where people and programs read it: nothing in it is obeyed.

A label may hold escape sequences of a terminal, marks that turn the direction of writing, halves of
surrogate pairs, or a line break. A cell keeps its text as it is; what is printed, drawn or written
into a program goes through here.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable

_OBEYED_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def plain(text: str) -> str:
    """Text on one line, of characters that can be seen; others are a space, or � for a mark.

    >>> plain("a\\nb \\x1b[31mred")
    'a b �[31mred'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text
    )


def short(text: str, most: int) -> str:
    """The same, cut where it has more letters.

    >>> short("abcdef", 4)
    'abc…'
    """
    shown = plain(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def meant(text: str, known: Iterable[str]) -> str:
    """The name that was likely meant, as a question; '' where none is near.

    >>> meant("adm", ["adam", "sgd"])
    ' (did you mean adam?)'
    """
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(text.lower(), names, n=1)
    return f" (did you mean {plain(names[close[0]])}?)" if close else ""


def argument(text: str) -> str:
    """A text as an argument of a command line, of Windows too.

    >>> argument("B1:B2"), argument("My sheet")
    ('B1:B2', '"My sheet"')
    """
    simple = re.fullmatch(r"[\w.,:/+=-]+", text) is not None
    return text if simple else f'"{text}"' if '"' not in text else f"'{text}'"


def without_marks(text: str) -> str:
    """A message without the marks around names of options, for those who read it in a workbook.

    >>> without_marks("try others (`starts=20`)")
    'try others (starts=20)'
    """
    return text.replace("`", "")


def plain_lines(text: str) -> str:
    """The same for a text of some lines, which stay lines."""
    return "\n".join(map(plain, text.split("\n")))


def quoted(text: str) -> str:
    """A string literal of Python, between double quotes.

    >>> quoted('say "hi"')
    '"say \\\\"hi\\\\""'
    """
    pieces = json.dumps(text, ensure_ascii=False)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in pieces
    )


def harmless_cell(text: str) -> str:
    """Text for a CSV file that a spreadsheet takes for text, or a number, whatever it begins with.

    >>> harmless_cell("=1+1"), harmless_cell("-2.5")
    ("'=1+1", '-2.5')
    """
    try:
        float(text)
    except ValueError:
        pass
    else:
        return text
    return f"'{text}" if text.startswith(_OBEYED_BY_SPREADSHEETS) else text
