"""What each Excel function means, batched over a region. Importing this registers them all.

In: arrays (``xl2torch.arrays``), one per argument. Out: an array. One decorated Python function
per Excel function, in the module of its category; ``registry`` holds them by name.
"""

# ruff: noqa: F401
from xl2torch.excel import (
    aggregate,
    combinatorics,
    conditional,
    dates,
    distributions,
    dynamic,
    financial,
    higher_order,
    information,
    logical,
    lookup,
    mathematical,
    matrix,
    random,
    ranking,
    reference,
    regression,
    rounding,
    statistical,
    text,
)
