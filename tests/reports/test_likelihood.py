"""Standard errors of likelihoods, against closed forms and the same model written in torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from grids import write_grid
from judges import cached_values

import xl2torch
from xl2torch.errors import ModelError
from xl2torch.reports.likelihood import _TWICE, is_likelihood

RANDOM = np.random.default_rng(7)
N = 60
X = RANDOM.normal(size=N).round(3)
LOGIT = (RANDOM.random(N) < 1 / (1 + np.exp(-(0.5 + X)))).astype(int)
COUNTS = RANDOM.poisson(np.exp(0.3 + 0.6 * X))
TIMES = (RANDOM.weibull(1.6, N) * 2.0).round(4) + 0.001
RETURNS = (RANDOM.normal(size=N) * 0.02).round(5)

FORMULAS = {
    # a row's log-likelihood, by weights in A1:B1, x in A, y in B
    "logit": ("=B{r}*LN(1/(1+EXP(-($A$1+$B$1*A{r}))))+(1-B{r})*LN(1-1/(1+EXP(-($A$1+$B$1*A{r}))))",
              LOGIT, (0.1, 0.1)),
    "poisson": ("=B{r}*($A$1+$B$1*A{r})-EXP($A$1+$B$1*A{r})-GAMMALN(B{r}+1)", COUNTS, (0.1, 0.1)),
    "weibull": ("=LN($A$1/$B$1)+($A$1-1)*LN(B{r}/$B$1)-(B{r}/$B$1)^$A$1", TIMES, (1.0, 1.5)),
}  # fmt: skip


def torch_rows(kind: str, w: torch.Tensor) -> torch.Tensor:
    """Log-likelihoods of the rows, in torch."""
    x, y = torch.tensor(X), torch.tensor(np.asarray(FORMULAS[kind][1], dtype=float))
    line = w[0] + w[1] * x
    if kind == "logit":
        return y * torch.nn.functional.logsigmoid(line) + (1 - y) * torch.nn.functional.logsigmoid(
            -line
        )
    if kind == "poisson":
        return y * line - torch.exp(line) - torch.lgamma(y + 1)
    return torch.log(w[0] / w[1]) + (w[0] - 1) * torch.log(y / w[1]) - (y / w[1]) ** w[0]


def book(folder: Path, kind: str, total: str, name: str) -> xl2torch.SheetModel:
    formula, y, starts = FORMULAS[kind]
    lines = [f"{starts[0]} {starts[1]} {name} {total}", "x y . ll"]
    lines += [f"{X[n]} {y[n]} . {formula.format(r=n + 3)}" for n in range(N)]
    return xl2torch.compile(
        write_grid(folder / "b.xlsx", "\n".join(lines)), objective="D1", variables="A1:B1",
        sense="max" if not total.startswith("=-") else "min",
    )  # fmt: skip


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize(
    ("total", "name"),
    [(f"=SUM(D3:D{N + 2})", "LL"), (f"=-AVERAGE(D3:D{N + 2})", "NLL"),
     (f"=-2*SUM(D3:D{N + 2})", "Deviance")],
)  # fmt: skip
def test_as_written_in_torch(kind: str, total: str, name: str, tmp_path: Path) -> None:
    """A sum that is maximised, a mean of minus it, minus twice it: the same errors."""
    model = book(tmp_path, kind, total, name)
    result = xl2torch.fit(model)
    assert not result.stop.failed and is_likelihood(model)
    tables = xl2torch.report(result, "statistics")
    point = torch.tensor(list(model.cell_values().values()), dtype=torch.float64)

    def whole(w: torch.Tensor) -> torch.Tensor:
        return torch_rows(kind, w).sum()

    hessian = torch.autograd.functional.hessian(whole, point)  # type: ignore[no-untyped-call]
    inverse = torch.linalg.inv(-hessian)
    scores = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda w: torch_rows(kind, w), point
    )
    robust = (inverse @ scores.T @ scores @ inverse).diagonal().sqrt()
    found = tables["variables"]
    assert found["error"].to_numpy() == pytest.approx(inverse.diagonal().sqrt().numpy(), rel=1e-6)
    assert found["robust"].to_numpy() == pytest.approx(robust.numpy(), rel=1e-6)
    fit = tables["fit"].iloc[0]
    assert fit["log_likelihood"] == pytest.approx(float(whole(point)), rel=1e-9)
    assert fit["aic"] == pytest.approx(4 - 2 * float(whole(point)))
    assert fit["bic"] == pytest.approx(2 * math.log(N) - 2 * float(whole(point)))


@pytest.mark.parametrize(
    ("total", "name", "words"),
    [
        (f"=SUM(D3:D{N + 2})/1000", "LL", "it is a sum times 0.001"),
        (f"=2*SUM(D3:D{N + 2})", "LL", "it is a sum times 2"),
        ("=SUM(D3:D62)/41", "LL", "it is a sum times 0.024"),
        ("=EXP(SUM(D3:D62))", "Likelihood", "a likelihood, not its logarithm"),
        ("=SUM(D3:D62)/LN(10)+LOG10(EXP(0*A1))", "LL", "logarithms to base 10"),
    ],
)
def test_what_is_of_another_scale_is_refused(
    total: str, name: str, words: str, tmp_path: Path
) -> None:
    model = book(tmp_path, "poisson", total, name)
    with pytest.raises(ModelError, match=words):
        xl2torch.report(model, "statistics")


@pytest.mark.parametrize(
    ("text", "twice"),
    [("Deviance", True), ("-2LL", True), ("−2 log likelihood", True), ("-2*LL", True),
     ("half deviance", False), ("LL -2022", False), ("log-likelihood", False)],
)  # fmt: skip
def test_twice_by_its_label(text: str, twice: bool) -> None:
    assert bool(_TWICE.search(text)) == twice


def test_unlikely_is_no_likelihood(tmp_path: Path) -> None:
    text = "1 2 unlikely =(A1-1)^4+(B1-2)^2*A1"
    model = xl2torch.compile(write_grid(tmp_path / "b.xlsx", text), objective="D1",
                             variables="A1:B1")  # fmt: skip
    assert not is_likelihood(model)


def test_a_mean_of_rows_that_depend_on_each_other_is_refused(tmp_path: Path) -> None:
    lines = ["0.5 . LL =AVERAGE(C3:C62)", "r h ll"]
    for n in range(N):
        r = n + 3
        h = "0.0004" if n == 0 else f"=0.0001+$A$1*B{r - 1}"
        lines.append(f"{RETURNS[n]} {h} =-0.5*(LN(B{r})+A{r}^2/B{r})")
    model = xl2torch.compile(write_grid(tmp_path / "b.xlsx", "\n".join(lines)), objective="D1",
                             variables="A1", sense="max")  # fmt: skip
    with pytest.raises(ModelError, match="it is a sum times"):
        xl2torch.report(xl2torch.fit(model), "statistics")


def test_the_closed_form_of_a_logit(tmp_path: Path) -> None:
    """(XᵀWX)⁻¹ with W = p(1-p), as every package has it."""
    model = book(tmp_path, "logit", f"=SUM(D3:D{N + 2})", "LL")
    found = xl2torch.report(xl2torch.fit(model), "statistics")["variables"]
    a, b = model.cell_values().values()
    p = 1 / (1 + np.exp(-(a + b * X)))
    design = np.stack([np.ones(N), X], axis=1)
    wanted = np.sqrt(np.diag(np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))))
    assert found["error"].to_numpy() == pytest.approx(wanted, rel=1e-7)
    z = found["value"] / found["error"]
    assert found["z"].to_numpy() == pytest.approx(z.to_numpy())
    assert (found["upper"] - found["lower"]).to_numpy() == pytest.approx(
        2 * 1.959963984540054 * wanted, rel=1e-7
    )


def test_a_time_series(tmp_path: Path) -> None:
    """GARCH(1,1): each row's variance needs the row before, so there are no robust errors."""
    lines = ["0.0001 0.1 0.8 =SUM(D3:D62) LL", "r . h ll"]
    for n in range(N):
        r = n + 3
        h = "=VAR($A$3:$A$62)" if n == 0 else f"=$A$1+$B$1*A{r - 1}^2+$C$1*C{r - 1}"
        lines.append(f"{RETURNS[n]} . {h} =-0.5*(LN(2*PI()*C{r})+A{r}^2/C{r})")
    model = xl2torch.compile(
        write_grid(tmp_path / "b.xlsx", "\n".join(lines)), objective="D1", variables="A1:C1",
        sense="max", constraints=["A1 >= 0.00001", "B1 >= 0.001", "C1 >= 0.001", "C1 <= 0.999"],
    )  # fmt: skip
    result = xl2torch.fit(model)
    found = xl2torch.report(result, "statistics")["variables"]
    point = torch.tensor(list(model.cell_values().values()), dtype=torch.float64)
    returns = torch.tensor(RETURNS)

    def whole(w: torch.Tensor) -> torch.Tensor:
        h, total = returns.var(), torch.zeros((), dtype=torch.float64)
        for n in range(N):
            if n:
                h = w[0] + w[1] * returns[n - 1] ** 2 + w[2] * h
            total = total - 0.5 * (torch.log(2 * math.pi * h) + returns[n] ** 2 / h)
        return total

    hessian = torch.autograd.functional.hessian(whole, point)  # type: ignore[no-untyped-call]
    free = ~torch.isnan(torch.tensor(found["error"].to_numpy()))
    inverse = torch.linalg.inv(-hessian[free][:, free])
    errors = found["error"].to_numpy()[free.numpy()]
    assert errors == pytest.approx(inverse.diagonal().sqrt().numpy(), rel=1e-5)
    assert found["robust"].isna().all()


def test_the_sheet(tmp_path: Path) -> None:
    model = book(tmp_path, "poisson", f"=SUM(D3:D{N + 2})", "LL")
    xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx", reports="statistics")
    held = cached_values(tmp_path / "out.xlsx")
    texts = {value for (sheet, _), value in held.items() if sheet == "Regression Report 1"}
    assert {"Likelihood Statistics", "Log-Likelihood", "Robust Error", "z Stat"} <= texts


def test_a_point_that_is_no_maximum(tmp_path: Path) -> None:
    text = "1 . Log =LN(2+SIN(A1))"
    model = xl2torch.compile(write_grid(tmp_path / "b.xlsx", text), objective="D1",
                             variables="A1", sense="max")  # fmt: skip
    with torch.no_grad():
        next(iter(model.parameters())).fill_(-1.5)
    with pytest.raises(ModelError, match="at no maximum here"):
        xl2torch.report(model, "statistics")


def test_what_is_neither(tmp_path: Path) -> None:
    text = "1 2 =(A1-1)^4+(B1-2)^2*A1"
    model = xl2torch.compile(write_grid(tmp_path / "b.xlsx", text), objective="C1",
                             variables="A1:B1")  # fmt: skip
    assert not is_likelihood(model)
    with pytest.raises(ModelError, match="no sum, mean or root mean of squared"):
        xl2torch.report(model, "statistics")
