"""Rounding. All of these move in steps: their gradient is 0."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xl2torch.arrays.array import (
    Array,
    Unsupported,
    all_of,
    as_numbers,
    broadcast_shape,
    choose,
    constant,
    elementwise,
    merge_errors,
    pad,
    scalar,
    together,
)  # fmt: skip
from xl2torch.arrays.operators import divide, error_where
from xl2torch.arrays.sample import overlaid
from xl2torch.cells.values import DIV0, NUM
from xl2torch.excel.registry import family, function
from xl2torch.ir.ops import Bend, recorded
from xl2torch.ir.trace import apply

_MOST_DIGITS = 300
_EXACT = 1e300


@recorded(bend=Bend.STEP)
def round_half_away(x: torch.Tensor) -> torch.Tensor:
    """Round half away from zero, as Excel does (torch.round goes to even)."""
    return torch.copysign(torch.floor(torch.abs(x) + 0.5), x)


@recorded(bend=Bend.STEP)
def round_up(x: torch.Tensor) -> torch.Tensor:
    """Round away from zero."""
    return torch.copysign(torch.ceil(torch.abs(x)), x)


@recorded(bend=Bend.STEP)
def fifteen_digits(x: torch.Tensor) -> torch.Tensor:
    """The nearest number of 15 significant digits; without slope."""
    x = x.detach()
    size = torch.where(x == 0, 1.0, torch.abs(x))
    places = 14 - torch.floor(torch.log10(size))
    up, down = 10.0 ** torch.clamp(places, min=0.0), 10.0 ** torch.clamp(-places, min=0.0)
    return torch.where(torch.abs(places) > 300, x, torch.round(x * up / down) / up * down)


def _shown(array: Array) -> Array:
    """Numbers as the decimal numbers that Excel's 15 digits show."""
    if array.traced:
        return replace(array, data=apply(fifteen_digits, array.data))
    digits = np.vectorize(lambda value: float(f"{value:.15g}"), otypes=[float])(array.numpy())
    return constant(digits, merge_errors(array))


@family(
    {"ROUND": round_half_away, "ROUNDDOWN": torch.trunc, "ROUNDUP": round_up}, "vv", gradient="step"
)
def rounded(rounding: Callable[..., torch.Tensor], x: Array, digits: Array) -> Array:
    """Round at a decimal place, on the decimal number that Excel's 15 digits show."""
    x, digits = as_numbers(x), as_numbers(digits)
    if digits.traced:
        raise Unsupported("the number of digits depends on a trained value")
    places = np.clip(np.trunc(digits.numpy()), -_MOST_DIGITS, _MOST_DIGITS)
    scale = constant(10.0**places, merge_errors(digits))
    alone = broadcast_shape(x, scale) == (1, 1, 1, 1) and merge_errors(x, digits) is None
    if alone and not x.traced and abs(x.numpy().item()) > _EXACT / scale.numpy().item():
        return x  # beyond 15 digits there is nothing to round, and the product would overflow
    scaled = _shown(elementwise(operator.mul, x, scale, keep=True))
    stepped = replace(scaled, data=apply(rounding, scaled.data))
    return elementwise(operator.truediv, stepped, scale, keep=True)


@function("TRUNC", "v", "v", gradient="step")
def trunc(x: Array, digits: Array | None = None) -> Array:
    """Cut digits off."""
    return rounded(torch.trunc, x, digits or scalar(0.0))


def _multiple(rounding: Callable[..., torch.Tensor], x: Array, step: Array) -> Array:
    """A whole number of steps; 0 where the step is 0."""
    shape = broadcast_shape(x, step)
    x, step = pad(x, shape), pad(step, shape)
    nothing = step.numpy() == 0
    safe = constant(np.where(nothing, 1.0, step.numpy()), merge_errors(step))
    count = _shown(divide(x, safe))
    count = replace(count, data=apply(rounding, count.data))
    product = elementwise(operator.mul, count, safe, keep=True)
    if not nothing.any():
        return product
    zero = choose(constant(nothing.astype(float)), scalar(0.0), product)
    return overlaid(zero, merge_errors(x, step))


def _constant_step(step: Array) -> Array:
    step = as_numbers(step)
    if step.traced:
        raise Unsupported("the step of a rounding depends on a trained value")
    return step


def _signs_differ(x: Array, step: Array) -> Any:
    """Where a positive number meets a negative step. Of trained numbers this is not told."""
    if x.traced:
        raise Unsupported("a trained number is rounded to a step whose sign has to fit it")
    first, second = together(x, step)
    return (first > 0) & (second < 0)


@function("MROUND", "vv", gradient="step")
def mround(x: Array, step: Array) -> Array:
    """Nearest multiple; signs that differ are #NUM!."""
    x, step = as_numbers(x), _constant_step(step)
    result = _multiple(round_half_away, x, step)
    if x.traced:
        fits = elementwise(operator.ge, elementwise(operator.mul, x, step), scalar(0.0), keep=True)
        mask = Array(fits.data, fits.axes, fits.shape)
        return replace(result, valid=all_of(result.valid, mask))
    first, second = together(x, step)
    return error_where(result, first * second < 0, NUM.kind)


@family({"CEILING": torch.ceil, "FLOOR": torch.floor}, "vv", gradient="step")
def ceiling(rounding: Callable[..., torch.Tensor], x: Array, step: Array) -> Array:
    """Multiple above (below); a positive number with a negative step is #NUM!."""
    x, step = as_numbers(x), _constant_step(step)
    result = _multiple(rounding, x, step)
    if not x.traced:
        result = error_where(result, _signs_differ(x, step), NUM.kind)
        if rounding is torch.floor:
            first, second = together(x, step)
            result = error_where(result, (second == 0) & (first != 0), DIV0.kind)
    elif (step.numpy() <= 0).any():
        raise Unsupported("a trained number is rounded to a step whose sign has to fit it")
    return result


def _toward(x: Array, step: Array | None) -> tuple[Array, Array]:
    size = scalar(1.0) if step is None else _constant_step(step)
    return as_numbers(x), elementwise(torch.abs, size, keep=True)


@family(
    {"CEILING.MATH": (torch.ceil, round_up), "FLOOR.MATH": (torch.floor, torch.trunc)},
    "v", "vv", gradient="step",
)  # fmt: skip
def ceiling_math(
    roundings: tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]], x: Array,
    step: Array | None = None, mode: Array | None = None,
) -> Array:  # fmt: skip
    """Multiple above (below); with a mode, negative numbers go away from (towards) zero."""
    x, size = _toward(x, step)
    upward, with_mode = roundings
    flag = scalar(0.0) if mode is None else as_numbers(mode)
    if flag.traced or (flag.numpy() != flag.numpy().flat[0]).any():
        raise Unsupported("a mode of rounding that is not the same constant in all cells")
    return _multiple(with_mode if flag.numpy().flat[0] else upward, x, size)


@family(
    {
        "CEILING.PRECISE": torch.ceil, "ISO.CEILING": torch.ceil, "FLOOR.PRECISE": torch.floor,
    },
    "v", "v", gradient="step",
)  # fmt: skip
def ceiling_precise(
    rounding: Callable[..., torch.Tensor], x: Array, step: Array | None = None
) -> Array:
    """Multiple above (below), whatever the signs."""
    return _multiple(rounding, *_toward(x, step))


@recorded(bend=Bend.STEP)
def to_even(x: torch.Tensor) -> torch.Tensor:
    """Away from zero to the next even number."""
    return torch.copysign(2 * torch.ceil(torch.abs(x) / 2), x)


@recorded(bend=Bend.STEP)
def to_odd(x: torch.Tensor) -> torch.Tensor:
    """Away from zero to the next odd number."""
    odd = 2 * torch.ceil((torch.abs(x) - 1) / 2) + 1
    return torch.where(x < 0, -1.0, 1.0) * torch.clamp(odd, min=1.0)


@family({"EVEN": to_even, "ODD": to_odd}, "v", gradient="step")
def even(rounding: Callable[..., torch.Tensor], x: Array) -> Array:
    """Next even (odd) number away from zero."""
    return elementwise(rounding, x)


@function("QUOTIENT", "vv", gradient="step")
def quotient(x: Array, divisor: Array) -> Array:
    """Whole part of a division."""
    return elementwise(torch.trunc, divide(x, divisor), keep=True)
