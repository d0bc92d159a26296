"""Information about values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xl2torch.functions.array import Array, Kinds, Unsupported, constant
from xl2torch.functions.registry import family, function
from xl2torch.values import BLANK, FIRST_ERROR, LOGICAL, NA, NUMBER, TEXT


@family(
    {
        "ISBLANK": lambda kinds: kinds == BLANK,
        "ISNUMBER": lambda kinds: kinds == NUMBER,
        "ISTEXT": lambda kinds: kinds == TEXT,
        "ISNONTEXT": lambda kinds: kinds != TEXT,
        "ISLOGICAL": lambda kinds: kinds == LOGICAL,
        "ISERROR": lambda kinds: kinds >= FIRST_ERROR,
        "ISERR": lambda kinds: (kinds >= FIRST_ERROR) & (kinds != NA.kind),
        "ISNA": lambda kinds: kinds == NA.kind,
    },
    "v",
)
def is_of_kind(test: Callable[[Kinds], Kinds], value: Array) -> Array:
    """Whether a value is of a kind: decided by kinds alone, so by constants."""
    if value.traced and value.kinds is None:
        raise Unsupported("it asks for the kind of a value that training changes")
    kinds = np.full(value.shape, LOGICAL, dtype=np.uint8)
    return constant(test(value.full_kinds).astype(float), kinds)


@function("NA")
def na() -> Array:
    """#N/A."""
    kinds = np.full((1, 1, 1, 1), NA.kind, dtype=np.uint8)
    return constant(np.full((1, 1, 1, 1), np.nan), kinds)
