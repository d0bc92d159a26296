"""Money: the annuity equation pv·(1+r)ⁿ + pmt·(1+r·due)·((1+r)ⁿ-1)/r + fv = 0, and its kin."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import torch
from scipy import optimize

from xl2torch.functions.array import (
    DTYPE,
    HEIGHT,
    Array,
    Differs,
    ExcelError,
    Unsupported,
    as_numbers,
    constant,
    elementwise,
    reduce_errors,
    scalar,
    where_constant,
)  # fmt: skip
from xl2torch.functions.operators import on_domain
from xl2torch.functions.registry import family, function
from xl2torch.functions.sample import overlaid, plain, sample, total
from xl2torch.functions.text import each
from xl2torch.values import DIV0, NUM, CellValue, error_of_kind

Tensor = torch.Tensor
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


def payment_factor(rate: Tensor, periods: Tensor, due: Tensor) -> Tensor:
    """Future value of payments of 1."""
    return (1 + rate * _due(due)) * _growth(rate, periods)[1]


def growth_factor(rate: Tensor, periods: Tensor, due: Tensor) -> Tensor:
    """(1+r)ⁿ."""
    return _growth(rate, periods)[0]


def payment_by(
    rate: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor, factor: Tensor
) -> Tensor:
    """Payment per period, where the factor is not 0."""
    return payment(rate, periods, present, future, due)


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


def interest_by(
    rate: Tensor, period: Tensor, periods: Tensor, present: Tensor, future: Tensor, due: Tensor,
    factor: Tensor,
) -> Tensor:  # fmt: skip
    """Interest paid in one period, where the payment is defined."""
    return interest(rate, period, periods, present, future, due)


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


def _first(one: Tensor, other: Tensor) -> Tensor:
    return torch.as_tensor(one, dtype=DTYPE) + 0.0 * other


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
    """Root by the secant method, as Excel does from a guess; no root is #NUM!."""
    try:
        with np.errstate(all="ignore"):
            found = optimize.newton(equation, guess, tol=1e-14, maxiter=200)
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
        raise ExcelError(NUM)
    nearest = min(signs, key=lambda index: abs(grid[index] - guess))
    return float(optimize.brentq(equation, grid[nearest], grid[nearest + 1], xtol=1e-15))


@function("RATE", "vvv", "vvv", gradient="none")
def rate(
    periods: Array, pay: Array, present: Array, future: Array | None = None,
    due: Array | None = None, guess: Array | None = None,
) -> Array:  # fmt: skip
    """Rate per period of an annuity."""

    def solve(n: float, p: float, pv: float, fv: float, at_start: float, first: float) -> CellValue:
        def equation(r: float) -> float:
            power = (1 + r) ** n
            series = n if abs(r) < 1e-12 else (power - 1) / r
            return float(pv * power + p * (1 + r * bool(at_start)) * series + fv)

        if n <= 0:
            return NUM
        return _root(equation, first)

    zero = scalar(0.0)
    return each(solve, "nnnnnn", periods, pay, present, future or zero, due or zero,
                guess or scalar(0.1))  # fmt: skip


# ---------------------------------------------------------------- series of payments


@function("NPV", "vr", repeats=True)
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


def discounted(flow: Tensor, rate: Tensor, place: Tensor) -> Tensor:
    """Present value of one payment."""
    return flow / (1 + torch.as_tensor(rate, dtype=DTYPE)) ** place


def _series(array: Array) -> np.ndarray:
    flows = sample(array)
    if flows.values.traced:
        raise Unsupported("a rate of return of trained payments")
    if flows.values.shape[:2] != (1, 1):
        raise Differs("payments that differ among the copied cells")
    if flows.errors is not None:
        raise ExcelError(error_of_kind(int(flows.errors.flat[0])))
    numbers: np.ndarray = flows.values.numpy().reshape(-1)[flows.counted.reshape(-1)]
    return numbers


@function("IRR", "r", "v", gradient="none")
def irr(array: Array, guess: Array | None = None) -> Array:
    """Rate at which the present value of a series of payments is 0."""
    flows = _series(array)
    if not ((flows > 0).any() and (flows < 0).any()):
        raise ExcelError(NUM)
    places = np.arange(len(flows))

    def solve(first: float) -> CellValue:
        return _root(lambda r: float((flows / (1 + r) ** places).sum()), first)

    return each(solve, "n", guess or scalar(0.1))


def _dated(values: Array, dates: Array) -> tuple[np.ndarray, np.ndarray]:
    flows, days = _series(values), np.floor(_series(dates))
    if len(flows) != len(days) or not len(flows):
        raise ExcelError(NUM)
    if (days < days[0]).any():
        raise ExcelError(NUM)
    return flows, (days - days[0]) / 365


@function("XNPV", "vrr", gradient="none")
def xnpv(rate_: Array, values: Array, dates: Array) -> Array:
    """Present value of payments at given dates."""
    flows, years = _dated(values, dates)

    def value(r: float) -> CellValue:
        return NUM if r <= -1 else float((flows / (1 + r) ** years).sum())

    return each(value, "n", rate_)


@function("XIRR", "rr", "v", gradient="none")
def xirr(values: Array, dates: Array, guess: Array | None = None) -> Array:
    """Rate at which the present value of dated payments is 0."""
    flows, years = _dated(values, dates)
    if not ((flows > 0).any() and (flows < 0).any()):
        raise ExcelError(NUM)

    def solve(first: float) -> CellValue:
        return _root(lambda r: float((flows / (1 + r) ** years).sum()), first)

    return each(solve, "n", guess or scalar(0.1))


# ---------------------------------------------------------------- others


def straight_line(cost: Tensor, salvage: Tensor, life: Tensor) -> Tensor:
    """Depreciation per period."""
    return (cost - salvage) / life


@function("SLN", "vvv")
def sln(cost: Array, salvage: Array, life: Array) -> Array:
    """Straight-line depreciation."""
    return on_domain(
        straight_line, cost, salvage, life, domain=((2, operator.ne, 0.0),), error=DIV0
    )


def effective(nominal: Tensor, periods: Tensor) -> Tensor:
    """Effective annual rate."""
    return (1 + torch.as_tensor(nominal, dtype=DTYPE) / periods) ** periods - 1


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
