"""How much a workbook may ask for: it is untrusted, and a short formula can ask for terabytes.

What goes beyond is told before the work begins. Texts and formulas have Excel's own limits,
or more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from xl2torch.errors import LimitError

MOST_ELEMENTS = 2**26
"""Of one array: a million rows of 64 columns."""
MOST_CELLS = 20_000_000
"""Of a range or an array formula that are held at once."""
MOST_COMPARISONS = 2**30
"""Of cells with criteria, some ten seconds."""
MOST_LETTERS = 32_767
"""Of a text, as in Excel."""
MOST_FORMULA_LETTERS = 16_384
"""Of a formula; Excel takes 8,192."""
MOST_NESTED = 100
"""Brackets and operators within each other; Excel takes 64 brackets."""
MOST_NAMES, MOST_NESTED_NAMES = 1_000, 20
"""Put in for each other in one formula, and within each other."""
MOST_CALLS, CALLS = 20_000, "calls of LAMBDA in one formula"
"""Of LAMBDAs in one formula, where each call is computed for itself."""
MOST_VARIABLES = 1_000_000
"""Variable cells of one range."""


def beyond(count: int, limit: int, what: str) -> str:
    """That there would be more than a limit, in words.

    >>> beyond(10**10, MOST_ELEMENTS, "elements of an array")
    '10,000,000,000 elements of an array; xl2torch takes at most 67,108,864'
    """
    return f"{count:,} {what}; xl2torch takes at most {limit:,}"


def shortage(error: BaseException) -> str:
    """What there was not enough of, in words; '' for an error of another kind."""
    if isinstance(error, RecursionError):
        return "a formula, or what is read of the file, nests too deeply"
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error)  # as torch says it
    ):
        return "there is not enough memory for it"
    return ""


@contextlib.contextmanager
def within_limits(what: str) -> Iterator[None]:
    """Let a shortage of memory, or of depth, be an error of ours. Raises LimitError."""
    try:
        yield
    except (MemoryError, RecursionError, RuntimeError) as error:
        why = shortage(error)
        if not why:
            raise
        raise LimitError(
            f"{what} cannot go on: {why}. Close other programs, or take a smaller part of the "
            "workbook (docs/limits.md)"
        ) from None
