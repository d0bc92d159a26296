"""Money: the annuity equation pv·(1+r)ⁿ + pmt·(1+r·due)·((1+r)ⁿ-1)/r + fv = 0, and its kin."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    DTYPE,
    HEIGHT,
    INNER,
    Array,
    ExcelError,
    NotVectorisable,
    Shape,
    Unsupported,
    align,
    all_of,
    all_valid,
    as_numbers,
    broadcast_shape,
    constant,
    elementwise,
    filled,
    logical,
    merge_errors,
    pad,
    reduce_errors,
    refuse_errors,
    scalar,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.operators import error_where, on_domain
from xl2torch.arrays.sample import overlaid, plain, sample, total
from xl2torch.arrays.shapes import reorder
from xl2torch.cells.values import DIV0, NUM, error_of_kind
from xl2torch.excel.registry import family, function
from xl2torch.ir.ops import Bend, Group, recorded
from xl2torch.ir.trace import apply

Tensor = torch.Tensor
Numbers = NDArray[np.float64]
_SMALL_RATE = 1e-7
"""Below it three terms of the series of ((1+r)ⁿ-1)/r in r are exact in double precision."""


def _growth(rate: Tensor, periods: Tensor) -> tuple[Tensor, Tensor]:
    """(1+r)ⁿ and ((1+r)ⁿ-1)/r, which is n at r = 0."""
    rate, periods = (torch.as_tensor(x, dtype=torch.float64) for x in (rate, periods))
    power = (1 + rate) ** periods
    small = (rate.abs() < _SMALL_RATE) | (rate <= -1)
    safe = torch.where(small, 1.0, rate)
    exact = torch.expm1(periods * torch.log1p(safe)) / safe
    terms = periods + periods * (periods - 1) / 2 * rate
    series = terms + periods * (periods - 1) * (periods - 2) / 6 * rate**2
    below = torch.where(rate <= -1, rate, -1.0)
    return power, torch.where(
        rate <= -1, ((1 + below) ** periods - 1) / below, torch.where(small, series, exact)
    )


def _due(due: Tensor) -> Tensor:
    return (torch.as_tensor(due) != 0).to(torch.float64)


def payment(rate: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor) -> Tensor:
    """Payment per period."""
    power, series = _growth(rate, periods)
    return -(present * power + future) / ((1 + rate * _due(due)) * series)


def present_value(
    rate: Tensor, periods: Tensor, pay: Tensor, future: Tensor, due: Tensor
) -> Tensor:
    """Present value."""
    power, series = _growth(rate, periods)
    return -(pay * (1 + rate * _due(due)) * series + future) / power


@recorded()
def future_value(
    rate: Tensor, periods: Tensor, pay: Tensor, present: Tensor, due: Tensor
) -> Tensor:
    """Future value."""
    power, series = _growth(rate, periods)
    return -(present * power + pay * (1 + rate * _due(due)) * series)


@family({"PMT": payment, "PV": present_value, "FV": future_value}, "vvv", "vv")
def annuity(
    form: Callable[..., Tensor], rate: Array, periods: Array, third: Array,
    fourth: Array | None = None, due: Array | None = None,
) -> Array:  # fmt: skip
    """Payment, present value or future value of an annuity."""
    fourth, due = fourth or scalar(0.0), due or scalar(0.0)
    if form is future_value:
        return on_domain(form, rate, periods, third, fourth, due)
    part = payment_factor if form is payment else growth_factor
    factor = elementwise(part, rate, periods, due)
    return on_domain(
        _PARTS[form], rate, periods, third, fourth, due, factor, domain=((5, operator.ne, 0.0),)
    )


@recorded()
def payment_factor(rate: Tensor, periods: Tensor, due: Tensor) -> Tensor:
    """Future value of payments of 1."""
    return (1 + rate * _due(due)) * _growth(rate, periods)[1]


@recorded()
def growth_factor(rate: Tensor, periods: Tensor, due: Tensor) -> Tensor:
    """(1+r)ⁿ."""
    return _growth(rate, periods)[0]


@recorded()
def payment_by(
    rate: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor, factor: Tensor
) -> Tensor:
    """Payment per period, where the factor is not 0."""
    return payment(rate, periods, present, future, due)


@recorded()
def present_value_by(
    rate: Tensor, periods: Tensor, pay: Tensor, future: Tensor, due: Tensor, factor: Tensor
) -> Tensor:
    """Present value, where the factor is not 0."""
    return present_value(rate, periods, pay, future, due)


_PARTS = {payment: payment_by, present_value: present_value_by}


def interest(
    rate: Tensor, period: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor
) -> Tensor:
    """Interest paid in one period."""
    pay = payment(rate, periods, present, future, due)
    begins = _due(due)
    before = future_value(rate, period - 1, pay, present, due)
    first = (torch.as_tensor(period) == 1) & (begins != 0)
    at_end = before * rate
    return torch.where(first, 0.0, torch.where(begins != 0, at_end / (1 + rate), at_end))


def principal(
    rate: Tensor, period: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor
) -> Tensor:
    """Principal paid in one period."""
    pay = payment(rate, periods, present, future, due)
    return pay - interest(rate, period, periods, present, future, due)


@recorded()
def interest_by(
    rate: Tensor, period: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor,
    factor: Tensor,
) -> Tensor:  # fmt: skip
    """Interest paid in one period, where the payment is defined."""
    return interest(rate, period, periods, present, future, due)


@recorded()
def principal_by(
    rate: Tensor, period: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor,
    factor: Tensor,
) -> Tensor:  # fmt: skip
    """Principal paid in one period, where the payment is defined."""
    return principal(rate, period, periods, present, future, due)


_BY = {interest: interest_by, principal: principal_by}


@family({"IPMT": interest, "PPMT": principal}, "vvvv", "vv")
def part_of_payment(
    form: Callable[..., Tensor], rate: Array, period: Array, periods: Array, present: Array,
    future: Array | None = None, due: Array | None = None,
) -> Array:  # fmt: skip
    """Interest or principal in one payment; outside the periods it is #NUM!."""
    late = elementwise(operator.sub, as_numbers(periods), as_numbers(period), keep=True)
    arguments = [rate, period, periods, present, future or scalar(0.0), due or scalar(0.0)]
    factor = elementwise(payment_factor, rate, periods, arguments[-1])
    checked = on_domain(
        _BY[form], *arguments, factor, domain=((1, operator.ge, 1.0), (6, operator.ne, 0.0))
    )
    return on_domain(_first, checked, late, domain=((1, operator.ge, 0.0),), stand_in=1.0)


@recorded()
def _first(one: Tensor, other: Tensor) -> Tensor:
    return torch.as_tensor(one, dtype=DTYPE) + 0.0 * other


@recorded()
def payoff_ratio(rate: Tensor, pay: Tensor, present: Tensor, future: Tensor, due: Tensor) -> Tensor:
    """(1+r)ⁿ of the number of periods; without interest 1, and -1 without payments."""
    rate, pay, present, future = (torch.as_tensor(x, dtype=DTYPE)
                                  for x in (rate, pay, present, future))  # fmt: skip
    safe = torch.where(rate == 0, 1.0, rate)
    scaled = pay * (1 + safe * _due(due))
    below = scaled + present * safe
    ratio = (scaled - future * safe) / torch.where(below == 0, -1.0, below)
    ratio = torch.where(below == 0, -1.0, ratio)
    return torch.where(rate == 0, torch.where(pay == 0, -1.0, 1.0), ratio)


@recorded()
def number_of_periods(
    rate: Tensor, pay: Tensor, present: Tensor, future: Tensor, ratio: Tensor
) -> Tensor:
    """Number of periods."""
    rate, pay, present, future = (torch.as_tensor(x, dtype=DTYPE)
                                  for x in (rate, pay, present, future))  # fmt: skip
    safe = torch.where(rate == 0, 1.0, rate)
    periods = torch.log(torch.as_tensor(ratio)) / torch.log1p(safe)
    return torch.where(rate == 0, -(present + future) / torch.where(pay == 0, 1.0, pay), periods)


@function("NPER", "vvv", "vv")
def nper(
    rate: Array, pay: Array, present: Array, future: Array | None = None, due: Array | None = None
) -> Array:
    """Number of periods of an annuity."""
    future, due = future or scalar(0.0), due or scalar(0.0)
    ratio = elementwise(payoff_ratio, rate, pay, present, future, due)
    domain = ((0, operator.gt, -1.0), (4, operator.gt, 0.0))
    return on_domain(number_of_periods, rate, pay, present, future, ratio, domain=domain)


def _root(equation: Callable[[float], float], guess: float) -> float:
    """Root by the secant method, as Excel does from a guess; NaN where there is none."""
    try:
        with np.errstate(all="ignore"):
            found = scipy.optimize.newton(equation, guess, tol=1e-14, maxiter=200)
            good = np.isfinite(found) and found > -1
    except (RuntimeError, OverflowError, ZeroDivisionError):
        good = False
        found = 0.0
    if good:
        return float(found)
    grid = np.concatenate([np.linspace(-0.99, 1, 200), np.linspace(1.01, 50, 200)])
    with np.errstate(all="ignore"):
        values = np.array([equation(float(rate)) for rate in grid])
    signs = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    if not len(signs):
        return math.nan
    nearest = min(signs, key=lambda index: abs(grid[index] - guess))
    return float(scipy.optimize.brentq(equation, grid[nearest], grid[nearest + 1], xtol=1e-15))


class _Root(torch.autograd.Function):
    """The root of an equation, which has no slope of its own; of a batch, each one's."""

    @staticmethod
    def forward(solve: Callable[..., Numbers], *operands: Tensor) -> Tensor:
        found = solve(*(operand.detach().cpu().numpy() for operand in operands))
        return operands[0].new_tensor(found)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], solve: Callable[..., Numbers], *operands: Tensor
    ) -> tuple[Tensor, int]:
        found = [
            _Root.forward(solve, *(
                operand if dim is None else operand.select(dim, place)
                for operand, dim in zip(operands, dims[1:], strict=True)
            ))
            for place in range(info.batch_size)
        ]  # fmt: skip
        return torch.stack(found), 0


def _found(solve: Callable[..., Numbers], *operands: Any) -> Tensor:
    tensors = [torch.as_tensor(operand, dtype=DTYPE) for operand in operands]
    result: Tensor = _Root.apply(solve, *tensors)  # type: ignore[no-untyped-call]
    return result


def _at_root(
    root: Callable[..., Tensor], rate_: Callable[..., Tensor], operands: Sequence[Array],
    shape: Shape,
) -> Array:  # fmt: skip
    """A rate, #NUM! where its equation has no root.

    ``rate_`` takes the root too, and gives it the slopes that the equation implies: a step of
    Newton's method from the root moves as the root does.
    """
    numbers = [pad(as_numbers(operand), shape) for operand in operands]
    kinds = merge_errors(*numbers)
    data, axes = align([filled(number) for number in numbers])
    found = apply(root, *data)
    valid = apply(torch.isfinite, found)
    safe = apply(torch.where, valid, found, torch.tensor(0.1, dtype=DTYPE))
    result = Array(apply(rate_, *data, safe), axes, shape, kinds)
    mask = Array(valid, axes, shape)
    if isinstance(found, torch.Tensor):
        return error_where(result, ~(logical(mask) != 0), NUM.kind)
    own = replace(mask, missing=False)
    return replace(result, valid=all_of(*(number.valid for number in numbers), own))


def _steep(slope: Tensor) -> Tensor:
    """A slope to divide by, itself held; 1 where there is none, which is no root either."""
    return torch.where(slope == 0, 1.0, slope).detach()


@recorded()
def annuity_root(
    periods: Tensor, pay: Tensor, present: Tensor, future: Tensor, due: Tensor, guess: Tensor
) -> Tensor:
    """Rate per period of an annuity; NaN where there is none."""
    return _found(_annuity_roots, periods, pay, present, future, due, guess)


def _annuity_roots(*operands: Numbers) -> Numbers:
    def solve(n: float, p: float, pv: float, fv: float, at_start: float, first: float) -> float:
        def equation(r: float) -> float:
            power = np.float64(1 + r) ** n  # infinite where a float of Python would raise
            series = n if abs(r) < 1e-12 else (power - 1) / r
            return float(pv * power + p * (1 + r * bool(at_start)) * series + fv)

        return _root(equation, first) if n > 0 else math.nan

    return np.vectorize(solve, otypes=[float])(*operands)  # type: ignore[no-any-return]


@recorded()
def annuity_rate(
    periods: Tensor, pay: Tensor, present: Tensor, future: Tensor, due: Tensor, guess: Tensor,
    root: Tensor,
) -> Tensor:  # fmt: skip
    """Rate per period of an annuity, near a root of its equation."""
    power, series = _growth(root, periods)
    steepness = periods * (1 + root) ** (periods - 1)
    small = root.abs() < _SMALL_RATE
    safe = torch.where(small, 1.0, root)
    first = periods * (periods - 1) / 2
    bend = torch.where(small, first + 2 / 3 * first * (periods - 2) * root,
                       (steepness - series) / safe)  # fmt: skip
    ahead, begins = 1 + root * _due(due), _due(due)
    slope = present * steepness + pay * (begins * series + ahead * bend)
    rest = present * power + pay * ahead * series + future
    return root - rest / _steep(slope)


@function("RATE", "vvv", "vvv")
def rate(
    periods: Array, pay: Array, present: Array, future: Array | None = None,
    due: Array | None = None, guess: Array | None = None,
) -> Array:  # fmt: skip
    """Rate per period of an annuity."""
    zero = scalar(0.0)
    operands = [periods, pay, present, future or zero, due or zero, guess or scalar(0.1)]
    return _at_root(annuity_root, annuity_rate, operands, broadcast_shape(*operands))


# ---------------------------------------------------------------- series of payments


@function("NPV", "vr", repeats=True, singly=True)
def npv(rate_: Array, *arrays: Array) -> Array:
    """Present value of payments at the ends of equal periods."""
    flows = sample(*arrays)
    shape = (*flows.counted.shape[:2], *flows.values.shape[2:])
    places = np.cumsum(np.broadcast_to(flows.counted, shape), axis=HEIGHT)
    terms = on_domain(
        discounted, flows.values, rate_, constant(places.astype(float)),
        domain=((1, operator.ne, -1.0),), error=DIV0,
    )  # fmt: skip
    errors = terms.kinds
    result = total(where_constant(flows.counted, _plain(terms), 0.0))
    if errors is not None:
        result = overlaid(result, reduce_errors([terms]))
    return overlaid(result, flows.errors)


def _plain(array: Array) -> Array:
    return plain(array)


@recorded(addends=(0,))
def discounted(flow: Tensor, rate: Tensor, place: Tensor) -> Tensor:
    """Present value of one payment."""
    return flow / (1 + torch.as_tensor(rate, dtype=DTYPE)) ** place


def _series(array: Array) -> Array:
    """Payments below each other. Raises Differs, ExcelError."""
    flows = sample(array)
    if flows.values.shape[:2] != (1, 1):
        raise NotVectorisable("payments that differ among the copied cells")
    if flows.errors is not None:
        raise ExcelError(error_of_kind(int(flows.errors.flat[0])))
    return reorder(flows.values, HEIGHT, np.flatnonzero(flows.counted))


@recorded(Group.OTHER)
def series_root(flows: Tensor, years: Tensor, guess: Tensor) -> Tensor:
    """Rate at which the present value of payments is 0; NaN where there is none."""
    return _found(_series_root, flows, years, guess)


def _series_root(flows: Numbers, years: Numbers, guess: Numbers) -> Numbers:
    if not ((flows > 0).any() and (flows < 0).any()):
        return np.array(math.nan)
    return np.array(_root(lambda r: float((flows / (1 + r) ** years).sum()), float(guess)))


@recorded(Group.OTHER)
def series_rate(flows: Tensor, years: Tensor, guess: Tensor, root: Tensor) -> Tensor:
    """Rate of payments, near a root of their present value."""
    shares = (1 + root) ** -years
    slope = -(years * flows * shares).sum() / (1 + root)
    return root - (flows * shares).sum() / _steep(slope)


def _rate_of(flows: Array, years: np.ndarray, guess: Array | None) -> Array:
    """The rate of a series of payments, for each guess."""
    first = as_numbers(guess or scalar(0.1))
    if first.traced or first.shape != (1, 1, 1, 1):
        raise (
            NotVectorisable("guesses that differ")
            if not first.traced
            else Unsupported("a trained guess")
        )
    if first.kinds is not None:
        raise ExcelError(error_of_kind(int(first.kinds.flat[0])))
    if len(years) < 2:
        raise ExcelError(NUM)
    whole = all_valid(flows, INNER)
    data = [apply(torch.reshape, flows.data, (-1,)), torch.from_numpy(years), first.data]
    column = [Array(item, (), (1, 1, 1, 1)) for item in data]
    found = _at_root(series_root, series_rate, column, (1, 1, 1, 1))
    return replace(found, valid=all_of(whole, found.valid))


@function("IRR", "r", "v")
def irr(array: Array, guess: Array | None = None) -> Array:
    """Rate at which the present value of a series of payments is 0."""
    flows = _series(array)
    return _rate_of(flows, np.arange(flows.shape[HEIGHT], dtype=float), guess)


def _dated(values: Array, dates: Array) -> tuple[Array, np.ndarray]:
    """Payments, and the years from the first of them."""
    flows, days = _series(values), _series(dates)
    if days.traced:
        raise Unsupported("dates that are trained")
    floors = np.floor(days.numpy().reshape(-1))
    if flows.shape[HEIGHT] != len(floors) or not len(floors) or (floors < floors[0]).any():
        raise ExcelError(NUM)
    return flows, (floors - floors[0]) / 365


@function("XNPV", "vrr", singly=True)
def xnpv(rate_: Array, values: Array, dates: Array) -> Array:
    """Present value of payments at given dates."""
    flows, years = _dated(values, dates)
    terms = on_domain(
        discounted, flows, rate_, constant(years.reshape(1, 1, -1, 1)),
        domain=((1, operator.gt, -1.0),),
    )  # fmt: skip
    return overlaid(total(_plain(terms)), reduce_errors([terms]))


@function("XIRR", "rr", "v")
def xirr(values: Array, dates: Array, guess: Array | None = None) -> Array:
    """Rate at which the present value of dated payments is 0."""
    flows, years = _dated(values, dates)
    return _rate_of(flows, years, guess)


@recorded()
def modified_rate(gained: Tensor, spent: Tensor, periods: Tensor) -> Tensor:
    """Growth per period from what was spent, now, to what was gained, at the end."""
    return (gained / -spent) ** (1 / periods) - 1


@function("MIRR", "rvv", singly=True)
def mirr(values: Array, finance: Array, reinvest: Array) -> Array:
    """Rate of return of payments that are financed at one rate and reinvested at another."""
    refuse_errors(finance, reinvest)
    flows = _series(values)
    last = flows.shape[HEIGHT] - 1.0
    places = constant(np.arange(last + 1).reshape(1, 1, -1, 1))
    rates = ((1, operator.ne, -1.0),)
    spent = on_domain(discounted, elementwise(_below, flows), finance, places, domain=rates)
    gained = on_domain(
        discounted, elementwise(torch.relu, flows), reinvest,
        elementwise(operator.sub, places, scalar(last)), domain=rates,
    )  # fmt: skip
    return on_domain(
        modified_rate, total(gained), total(spent), scalar(last),
        domain=((0, operator.gt, 0.0), (1, operator.lt, 0.0), (2, operator.gt, 0.0)), error=DIV0,
    )  # fmt: skip


@recorded(bend=Bend.KINK)
def _below(flow: Tensor) -> Tensor:
    return -torch.relu(-flow)


# ---------------------------------------------------------------- others


@recorded()
def straight_line(cost: Tensor, salvage: Tensor, life: Tensor) -> Tensor:
    """Depreciation per period."""
    return (cost - salvage) / life


@function("SLN", "vvv")
def sln(cost: Array, salvage: Array, life: Array) -> Array:
    """Straight-line depreciation."""
    return on_domain(
        straight_line, cost, salvage, life, domain=((2, operator.ne, 0.0),), error=DIV0
    )


@recorded()
def effective(nominal: Tensor, periods: Tensor) -> Tensor:
    """Effective annual rate."""
    return (1 + torch.as_tensor(nominal, dtype=DTYPE) / periods) ** periods - 1


@recorded()
def nominal(effective_: Tensor, periods: Tensor) -> Tensor:
    """Nominal annual rate."""
    growth = 1 + torch.as_tensor(effective_, dtype=DTYPE)
    return (growth ** (1 / torch.as_tensor(periods, dtype=DTYPE)) - 1) * periods


@family({"EFFECT": effective, "NOMINAL": nominal}, "vv")
def effect(form: Callable[..., Tensor], rate_: Array, periods: Array) -> Array:
    """Effective (nominal) annual rate; the periods are cut to a whole number."""
    whole = elementwise(torch.trunc, as_numbers(periods), keep=True)
    domain = ((0, operator.gt, 0.0), (1, operator.ge, 1.0))
    return on_domain(form, rate_, whole, domain=domain)
