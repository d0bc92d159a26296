"""Information about values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xl2torch.functions.array import Array, Kinds, choose, constant, scalar
from xl2torch.functions.registry import family, function
from xl2torch.values import BLANK, DIV0, FIRST_ERROR, LOGICAL, NA, NUMBER, TEXT


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
    kinds = np.full(value.shape, LOGICAL, dtype=np.uint8)
    if value.valid is not None:
        # An error that training makes is never #N/A, so any other error stands for it.
        as_error = scalar(bool(test(np.array(DIV0.kind, dtype=np.uint8))))
        plain = constant(test(value.full_kinds).astype(float), kinds)
        return choose(value.valid, plain, as_error)
    return constant(test(value.full_kinds).astype(float), kinds)


@function("NA")
def na() -> Array:
    """#N/A."""
    kinds = np.full((1, 1, 1, 1), NA.kind, dtype=np.uint8)
    return constant(np.full((1, 1, 1, 1), np.nan), kinds)
