"""Units in which variables are measured, as Solver's automatic scaling measures them."""

from __future__ import annotations

import torch

_DECADES = 1.0


def units(point: torch.Tensor) -> torch.Tensor:
    """Units of variables: 1, or their start values where these are of very different size.

    The measure is the standard deviation of log₁₀|x|: about 0.45 for weights drawn at random,
    however small single ones are; above 1 for quantities in different units.
    """
    sizes = point.detach().abs()
    decades = sizes[sizes > 0].log10()
    if len(decades) < 2 or float(decades.std(correction=0)) <= _DECADES:
        return torch.ones_like(sizes)
    return torch.where(sizes > 0, sizes, 1.0)


def scaling_remark(point: torch.Tensor) -> str:
    """That variables are measured in units of their own, in words; '' where they are not."""
    found = units(point)
    if bool((found == 1).all()):
        return ""
    return (
        f"automatic scaling: each variable in units of its start value, {float(found.min()):.3g} "
        f"to {float(found.max()):.3g}"
    )
