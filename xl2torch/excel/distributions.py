"""Probability distributions. Formulas: NIST Digital Library of Mathematical Functions, chapters 7
and 8, and the densities in Excel's documentation."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch

from xl2torch.arrays import special
from xl2torch.arrays.array import (
    Array,
    NotVectorisable,
    Unsupported,
    as_numbers,
    choose,
    elementwise,
    scalar,
    truth,
)  # fmt: skip
from xl2torch.arrays.operators import Condition, on_domain
from xl2torch.cells.values import DIV0, NUM
from xl2torch.excel.registry import family, function, same_as
from xl2torch.ir.ops import recorded

Tensor = torch.Tensor
Form = tuple[Callable[..., Tensor], tuple[Condition, ...]]
"""A torch function and the conditions under which it has a value."""


def above(*positions: int, limit: float = 0.0) -> tuple[Condition, ...]:
    """Operands that have to be greater than a limit."""
    return tuple((position, operator.gt, limit) for position in positions)


def least(*positions: int, limit: float = 0.0) -> tuple[Condition, ...]:
    """Operands that have to be at least a limit."""
    return tuple((position, operator.ge, limit) for position in positions)


def most(*positions: int, limit: float = 1.0) -> tuple[Condition, ...]:
    """Operands that have to be at most a limit."""
    return tuple((position, operator.le, limit) for position in positions)


def share(position: int) -> tuple[Condition, ...]:
    """A probability strictly between 0 and 1."""
    return ((position, operator.gt, 0.0), (position, operator.lt, 1.0))


def _cumulative(flag: Array) -> bool:
    """Whether the distribution function is meant, not the density."""
    flag = truth(flag)
    if flag.traced:
        raise Unsupported("a trained value chooses between density and distribution function")
    numbers = flag.numpy()
    if (numbers != numbers.flat[0]).any():
        raise NotVectorisable("density and distribution function in one copied column")
    if flag.kinds is not None:
        raise NotVectorisable("an error as the choice between density and distribution function")
    return bool(numbers.flat[0])


def _whole(array: Array) -> Array:
    return elementwise(torch.trunc, as_numbers(array), keep=True)


def _tensor(x: Any) -> Tensor:
    return torch.as_tensor(x, dtype=torch.float64)


# ---------------------------------------------------------------- normal

_LN_ROOT_2PI = math.log(2 * math.pi) / 2


@recorded()
def normal_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Density of the normal distribution."""
    score = (x - mean) / deviation
    return torch.exp(_tensor(-0.5 * score * score - _LN_ROOT_2PI)) / deviation


def normal_log_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Logarithm of the density of the normal distribution."""
    score = (x - mean) / deviation
    return -0.5 * score * score - _LN_ROOT_2PI - torch.log(_tensor(deviation))


@recorded()
def normal(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Distribution function of the normal distribution."""
    return cast(Tensor, torch.special.ndtr(_tensor((x - mean) / deviation)))


@recorded()
def normal_inverse(p: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Inverse of the normal distribution function."""
    return cast(Tensor, mean + deviation * torch.special.ndtri(_tensor(p)))


@function("NORM.DIST", "vvvv")
def norm_dist(x: Array, mean: Array, deviation: Array, cumulative: Array) -> Array:
    """Normal distribution; the standard deviation has to be positive."""
    form = normal if _cumulative(cumulative) else normal_density
    return on_domain(form, x, mean, deviation, domain=above(2))


@function("NORM.S.DIST", "vv")
def norm_s_dist(x: Array, cumulative: Array) -> Array:
    """Standard normal distribution."""
    return norm_dist(x, scalar(0.0), scalar(1.0), cumulative)


@function("NORMSDIST", "v")
def normsdist(x: Array) -> Array:
    """Standard normal distribution function."""
    return elementwise(torch.special.ndtr, x)


@function("NORM.INV", "vvv")
def norm_inv(p: Array, mean: Array, deviation: Array) -> Array:
    """Inverse of the normal distribution function, for 0 < p < 1."""
    domain = (*share(0), *above(2))
    return on_domain(normal_inverse, p, mean, deviation, domain=domain, stand_in=0.5)


@function("NORM.S.INV", "v")
def norm_s_inv(p: Array) -> Array:
    """Inverse of the standard normal distribution function, for 0 < p < 1."""
    return on_domain(torch.special.ndtri, p, domain=share(0), stand_in=0.5)


@function("PHI", "v")
def phi(x: Array) -> Array:
    """Density of the standard normal distribution."""
    return on_domain(normal_density, x, scalar(0.0), scalar(1.0))


@recorded()
def _gauss(x: Tensor) -> Tensor:
    return cast(Tensor, torch.special.ndtr(_tensor(x)) - 0.5)


@function("GAUSS", "v")
def gauss(x: Array) -> Array:
    """Standard normal distribution function less ½."""
    return elementwise(_gauss, x)


@recorded()
def error_between(low: Tensor, high: Tensor) -> Tensor:
    """erf(high) - erf(low)."""
    return torch.erf(_tensor(high)) - torch.erf(_tensor(low))


@function("ERF", "v", "v")
def erf(low: Array, high: Array | None = None) -> Array:
    """Error function, from 0 or between two limits."""
    return elementwise(torch.erf, low) if high is None else elementwise(error_between, low, high)


@family({"ERF.PRECISE": torch.erf, "ERFC": torch.erfc, "ERFC.PRECISE": torch.erfc}, "v")
def erf_precise(form: Callable[..., Tensor], x: Array) -> Array:
    """Error function, and 1 less it (ERFC)."""
    return elementwise(form, x)


@recorded()
def lognormal_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Density of the lognormal distribution."""
    return normal_density(torch.log(_tensor(x)), mean, deviation) / x


def lognormal_log_density(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Logarithm of the density of the lognormal distribution."""
    logarithm = torch.log(_tensor(x))
    return normal_log_density(logarithm, mean, deviation) - logarithm


@recorded()
def lognormal(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Distribution function of the lognormal distribution."""
    return normal(torch.log(_tensor(x)), mean, deviation)


@recorded()
def lognormal_inverse(p: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Inverse of the lognormal distribution function."""
    return torch.exp(_tensor(normal_inverse(p, mean, deviation)))


@function("LOGNORM.DIST", "vvvv")
def lognorm_dist(x: Array, mean: Array, deviation: Array, cumulative: Array) -> Array:
    """Lognormal distribution of x > 0."""
    form = lognormal if _cumulative(cumulative) else lognormal_density
    return on_domain(form, x, mean, deviation, domain=above(0, 2))


@function("LOGNORM.INV", "vvv")
def lognorm_inv(p: Array, mean: Array, deviation: Array) -> Array:
    """Inverse of the lognormal distribution function, for 0 < p < 1."""
    domain = (*share(0), *above(2))
    return on_domain(lognormal_inverse, p, mean, deviation, domain=domain, stand_in=0.5)


# ---------------------------------------------------------------- exponential, gamma, beta


@recorded()
def exponential_density(x: Tensor, rate: Tensor) -> Tensor:
    """Density of the exponential distribution."""
    return rate * torch.exp(_tensor(-rate * x))


def exponential_log_density(x: Tensor, rate: Tensor) -> Tensor:
    """Logarithm of the density of the exponential distribution."""
    return torch.log(_tensor(rate)) - rate * x


@recorded()
def exponential(x: Tensor, rate: Tensor) -> Tensor:
    """Distribution function of the exponential distribution."""
    return -torch.expm1(_tensor(-rate * x))


@function("EXPON.DIST", "vvv")
def expon_dist(x: Array, rate: Array, cumulative: Array) -> Array:
    """Exponential distribution of x ≥ 0 with a positive rate."""
    form = exponential if _cumulative(cumulative) else exponential_density
    return on_domain(form, x, rate, domain=(*least(0), *above(1)))


@recorded()
def weibull_density(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Density of the Weibull distribution."""
    ratio = _tensor(x / scale)
    return shape / scale * ratio ** (shape - 1) * torch.exp(-(ratio**shape))


@recorded()
def weibull_log_density(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Logarithm of the density of the Weibull distribution."""
    ratio = _tensor(x / scale)
    logarithm = torch.log(_tensor(shape / scale)) + torch.xlogy(_tensor(shape - 1), ratio)
    return logarithm - ratio**shape


@recorded()
def weibull(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Distribution function of the Weibull distribution."""
    return -torch.expm1(-(_tensor(x / scale) ** shape))


@function("WEIBULL.DIST", "vvvv")
def weibull_dist(x: Array, shape: Array, scale: Array, cumulative: Array) -> Array:
    """Weibull distribution of x ≥ 0."""
    form = weibull if _cumulative(cumulative) else weibull_density
    domain = (*least(0), *above(1, 2))
    return on_domain(form, x, shape, scale, domain=domain, smooth=above(0))


@recorded()
def gamma_density(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Density of the gamma distribution."""
    return torch.exp(_gamma_exponent(x, shape, scale)) / scale


@recorded()
def gamma_log_density(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Logarithm of the density of the gamma distribution."""
    return _gamma_exponent(x, shape, scale) - torch.log(_tensor(scale))


def _gamma_exponent(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    x, shape, scale = _tensor(x), _tensor(shape), _tensor(scale)
    return torch.xlogy(shape - 1, x / scale) - x / scale - torch.lgamma(shape)


@recorded()
def gamma_distribution(x: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Distribution function of the gamma distribution."""
    return special.gammainc(shape, x / scale)


@recorded()
def gamma_inverse(p: Tensor, shape: Tensor, scale: Tensor) -> Tensor:
    """Inverse of the gamma distribution function."""
    return special.gammaincinv(shape, p) * scale


@function("GAMMA.DIST", "vvvv")
def gamma_dist(x: Array, shape: Array, scale: Array, cumulative: Array) -> Array:
    """Gamma distribution of x ≥ 0."""
    if _cumulative(cumulative):
        domain = (*least(0), *above(1, 2))
        return on_domain(gamma_distribution, x, shape, scale, domain=domain, smooth=above(0))
    domain = (*least(0), *above(1, 2))
    return on_domain(gamma_density, x, shape, scale, domain=domain, smooth=above(0))


_BELOW_ONE: Condition = (0, operator.lt, 1.0)


@function("GAMMA.INV", "vvv")
def gamma_inv(p: Array, shape: Array, scale: Array) -> Array:
    """Inverse of the gamma distribution function."""
    domain = (*least(0), _BELOW_ONE, *above(1, 2))
    return on_domain(gamma_inverse, p, shape, scale, domain=domain, stand_in=0.5)


@recorded()
def beta_density(x: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Density of the beta distribution between two limits."""
    return torch.exp(_beta_exponent(x, a, b, low, high)) / _tensor(high - low)


def beta_log_density(x: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Logarithm of the density of the beta distribution between two limits."""
    return _beta_exponent(x, a, b, low, high) - torch.log(_tensor(high - low))


def _beta_exponent(x: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    a, b, place = _tensor(a), _tensor(b), _tensor((x - low) / (high - low))
    constant = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    logarithm = torch.xlogy(a - 1, place) + torch.special.xlog1py(b - 1, -place)
    return cast(Tensor, logarithm - constant)


@recorded()
def beta_distribution(x: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Distribution function of the beta distribution between two limits."""
    return special.betainc(a, b, (x - low) / (high - low))


@recorded()
def beta_inverse(p: Tensor, a: Tensor, b: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Inverse of the beta distribution function between two limits."""
    return low + (high - low) * special.betaincinv(a, b, p)


def _between(x: Array, low: Array, high: Array) -> Array:
    """x, or #NUM! where it is not between the limits or these are equal."""
    if any(array.traced for array in (low, high)):
        raise Unsupported("a trained value as a limit of a beta distribution")
    place = elementwise(_place, x, low, high, error=NUM)
    inside = on_domain(_same, place, domain=(*least(0), *most(0)), stand_in=0.5)
    return inside


@recorded()
def _place(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return (x - low) / (high - low)


@recorded(addends=(0,))
def _same(x: Tensor) -> Tensor:
    return _tensor(x) + 0.0


@function("BETA.DIST", "vvvv", "vv")
def beta_dist(
    x: Array, a: Array, b: Array, cumulative: Array, low: Array | None = None,
    high: Array | None = None,
) -> Array:  # fmt: skip
    """Beta distribution, from 0 to 1 unless limits are given."""
    low, high = low or scalar(0.0), high or scalar(1.0)
    place = _between(x, low, high)
    ends = scalar(0.0), scalar(1.0)
    if _cumulative(cumulative):
        return on_domain(
            beta_distribution, place, a, b, *ends, domain=above(1, 2), smooth=share(0),
            stand_in=0.5,
        )  # fmt: skip
    density = on_domain(
        beta_density, place, a, b, *ends, domain=above(1, 2), smooth=share(0), stand_in=0.5
    )
    span = elementwise(operator.sub, high, low)
    return elementwise(operator.truediv, density, span)


@function("BETA.INV", "vvv", "vv")
def beta_inv(
    p: Array, a: Array, b: Array, low: Array | None = None, high: Array | None = None
) -> Array:
    """Inverse of the beta distribution function."""
    domain = (*above(0), *most(0), *above(1, 2))
    low, high = low or scalar(0.0), high or scalar(1.0)
    span = elementwise(operator.sub, high, low)
    result = on_domain(beta_inverse, p, a, b, low, high, domain=domain, stand_in=0.5)
    return on_domain(_first, result, span, domain=((1, operator.ne, 0.0),))


# ---------------------------------------------------------------- t, F, chi squared


@recorded()
def t_density(x: Tensor, df: Tensor) -> Tensor:
    """Density of Student's t."""
    return special.student_density(df, x)


@recorded()
def t_left(x: Tensor, df: Tensor) -> Tensor:
    """Distribution function of Student's t."""
    return special.student(df, x)


@recorded()
def t_right(x: Tensor, df: Tensor) -> Tensor:
    """Upper tail of Student's t."""
    return special.student(df, -x)


@recorded()
def t_tails(x: Tensor, df: Tensor) -> Tensor:
    """Both tails of Student's t."""
    return 2 * special.student(df, -_tensor(x))


@recorded()
def t_inverse(p: Tensor, df: Tensor) -> Tensor:
    """Inverse of Student's t distribution function."""
    return special.student_inverse(df, p)


@recorded()
def t_inverse_tails(p: Tensor, df: Tensor) -> Tensor:
    """Inverse of both tails of Student's t."""
    return -special.student_inverse(df, _tensor(p) / 2)


_DEGREES = least(1, limit=1.0)


@function("T.DIST", "vvv")
def t_dist(x: Array, df: Array, cumulative: Array) -> Array:
    """Student's t distribution, left tail; the degrees of freedom are cut to a whole number."""
    form = t_left if _cumulative(cumulative) else t_density
    return on_domain(form, x, _whole(df), domain=_DEGREES)


@function("T.DIST.RT", "vv")
def t_dist_rt(x: Array, df: Array) -> Array:
    """Student's t distribution, right tail."""
    return on_domain(t_right, x, _whole(df), domain=_DEGREES)


@function("T.DIST.2T", "vv")
def t_dist_2t(x: Array, df: Array) -> Array:
    """Student's t distribution, both tails, of x ≥ 0."""
    return on_domain(t_tails, x, _whole(df), domain=(*_DEGREES, *least(0)))


@function("TDIST", "vvv")
def tdist(x: Array, df: Array, tails: Array) -> Array:
    """Student's t distribution, one or two tails, of x ≥ 0."""
    count = _whole(tails)
    if count.traced:
        raise Unsupported("a trained number of tails")
    one = on_domain(t_right, x, _whole(df), domain=(*_DEGREES, *least(0)))
    both = elementwise(operator.mul, one, count)
    return on_domain(_second, count, both, domain=(*least(0, limit=1.0), *most(0, limit=2.0)))


@recorded()
def _first(first: Tensor, second: Tensor) -> Tensor:
    return _tensor(first) + 0.0 * second


@recorded()
def _second(first: Tensor, second: Tensor) -> Tensor:
    return _tensor(second) + 0.0 * first


@function("T.INV", "vv")
def t_inv(p: Array, df: Array) -> Array:
    """Inverse of the t distribution's left tail, for 0 < p < 1."""
    return on_domain(t_inverse, p, _whole(df), domain=(*share(0), *_DEGREES), stand_in=0.5)


@function("T.INV.2T", "vv")
def t_inv_2t(p: Array, df: Array) -> Array:
    """Inverse of the t distribution's two tails, for 0 < p ≤ 1."""
    domain = (*above(0), *most(0), *_DEGREES)
    return on_domain(t_inverse_tails, p, _whole(df), domain=domain)


@recorded()
def f_density(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Density of the F distribution."""
    return torch.exp(f_log_density(x, first, second))


def f_log_density(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Logarithm of the density of the F distribution."""
    a, b, x = _tensor(first) / 2, _tensor(second) / 2, _tensor(x)
    constant = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    ratio = a / b
    logarithm = a * torch.log(ratio) + torch.xlogy(a - 1, x) - (a + b) * torch.log1p(ratio * x)
    return logarithm - constant


@recorded()
def f_left(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Distribution function of F."""
    return special.betainc(
        _tensor(first) / 2, _tensor(second) / 2, first * x / (first * x + second)
    )


@recorded()
def f_right(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Upper tail of F."""
    share_ = second / (first * x + second)
    return special.betainc(_tensor(second) / 2, _tensor(first) / 2, share_)


@recorded()
def f_inverse(p: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Inverse of F's distribution function."""
    place = special.betaincinv(_tensor(first) / 2, _tensor(second) / 2, p)
    return second * place / (first * (1 - place))


@recorded()
def f_inverse_right(p: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Inverse of F's upper tail."""
    place = special.betaincinv(_tensor(second) / 2, _tensor(first) / 2, p)
    return second * (1 - place) / (first * place)


_TWO_DEGREES = least(1, 2, limit=1.0)


@function("F.DIST", "vvvv")
def f_dist(x: Array, first: Array, second: Array, cumulative: Array) -> Array:
    """F distribution of x ≥ 0; the degrees of freedom are cut to whole numbers."""
    form = f_left if _cumulative(cumulative) else f_density
    domain = (*least(0), *_TWO_DEGREES)
    return on_domain(form, x, _whole(first), _whole(second), domain=domain, smooth=above(0))


@function("F.DIST.RT", "vvv")
def f_dist_rt(x: Array, first: Array, second: Array) -> Array:
    """F distribution, right tail."""
    domain = (*least(0), *_TWO_DEGREES)
    return on_domain(f_right, x, _whole(first), _whole(second), domain=domain, smooth=above(0))


@function("F.INV", "vvv")
def f_inv(p: Array, first: Array, second: Array) -> Array:
    """Inverse of the F distribution function."""
    domain = (*least(0), _BELOW_ONE, *_TWO_DEGREES)
    return on_domain(f_inverse, p, _whole(first), _whole(second), domain=domain)


@function("F.INV.RT", "vvv")
def f_inv_rt(p: Array, first: Array, second: Array) -> Array:
    """Inverse of the F distribution's right tail."""
    domain = (*above(0), *most(0), *_TWO_DEGREES)
    return on_domain(f_inverse_right, p, _whole(first), _whole(second), domain=domain)


@recorded()
def chi_density(x: Tensor, df: Tensor) -> Tensor:
    """Density of chi squared."""
    return gamma_density(x, _tensor(df) / 2, _tensor(2.0))


def chi_log_density(x: Tensor, df: Tensor) -> Tensor:
    """Logarithm of the density of chi squared."""
    return gamma_log_density(x, _tensor(df) / 2, _tensor(2.0))


@recorded()
def chi_left(x: Tensor, df: Tensor) -> Tensor:
    """Distribution function of chi squared."""
    return special.gammainc(_tensor(df) / 2, _tensor(x) / 2)


@recorded()
def chi_right(x: Tensor, df: Tensor) -> Tensor:
    """Upper tail of chi squared."""
    return special.gammaincc(_tensor(df) / 2, _tensor(x) / 2)


@recorded()
def chi_inverse(p: Tensor, df: Tensor) -> Tensor:
    """Inverse of the chi-squared distribution function."""
    return 2 * special.gammaincinv(_tensor(df) / 2, p)


@recorded()
def chi_inverse_right(p: Tensor, df: Tensor) -> Tensor:
    """Inverse of chi squared's upper tail."""
    return 2 * special.gammainccinv(_tensor(df) / 2, p)


@function("CHISQ.DIST", "vvv")
def chisq_dist(x: Array, df: Array, cumulative: Array) -> Array:
    """Chi-squared distribution of x ≥ 0; the degrees of freedom are cut to a whole number."""
    form = chi_left if _cumulative(cumulative) else chi_density
    domain = (*least(0), *_DEGREES)
    return on_domain(form, x, _whole(df), domain=domain, smooth=above(0))


@function("CHISQ.DIST.RT", "vv")
def chisq_dist_rt(x: Array, df: Array) -> Array:
    """Chi-squared distribution, right tail."""
    domain = (*least(0), *_DEGREES)
    return on_domain(chi_right, x, _whole(df), domain=domain, smooth=above(0))


@function("CHISQ.INV", "vv")
def chisq_inv(p: Array, df: Array) -> Array:
    """Inverse of the chi-squared distribution function."""
    domain = (*least(0), _BELOW_ONE, *_DEGREES)
    return on_domain(chi_inverse, p, _whole(df), domain=domain)


@function("CHISQ.INV.RT", "vv")
def chisq_inv_rt(p: Array, df: Array) -> Array:
    """Inverse of the chi-squared distribution's right tail."""
    domain = (*above(0), *most(0), *_DEGREES)
    return on_domain(chi_inverse_right, p, _whole(df), domain=domain)


# ---------------------------------------------------------------- discrete


def binomial_density(k: Tensor, n: Tensor, p: Tensor) -> Tensor:
    """Probability of k successes in n trials."""
    p = _tensor(p)
    return special.binomial(n, k) * p**k * (1 - p) ** (n - k)


def binomial_below(k: Tensor, n: Tensor, p: Tensor) -> Tensor:
    """Probability of at most k successes in n trials, k < n."""
    return special.betainc(n - k, k + 1, 1 - _tensor(p))


@function("BINOM.DIST", "vvvv")
def binom_dist(k: Array, n: Array, p: Array, cumulative: Array) -> Array:
    """Binomial distribution; the counts are cut to whole numbers and have no gradient."""
    k, n = _whole(k), _whole(n)
    left = elementwise(operator.sub, n, k, keep=True)
    domain = (*least(0, 1, 3), *least(2), *most(2))
    if not _cumulative(cumulative):
        return on_domain(_binomial_checked, k, n, p, left, domain=domain)
    inside = elementwise(torch.minimum, k, elementwise(operator.sub, n, scalar(1.0), keep=True))
    below = on_domain(_binomial_below_checked, inside, n, p, left, domain=(
        *least(1, 3), *least(2), *most(2)))  # fmt: skip
    certain = elementwise(operator.eq, left, scalar(0.0), keep=True)
    result = choose(certain, on_domain(_one_of, k, n, p, domain=(*least(2), *most(2))), below)
    return on_domain(_second, k, result, domain=least(0))


@recorded()
def _one_of(k: Tensor, n: Tensor, p: Tensor) -> Tensor:
    return torch.ones_like(_tensor(p)) + 0.0 * (k + n)


@recorded()
def _binomial_checked(k: Tensor, n: Tensor, p: Tensor, left: Tensor) -> Tensor:
    return binomial_density(k, n, p)


@recorded()
def _binomial_below_checked(k: Tensor, n: Tensor, p: Tensor, left: Tensor) -> Tensor:
    return binomial_below(k, n, p)


@recorded()
def poisson_density(k: Tensor, mean: Tensor) -> Tensor:
    """Probability of k events."""
    return torch.exp(poisson_log_density(k, mean))


def poisson_log_density(k: Tensor, mean: Tensor) -> Tensor:
    """Logarithm of the probability of k events."""
    k, mean = _tensor(k), _tensor(mean)
    return torch.xlogy(k, mean) - mean - torch.lgamma(k + 1)


@recorded()
def poisson_below(k: Tensor, mean: Tensor) -> Tensor:
    """Probability of at most k events."""
    return special.gammaincc(k + 1, mean)


@function("POISSON.DIST", "vvv")
def poisson_dist(k: Array, mean: Array, cumulative: Array) -> Array:
    """Poisson distribution; the count is cut to a whole number and has no gradient."""
    form = poisson_below if _cumulative(cumulative) else poisson_density
    return on_domain(form, _whole(k), mean, domain=least(0, 1), smooth=above(1))


# ---------------------------------------------------------------- others


@recorded()
def fisher_transform(x: Tensor) -> Tensor:
    """Inverse hyperbolic tangent."""
    return torch.atanh(_tensor(x))


@function("FISHER", "v")
def fisher(x: Array) -> Array:
    """Fisher's transformation, for -1 < x < 1."""
    domain = (*above(0, limit=-1.0), (0, operator.lt, 1.0))
    return on_domain(fisher_transform, x, domain=domain, stand_in=0.5)


@function("FISHERINV", "v")
def fisherinv(x: Array) -> Array:
    """Inverse of Fisher's transformation."""
    return elementwise(torch.tanh, x)


@recorded()
def confidence_normal(alpha: Tensor, deviation: Tensor, size: Tensor) -> Tensor:
    """Half the width of a confidence interval, normal distribution."""
    quantile = cast(Tensor, -torch.special.ndtri(_tensor(alpha) / 2))
    return quantile * deviation / torch.sqrt(_tensor(size))


@recorded()
def confidence_student(alpha: Tensor, deviation: Tensor, size: Tensor) -> Tensor:
    """Half the width of a confidence interval, Student's t."""
    size = _tensor(size)
    quantile = -special.student_inverse(size - 1, _tensor(alpha) / 2)
    return quantile * deviation / torch.sqrt(size)


@function("CONFIDENCE.NORM", "vvv")
def confidence_norm(alpha: Array, deviation: Array, size: Array) -> Array:
    """Half the width of the confidence interval of a mean, known standard deviation."""
    domain = (*share(0), *above(1), *least(2, limit=1.0))
    size = _whole(size)
    return on_domain(confidence_normal, alpha, deviation, size, domain=domain, stand_in=0.5)


@function("CONFIDENCE.T", "vvv")
def confidence_t(alpha: Array, deviation: Array, size: Array) -> Array:
    """Half the width of the confidence interval of a mean, Student's t."""
    size = on_domain(_same, _whole(size), domain=least(0, limit=1.0))
    size = on_domain(_same, size, domain=least(0, limit=2.0), error=DIV0, stand_in=2.0)
    domain = (*share(0), *above(1))
    return on_domain(confidence_student, alpha, deviation, size, domain=domain, stand_in=0.5)


@function("NORMDIST", "vvvv")
def _normdist(x: Array, mean: Array, deviation: Array, cumulative: Array) -> Array:
    """Normal distribution, the older name."""
    return norm_dist(x, mean, deviation, cumulative)


@function("LOGNORMDIST", "vvv")
def _lognormdist(x: Array, mean: Array, deviation: Array) -> Array:
    """Lognormal distribution function, the older name."""
    return on_domain(lognormal, x, mean, deviation, domain=above(0, 2))


same_as(
    {
        "NORMINV": "NORM.INV", "NORMSINV": "NORM.S.INV", "LOGINV": "LOGNORM.INV",
        "EXPONDIST": "EXPON.DIST", "WEIBULL": "WEIBULL.DIST", "GAMMADIST": "GAMMA.DIST",
        "GAMMAINV": "GAMMA.INV", "BETAINV": "BETA.INV", "TINV": "T.INV.2T", "FDIST": "F.DIST.RT",
        "FINV": "F.INV.RT", "CHIDIST": "CHISQ.DIST.RT", "CHIINV": "CHISQ.INV.RT",
        "BINOMDIST": "BINOM.DIST", "POISSON": "POISSON.DIST", "CONFIDENCE": "CONFIDENCE.NORM",
    }
)  # fmt: skip

LOG_DENSITIES: Mapping[Callable[..., Tensor], Callable[..., Tensor]] = {
    normal_density: normal_log_density, lognormal_density: lognormal_log_density,
    exponential_density: exponential_log_density, weibull_density: weibull_log_density,
    gamma_density: gamma_log_density, beta_density: beta_log_density,
    f_density: f_log_density, chi_density: chi_log_density, poisson_density: poisson_log_density,
}  # fmt: skip
"""Densities with their logarithms, which have values and slopes where densities underflow."""
