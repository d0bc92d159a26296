"""Special functions that torch lacks, or has without a derivative: scipy's, with their slopes.

Each is a torch function of float64 tensors that broadcast against each other. Slopes by the
argument are analytic; slopes by a shape parameter, which have no closed form, are fourth-order
central differences (Abramowitz & Stegun 25.3.6), good to about 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Slope = Callable[..., Any]
_STEP = 1e-3


class _Elementwise(torch.autograd.Function):
    """A numpy function of several arguments, with one slope per argument."""

    @staticmethod
    def forward(function: Slope, slopes: Sequence[Slope], *arguments: torch.Tensor) -> torch.Tensor:
        with np.errstate(all="ignore"):
            numbers = function(*(_numbers(x) for x in arguments))
        return arguments[0].new_tensor(np.asarray(numbers, dtype=np.float64))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.slopes = inputs[1]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        arguments = ctx.saved_tensors
        numbers = [_numbers(x) for x in arguments]
        found: list[torch.Tensor | None] = []
        for index, argument in enumerate(arguments):
            if not ctx.needs_input_grad[index + 2]:
                found.append(None)
                continue
            with np.errstate(all="ignore"):
                slope = np.asarray(ctx.slopes[index](*numbers), dtype=np.float64)
            product = gradients[0] * gradients[0].new_tensor(slope)
            found.append(product.sum_to_size(argument.shape))
        return (None, None, *found)


def _numbers(tensor: torch.Tensor) -> Numbers:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def _numeric(function: Slope, index: int) -> Slope:
    """Slope by one argument, by central differences."""

    def slope(*numbers: Numbers) -> Numbers:
        at = np.asarray(numbers[index], dtype=np.float64)
        step = np.minimum(_STEP * np.maximum(1.0, np.abs(at)), np.abs(at) / 8 + 1e-300)

        def value(factor: float) -> Any:
            return function(*numbers[:index], at + factor * step, *numbers[index + 1 :])

        result: Numbers = (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * step)
        return result

    return slope


def _call(function: Slope, slopes: Sequence[Slope], *arguments: Any) -> torch.Tensor:
    tensors = [torch.as_tensor(x, dtype=torch.float64) for x in arguments]
    result: torch.Tensor = _Elementwise.apply(function, slopes, *tensors)  # type: ignore[no-untyped-call]
    return result


def _gamma_slope(x: Numbers) -> Any:
    return scipy.special.gamma(x) * scipy.special.psi(x)


def gamma(x: torch.Tensor) -> torch.Tensor:
    """Γ(x)."""
    return _call(scipy.special.gamma, (_gamma_slope,), x)


def _gamma_density(a: Numbers, x: Numbers) -> Any:
    return np.exp(scipy.special.xlogy(a - 1, x) - x - scipy.special.gammaln(a))


def gammainc(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Regularised lower incomplete gamma function P(a, x)."""
    return _call(
        scipy.special.gammainc, (_numeric(scipy.special.gammainc, 0), _gamma_density), a, x
    )


def _minus_gamma_density(a: Numbers, x: Numbers) -> Any:
    return -_gamma_density(a, x)


def gammaincc(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Regularised upper incomplete gamma function Q(a, x)."""
    return _call(
        scipy.special.gammaincc, (_numeric(scipy.special.gammaincc, 0), _minus_gamma_density), a, x
    )


def _gammaincinv_slope(a: Numbers, p: Numbers) -> Any:
    return 1 / _gamma_density(a, scipy.special.gammaincinv(a, p))


def gammaincinv(a: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Inverse of P(a, x) by x."""
    return _call(
        scipy.special.gammaincinv,
        (_numeric(scipy.special.gammaincinv, 0), _gammaincinv_slope),
        a,
        p,
    )


def _gammainccinv_slope(a: Numbers, p: Numbers) -> Any:
    return -1 / _gamma_density(a, scipy.special.gammainccinv(a, p))


def gammainccinv(a: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Inverse of Q(a, x) by x."""
    slopes = (_numeric(scipy.special.gammainccinv, 0), _gammainccinv_slope)
    return _call(scipy.special.gammainccinv, slopes, a, p)


def _beta_density(a: Numbers, b: Numbers, x: Numbers) -> Any:
    logarithm = (
        scipy.special.xlogy(a - 1, x)
        + scipy.special.xlog1py(b - 1, -x)
        - scipy.special.betaln(a, b)
    )
    return np.exp(logarithm)


def betainc(a: torch.Tensor, b: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Regularised incomplete beta function I_x(a, b)."""
    slopes = (_numeric(scipy.special.betainc, 0), _numeric(scipy.special.betainc, 1), _beta_density)
    return _call(scipy.special.betainc, slopes, a, b, x)


def _betaincinv_slope(a: Numbers, b: Numbers, p: Numbers) -> Any:
    return 1 / _beta_density(a, b, scipy.special.betaincinv(a, b, p))


def betaincinv(a: torch.Tensor, b: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Inverse of I_x(a, b) by x."""
    slopes = (
        _numeric(scipy.special.betaincinv, 0),
        _numeric(scipy.special.betaincinv, 1),
        _betaincinv_slope,
    )
    return _call(scipy.special.betaincinv, slopes, a, b, p)


def _t_density(df: Numbers, t: Numbers) -> Any:
    half = (df + 1) / 2
    constant = scipy.special.gammaln(half) - scipy.special.gammaln(df / 2) - np.log(np.pi * df) / 2
    return np.exp(constant - half * np.log1p(t * t / df))


def student_density(df: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Density of Student's t distribution."""
    df, t = torch.as_tensor(df, dtype=torch.float64), torch.as_tensor(t, dtype=torch.float64)
    half = (df + 1) / 2
    constant = torch.lgamma(half) - torch.lgamma(df / 2) - torch.log(torch.pi * df) / 2
    return torch.exp(constant - half * torch.log1p(t * t / df))


def student(df: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Distribution function of Student's t."""
    return _call(scipy.special.stdtr, (_numeric(scipy.special.stdtr, 0), _t_density), df, t)


def _student_inverse_slope(df: Numbers, p: Numbers) -> Any:
    return 1 / _t_density(df, scipy.special.stdtrit(df, p))


def student_inverse(df: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Inverse of Student's t distribution function."""
    return _call(
        scipy.special.stdtrit, (_numeric(scipy.special.stdtrit, 0), _student_inverse_slope), df, p
    )


def _no_slope(*numbers: Numbers) -> float:
    return 0.0


def binomial(n: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Number of ways to choose k of n; whole numbers, so without slope."""
    return _call(scipy.special.binom, (_no_slope, _no_slope), n, k)


def double_factorial(n: torch.Tensor) -> torch.Tensor:
    """n!! of whole numbers; without slope."""
    return _call(lambda x: scipy.special.factorial2(x.astype(int)), (_no_slope,), n)
