"""Logarithms of densities: equal to those of scipy where densities underflow, with slopes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from grids import write_grid
from scipy import stats

import xl2torch
from xl2torch.excel.distributions import LOG_DENSITIES

SCIPY: dict[str, tuple[Callable[..., object], list[float]]] = {
    "normal_density": (stats.norm.logpdf, [3.0, 1.0, 2.0]),
    "lognormal_density": (lambda x, m, s: stats.lognorm.logpdf(x, s, scale=np.exp(m)), [3, 1, 2]),
    "exponential_density": (lambda x, r: stats.expon.logpdf(x, scale=1 / r), [3.0, 0.5]),
    "weibull_density": (lambda x, k, s: stats.weibull_min.logpdf(x, k, scale=s), [3.0, 1.5, 2.0]),
    "gamma_density": (lambda x, k, s: stats.gamma.logpdf(x, k, scale=s), [3.0, 1.5, 2.0]),
    "beta_density": (
        lambda x, a, b, low, high: stats.beta.logpdf(x, a, b, low, high - low),
        [3.0, 1.5, 2.0, 1.0, 5.0],
    ),
    "f_density": (stats.f.logpdf, [3.0, 4.0, 7.0]),
    "chi_density": (stats.chi2.logpdf, [3.0, 4.0]),
    "poisson_density": (stats.poisson.logpmf, [3.0, 2.5]),
}
FAR = {
    "normal_density": [3e3, 1.0, 2.0], "lognormal_density": [1e300, 1.0, 2.0],
    "exponential_density": [5e3, 0.5], "weibull_density": [3e3, 1.5, 2.0],
    "gamma_density": [5e3, 1.5, 2.0], "beta_density": [1.01, 200.0, 2.0, 1.0, 5.0],
    "f_density": [1e300, 4.0, 70.0], "chi_density": [5e3, 4.0], "poisson_density": [3.0, 2.5e3],
}  # fmt: skip


@pytest.mark.parametrize("density", LOG_DENSITIES, ids=lambda density: density.__name__)
def test_values_and_slopes(density: Callable[..., torch.Tensor]) -> None:
    logarithm, (right, near) = LOG_DENSITIES[density], SCIPY[density.__name__]
    for point in (near, FAR[density.__name__]):
        given = [torch.tensor(value, dtype=torch.float64) for value in point]
        assert float(logarithm(*given)) == pytest.approx(right(*point), rel=1e-12)
        for place in range(1, len(point)):
            moved = [value.clone().requires_grad_() for value in given]
            (slope,) = torch.autograd.grad(logarithm(*moved), moved[place])
            step = 1e-6 * abs(point[place])
            ends = [
                float(logarithm(*given[:place], given[place] + way, *given[place + 1 :]))
                for way in (step, -step)
            ]
            difference = (ends[0] - ends[1]) / (2 * step)
            assert float(slope) == pytest.approx(difference, rel=1e-5, abs=1e-6)
    given = [torch.tensor(value, dtype=torch.float64) for value in near]
    assert float(torch.log(density(*given))) == pytest.approx(float(logarithm(*given)), rel=1e-13)


def test_a_start_where_densities_nearly_underflow(tmp_path: Path) -> None:
    """The density of 7100 is 1E-309: its logarithm has a value, 1/density has none."""
    grid = """
        10 =LN(GAMMADIST(C1,A$1,A$2,FALSE)) 2500 =SUM(B1:B3)
        10 =LN(GAMMADIST(C2,A$1,A$2,FALSE)) 7100
        . =LN(GAMMADIST(C3,A$1,A$2,FALSE)) 4000
    """
    workbook = xl2torch.load(write_grid(tmp_path / "b.xlsx", grid))
    model = xl2torch.compile(
        workbook, objective="D1", variables="A1:A2", sense="max", constraints=["A1:A2 >= 0.001"]
    )
    result = xl2torch.fit(model, "lbfgs")
    shape, _, scale = stats.gamma.fit([2500.0, 7100.0, 4000.0], floc=0)
    right = stats.gamma.logpdf([2500.0, 7100.0, 4000.0], shape, scale=scale).sum()
    assert not result.stop.failed and result.final == pytest.approx(right, rel=1e-8)
    xl2torch.save(result, tmp_path / "out.xlsx")
