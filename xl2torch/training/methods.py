"""The optimizers by name: torch's own, and what scipy has that torch lacks."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from importlib import metadata

import torch

LBFGS, LEAST_SQUARES, LBFGSB, SLSQP, TRUST, HIGHS = (
    "lbfgs", "least-squares", "l-bfgs-b", "slsqp", "trust-constr", "highs",
)  # fmt: skip
NEWTON = "newton"
"""It takes over where another one creeps, and is not chosen by name."""
BY_HAND = "none"
"""Weights that the user's own program set."""
SCIPY: Mapping[str, str] = {
    LEAST_SQUARES: "Least squares, exact Jacobian",
    LBFGSB: "L-BFGS-B",
    SLSQP: "SLSQP",
    TRUST: "Trust region, constrained",
    HIGHS: "Linear programming, HiGHS",
}
CONSTRAINED = frozenset({SLSQP, TRUST, HIGHS})
"""Those that keep constraints which are more than bounds."""
SCALED = frozenset({LBFGS, LBFGSB, SLSQP, TRUST})
"""Those that measure variables of very different size in units of their own."""
NOT_ELEMENTWISE = frozenset({"adafactor"})
"""Those of torch whose step mixes the rows of a tensor: these are no runs of their own."""
_MOMENTUM = "momentum"
_ONLY_MATRICES = frozenset({"Muon"})
_ONLY_SPARSE = frozenset({"SparseAdam"})


@cache
def torch_optimizers() -> Mapping[str, type[torch.optim.Optimizer]]:
    """Classes of torch.optim by their names in small letters; ``momentum`` is SGD with it."""
    found = {
        name.lower(): kind
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
        and kind is not torch.optim.Optimizer and name not in _ONLY_MATRICES | _ONLY_SPARSE
    }  # fmt: skip
    return {**found, _MOMENTUM: torch.optim.SGD}


def optimizer_names() -> tuple[str, ...]:
    """All names, torch's first."""
    return (*sorted(torch_optimizers()), *SCIPY)


def is_first_order(optimizer: str) -> bool:
    """Whether it is one of torch's that only steps along the gradient."""
    return optimizer != LBFGS and optimizer not in SCIPY


def full_name(optimizer: str) -> str:
    """An optimizer by its full name, and what it is from."""
    if optimizer == HIGHS:
        return f"{SCIPY[optimizer]} (highspy {metadata.version('highspy')})"
    if optimizer in SCIPY:
        return f"{SCIPY[optimizer]} (scipy {metadata.version('scipy')})"
    if optimizer == BY_HAND:
        return "none: weights set in Python"
    if optimizer not in torch_optimizers():
        return f"{optimizer} (given in Python)"
    kind = torch_optimizers()[optimizer].__name__
    special = {LBFGS: "L-BFGS", _MOMENTUM: "SGD with momentum"}
    return f"{special.get(optimizer, kind)} (torch {torch.__version__})"


def default_epochs(optimizer: str) -> int:
    """Most iterations where nothing else is said."""
    return 2000 if optimizer == LBFGS or optimizer in SCIPY else 1000
