"""The optimizers by name: torch's own, and those of ours and of scipy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache

import torch

LBFGS, LEAST_SQUARES, LBFGSB, SLSQP, TRUST, HIGHS = (
    "lbfgs", "least-squares", "l-bfgs-b", "slsqp", "trust-constr", "highs",
)  # fmt: skip
ADAM = "adam"
NEWTON = "newton"
"""It takes over where another one creeps, and is not chosen by name."""
BY_HAND = "none"
"""Weights that the user's own program set."""
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
