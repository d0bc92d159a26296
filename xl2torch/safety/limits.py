"""How much a workbook may ask for: it is untrusted, and a short formula can ask for terabytes.

What goes beyond is told before the work begins. Texts and formulas have Excel's own limits,
or more.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from xl2torch.errors import LimitError

MOST_ELEMENTS = 2**26
"""Of one array: a million rows of 64 columns."""
MOST_CELLS = 20_000_000
"""Of a range or an array formula that are held at once."""
MOST_COMPARISONS = 2**30
"""Of cells with criteria, some ten seconds."""
MOST_LETTERS = 32_767
"""Of a text, as in Excel."""
MOST_FORMULA_LETTERS = 8_192
"""Of a formula, as in Excel; the prefixes that files have (_xlfn.) do not count."""
MOST_NESTED = 100
"""Brackets and operators within each other; Excel takes 64 brackets."""
MOST_NAMES, MOST_NESTED_NAMES = 1_000, 20
"""Put in for each other in one formula, and within each other."""
MOST_LIFTED, MOST_TRACED_LIFTED = 10_000, 200
"""Elements of an array for each of which a function of single values is computed."""
MOST_CALLS, MOST_TRACED_CALLS, CALLS = 20_000, 4_000, "calls of LAMBDA in one formula"
"""Of LAMBDAs in one formula, where each call is computed for itself; and of trained values."""
MOST_VARIABLES = 1_000_000
"""Variable cells of one range."""
MOST_UNPACKED = 2**30
"""Bytes that a workbook unpacks to."""
MOST_RATIO, HARMLESS_PART = 200, 2**25
"""Bytes of a part for each packed byte, where the part has more than a harmless size."""
_MEMORY_OF_BYTE = 8
"""Bytes that reading takes for each byte of a sheet."""


def beyond(count: int, limit: int, what: str) -> str:
    """That there would be more than a limit, in words.

    >>> beyond(10**10, MOST_ELEMENTS, "elements of an array")
    '10,000,000,000 elements of an array; xl2torch takes at most 67,108,864'
    """
    return f"{count:,} {what}; xl2torch takes at most {limit:,}"


@cache
def most_unpacked() -> int:
    """Bytes that a workbook may unpack to on this machine."""
    return min(MOST_UNPACKED, _memory() // _MEMORY_OF_BYTE)


def _memory() -> int:
    """Bytes of memory that this machine has, or a container in it, as far as they can be told."""
    found = [MOST_UNPACKED * _MEMORY_OF_BYTE]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(ValueError, OSError):  # "max" is none
            found.append(int(Path("/sys/fs/cgroup", limit).read_text()))
    return min(size for size in found if size > 0)


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
