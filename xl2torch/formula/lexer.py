"""Tokens of a formula, and the text work on references that needs no tree.

A copied formula has one relative form: ``relative_form`` gives the key by which a sheet's
formulas are grouped before any is parsed. It runs once per formula cell, so it is one regular
expression and no tree; openpyxl's Tokenizer takes about thirty times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from xl2torch.address import column_letters, column_number
from xl2torch.errors import FormulaError

_STRING = r'"(?:[^"]|"")*"'
_QUOTED_SHEET = r"'(?:[^']|'')*'"
_BRACKETS = r"\[(?:[^\[\]']|'.|\[(?:[^\[\]']|'.)*\])*\]"
_ERROR = r"\#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|GETTING_DATA|SPILL!|CALC!|FIELD!)"

_REFERENCES = re.compile(
    rf"{_STRING}|{_QUOTED_SHEET}|{_BRACKETS}"
    r"|(?P<cell>(\$?)([A-Za-z]{1,3})(\$?)([0-9]{1,7})(?![\w(.!\[\\?]))"
    r"|(?P<columns>(\$?)([A-Za-z]{1,3}):(\$?)([A-Za-z]{1,3})(?![\w(.!\[\\?]))"
    r"|(?P<rows>(\$?)([0-9]{1,7}):(\$?)([0-9]{1,7})(?![\w.]))"
    r"|[\w.\\?]+"
)

_TOKENS = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<string>{_STRING})
    | (?P<error>{_ERROR})
    | (?P<sheet>(?:{_QUOTED_SHEET}|(?:\[[^\]]*\])?[^\W\d][\w.]*(?::[^\W\d][\w.]*)?|\[[^\]]*\])!)
    | (?P<columns>\$?[A-Za-z]{{1,3}}:\$?[A-Za-z]{{1,3}}(?![\w(.!\[\\?]))
    | (?P<rows>\$?[0-9]{{1,7}}:\$?[0-9]{{1,7}}(?![\w.]))
    | (?P<cell>\$?[A-Za-z]{{1,3}}\$?[0-9]{{1,7}}(?![\w(.!\[\\?]))
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<function>[^\W\d][\w.]*\()
    | (?P<table>(?:[^\W\d][\w.\\?]*)?{_BRACKETS})
    | (?P<name>[^\W\d\\]?[\w.\\?]+|\\|[^\W\d])
    | (?P<operator><=|>=|<>|[-+*/^&=<>%:,;(){{}}@\#])
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of a formula; ``kind`` is the name of its group in the token pattern."""

    kind: str
    text: str
    position: int


def tokenize(formula: str) -> list[Token]:
    """Tokens of a formula (without its ``=``). Raises FormulaError."""
    tokens: list[Token] = []
    position = 0
    while position < len(formula):
        match = _TOKENS.match(formula, position)
        if match is None:
            raise FormulaError(f"unexpected {formula[position]!r}", formula, position)
        tokens.append(Token(match.lastgroup or "", match.group(), position))
        position = match.end()
    return tokens


def _rewrite(
    formula: str, row: Callable[[bool, int], str], column: Callable[[bool, int], str],
    reversed_order: bool = False,
) -> str:  # fmt: skip
    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "cell":
            _, column_mark, letters, row_mark, digits = match.group(1, 2, 3, 4, 5)
            first = column(bool(column_mark), column_number(letters))
            second = row(bool(row_mark), int(digits))
            return second + first if reversed_order else first + second
        if kind == "columns":
            mark, start, end_mark, end = match.group(7, 8, 9, 10)
            return (
                column(bool(mark), column_number(start))
                + ":"
                + column(bool(end_mark), column_number(end))
            )
        if kind == "rows":
            mark, start, end_mark, end = match.group(12, 13, 14, 15)
            return row(bool(mark), int(start)) + ":" + row(bool(end_mark), int(end))
        return match.group()

    return _REFERENCES.sub(replace, formula)


def relative_form(formula: str, row: int, column: int) -> str:
    """R1C1 form of a formula written for the cell (row, column): a key, equal for all copies."""
    return _rewrite(
        formula,
        lambda absolute, value: f"R{value}" if absolute else f"R[{value - row}]",
        lambda absolute, value: f"C{value}" if absolute else f"C[{value - column}]",
        reversed_order=True,
    )


def moved(formula: str, rows: int, columns: int) -> str:
    """The formula as Excel copies it, ``rows`` down and ``columns`` to the right."""
    if not rows and not columns:
        return formula

    def row(absolute: bool, value: int) -> str:
        return f"${value}" if absolute else str(value + rows)

    def column(absolute: bool, value: int) -> str:
        return f"${column_letters(value)}" if absolute else column_letters(value + columns)

    return _rewrite(formula, row, column)
