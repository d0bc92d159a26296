"""Tokens of a formula."""

from __future__ import annotations

import re
from typing import NamedTuple

from xl2torch.errors import FormulaError

_STRING = r'"(?:[^"]|"")*"'
_QUOTED_SHEET = r"'(?:[^']|'')*'"
_BRACKETS = r"\[(?:[^\[\]']|'.|\[(?:[^\[\]']|'.)*\])*\]"
_ERROR = r"\#(?:NULL!|DIV/0!|VALUE!|REF!|NAME\?|NUM!|N/A|GETTING_DATA|SPILL!|CALC!|FIELD!)"

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
