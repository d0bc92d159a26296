"""Kinds of cell values: number, blank, logical, text and Excel's errors, which are values too."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

NUMBER: Final = 0
BLANK: Final = 1
LOGICAL: Final = 2
TEXT: Final = 3
FIRST_ERROR: Final = 16

_ERROR_TEXTS = (
    "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A",
    "#GETTING_DATA", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#UNKNOWN!",
    "#BUSY!",
)  # fmt: skip


@dataclass(frozen=True)
class ErrorValue:
    """One of Excel's error values."""

    text: str

    @property
    def kind(self) -> int:
        """Kind code, unique per error."""
        return FIRST_ERROR + _ERROR_TEXTS.index(self.text)

    def __str__(self) -> str:
        return self.text


ERRORS: Final = {text: ErrorValue(text) for text in _ERROR_TEXTS}
NULL, DIV0, VALUE, REF, NAME, NUM, NA = (ERRORS[text] for text in _ERROR_TEXTS[:7])

CellValue = float | bool | str | ErrorValue | None
"""What one cell holds; None is a blank cell."""


def error_of_kind(kind: int) -> ErrorValue:
    """The error that a kind code stands for."""
    return ERRORS[_ERROR_TEXTS[kind - FIRST_ERROR]]


def kind_of(value: CellValue) -> int:
    """Kind code of a cell value."""
    if value is None:
        return BLANK
    if isinstance(value, bool):
        return LOGICAL
    if isinstance(value, str):
        return TEXT
    if isinstance(value, ErrorValue):
        return value.kind
    return NUMBER


def collated(text: str) -> str:
    """Key by which texts are ordered: without regard to case, accents only between equal letters.

    Equal keys are texts that Excel holds for equal.
    """
    folded = text.lower()
    if folded.isascii():
        return folded
    letters = unicodedata.normalize("NFKD", folded)
    base = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return f"{base}\0{folded}"


def display(value: CellValue) -> str:
    """A value as Excel's General format shows it, at full precision."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)
