"""Standard errors where the objective is a log-likelihood: from its Hessian, and robust ones.

Asymptotic theory (Davidson and MacKinnon, Econometric Theory and Methods, 2004, chapter 10): the
covariance of the estimates is the inverse of minus the Hessian, exact here; where rows have
likelihoods of their own, the sandwich H⁻¹(Σ gᵢgᵢᵀ)H⁻¹ holds under a wrong distribution too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from xl2torch.cells.address import CellAddress, single_cell
from xl2torch.errors import ModelError, Xl2TorchError
from xl2torch.ir.facts import facts
from xl2torch.ir.naming import label
from xl2torch.ir.nodes import node_name
from xl2torch.ir.ops import operators_in
from xl2torch.model.jacobian import VectorFunction, jacobian, range_function, variable_shapes
from xl2torch.model.sheet_model import SheetModel, compile_range
from xl2torch.reports.kinds import STATISTICS
from xl2torch.reports.layout import Line, Shown, report_sheet, table, title, titles
from xl2torch.reports.outcome import ReportContext
from xl2torch.reports.statistics import CONFIDENCE, known
from xl2torch.workbook.write.new_sheet import NewSheet, Row, StyledValue

_LIKELIHOOD = re.compile(r"(?<!un)likel(?!y\b)|\bll\b|\bnll\b|deviance", re.IGNORECASE)
_WORDS = re.compile(r"entropy|log ?loss|\blog", re.IGNORECASE)
_TWICE = re.compile(
    r"(?<!half )(?<!half-)\bdeviance|(?<![\w.])[-\u2212]\s*2\s*[*\u00b7\u00d7x]?\s*(?:ll\b|log|ln)",
    re.IGNORECASE,
)
_OTHER_BASE = re.compile(r"\bLOG10\(|\bLOG\((?!.*EXP\(1\))", re.IGNORECASE)
_MOST_VARIABLES = 300
_SAME, _ASIDE = 1e-6, 1e-2
_HALF = (1.0, 0.5)
"""What a row adds may be its log-likelihood, up to a sign, or twice that."""


@dataclass(frozen=True)
class LikelyEstimate:
    """A variable cell, its standard error and a robust one; NaN where it is not determined."""

    cell: CellAddress
    name: str
    value: float
    error: float
    z: float
    p: float
    lower: float
    upper: float
    robust: float


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The content of a report; ``observations`` are None where rows depend on each other."""

    log_likelihood: float
    observations: int | None
    aic: float
    bic: float
    estimates: tuple[LikelyEstimate, ...]
    covariance: np.ndarray
    fixed: tuple[CellAddress, ...]


def is_likelihood(model: SheetModel) -> bool:
    """Whether the objective is a log-likelihood: its label says so, or it has logarithms and is
    maximised, or is called a loss of that kind."""
    if model.problem.sense not in ("min", "max"):
        return False
    text = label(model.compiled.workbook, single_cell(model.problem.objective))
    if _LIKELIHOOD.search(text):
        return True
    logs = any(row.is_logarithm for row in operators_in(model.graph))
    return logs and (model.problem.sense == "max" or bool(_WORDS.search(text)))


def likelihood(outcome: ReportContext) -> Likelihood:
    """Standard errors at a largest likelihood. Raises ModelError where they cannot be told."""
    from scipy.stats import norm

    model, point = outcome.result.model, outcome.point
    problem = model.problem
    if not is_likelihood(model):
        raise ModelError(
            f"the objective {problem.objective} is neither a sum of squares nor a log-likelihood: "
            "there are no statistics. Leave them out of `reports`"
        )
    if len(point) > _MOST_VARIABLES:
        raise ModelError(
            f"the Hessian of {len(point):,} variable cells is not computed for statistics: at most "
            f"{_MOST_VARIABLES}"
        )
    model.eval()
    _check_logarithms(model)
    scale, count, mean = _scale(model)
    function = VectorFunction(model, variable_shapes(model))

    def gradient(at: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.autograd.grad(function(at).sum(), at, create_graph=True)[0]
        return scale * found

    value = scale * float(function(point).detach())
    hessian = jacobian(gradient, point).numpy()
    lower, upper = outcome.limits
    free = ((point > lower) & (point < upper)).numpy()
    covariance = np.full(hessian.shape, np.nan)
    inverse = _inverse(-hessian[np.ix_(free, free)])
    covariance[np.ix_(free, free)] = inverse
    robust = np.full(len(point), np.nan)
    scores, factor = _scores(outcome, scale, value)
    if scores is None and not mean:
        factor = _outer_factor(model) * scale
    if not any(math.isclose(abs(factor), usual, rel_tol=_SAME) for usual in _HALF):
        raise ModelError(
            f"the objective {problem.objective} is neither a log-likelihood nor the mean of one: "
            f"it is a sum times {factor / scale:.6g}, and standard errors would be of that scale. "
            "Name a cell that is the sum over all rows, or leave statistics out of `reports`"
        )
    if scores is not None:
        middle = scores[:, free].T @ scores[:, free]
        robust[free] = np.sqrt(np.maximum(np.diag(inverse @ middle @ inverse), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(np.diag(covariance))
        ratios = point.numpy() / errors
    width = float(norm.ppf((1 + CONFIDENCE) / 2))
    estimates = tuple(
        LikelyEstimate(
            cell, name, number, error, z, float(2 * norm.sf(abs(z))), number - width * error,
            number + width * error, wide,
        )
        for cell, name, number, error, z, wide in zip(
            outcome.cells, outcome.names, point.tolist(), errors.tolist(), ratios.tolist(),
            robust.tolist(), strict=True,
        )
    )  # fmt: skip
    used = int(free.sum())
    return Likelihood(
        value, count, 2 * used - 2 * value,
        used * math.log(count) - 2 * value if count else math.nan, estimates, covariance,
        tuple(cell for cell, is_free in zip(outcome.cells, free.tolist(), strict=True)
              if not is_free),
    )  # fmt: skip


def _check_logarithms(model: SheetModel) -> None:
    """Raise ModelError where the objective is a likelihood itself, or of another logarithm."""
    cell = model.problem.objective
    for node in model.graph.nodes:
        formula = facts(node).formula or "" if node.op == "call_function" else ""
        if node_name(node) == "log10" or _OTHER_BASE.search(formula or ""):
            raise ModelError(
                f"the objective {cell} has logarithms to base 10: a log-likelihood has natural "
                "ones, LN(…). Write these, or leave statistics out of `reports`"
            )
    if node_name(_inner(model)[0]) in ("prod", "exp"):
        raise ModelError(
            f"the objective {cell} is a likelihood, not its logarithm: standard errors come from "
            "the sum of LN(…) of its rows. Name such a cell, or leave statistics out of `reports`"
        )


def _inner(model: SheetModel) -> tuple[fx.Node, float]:
    """What an objective is a constant times of, and that constant; inf for an unknown one."""
    (output,) = (node for node in model.graph.nodes if node.op == "output")
    (node,) = output.all_input_nodes
    factor = 1.0
    while True:
        name, inputs = node_name(node), node.all_input_nodes
        numbers = [item for item in node.args if isinstance(item, int | float)]
        if name == "where" and isinstance(node.args[1], fx.Node):
            node = node.args[1]
        elif name == "neg":
            node, factor = inputs[0], -factor
        elif name == "mul" and len(inputs) == len(numbers) == 1:
            node, factor = inputs[0], factor * numbers[0]
        elif name == "truediv" and len(inputs) == 1 and numbers and node.args[0] is inputs[0]:
            node, factor = inputs[0], factor / numbers[0]
        elif name == "reshape":
            node = inputs[0]
        else:
            return node, factor


def _outer_factor(model: SheetModel) -> float:
    """What the objective multiplies its terms by; inf for a mean, of nobody knows how many."""
    node, factor = _inner(model)
    return (
        math.inf if node_name(node) == "mean" or node.kwargs.get("reduction") == "mean" else factor
    )


def _scale(model: SheetModel) -> tuple[float, int | None, bool]:
    """What makes the objective the log-likelihood of all rows, how many these are, and whether it
    is a mean of them."""
    problem = model.problem
    sign = 1.0 if problem.sense == "max" else -1.0
    if _TWICE.search(label(model.compiled.workbook, single_cell(problem.objective))):
        sign /= 2
    try:
        rows = model.row_objective()
    except ModelError:
        return sign, None, False  # rows depend on each other, as in a time series
    count = rows.count - int(rows.left_out.sum())
    return sign * (1.0 if rows.is_sum else count), count, not rows.is_sum


def _inverse(information: np.ndarray) -> np.ndarray:
    """The inverse of the information; NaN where it has none. Raises ModelError at no maximum."""
    sizes = np.sqrt(np.abs(np.diag(information)))
    units = np.where(sizes > 0, sizes, 1.0)
    values, ways = np.linalg.eigh(information / np.outer(units, units))
    if values.min(initial=0.0) < -1e-6:
        raise ModelError(
            "the likelihood is at no maximum here (its curvature has the wrong sign), so there are "
            "no standard errors"
        )
    if values.min(initial=1.0) < 1e-12:
        raise ModelError(
            "the data do not determine all variable cells: the likelihood is flat in a direction, "
            "so there are no standard errors"
        )
    return np.asarray((ways / values) @ ways.T / np.outer(units, units))


def _scores(outcome: ReportContext, scale: float, value: float) -> tuple[np.ndarray | None, float]:
    """The gradient of each row's log-likelihood, None where rows have none of their own, and what
    a row's cell is multiplied by."""
    model = outcome.result.model
    try:
        rows = model.row_objective()
        given = {item.cells: model.parameter(item).detach().reshape(-1) for item in model.variables}
        module = compile_range(model.compiled.workbook, rows.cells, given)
    except Xl2TorchError:
        return None, 1.0
    if module is None:
        return None, 1.0
    function = range_function(module, len(given))
    point, whole = outcome.point, VectorFunction(model, variable_shapes(model))
    with torch.no_grad():
        factor = value / float(function(point).sum())
        aside = point + _ASIDE * point.abs().clamp_min(_ASIDE)
        there, rows_there = scale * float(whole(aside)), factor * float(function(aside).sum())
    if not math.isclose(there, rows_there, rel_tol=_SAME):
        return None, 1.0  # the objective is more than a sum of these rows
    return np.asarray(factor * jacobian(function, point).numpy()), factor


# ---------------------------------------------------------------- the sheet


def likelihood_sheet(outcome: ReportContext, name: str) -> NewSheet:
    """The report as a sheet."""
    found = likelihood(outcome)
    sheet, formats = outcome.problem.sheet, outcome.formats
    facts: list[Line] = [
        [None, "Log-Likelihood", found.log_likelihood],
        [None, "Akaike (AIC)", found.aic],
        [None, "Bayes (BIC)", known(found.bic)],
        [None, "Observations", "not told" if found.observations is None
         else float(found.observations)],
    ]  # fmt: skip
    percent = f"{CONFIDENCE:.0%}"
    heads = ["Cell", "Name", "Final Value", "Standard Error", "z Stat", "P-value",
             f"Lower {percent}", f"Upper {percent}", "Robust Error"]  # fmt: skip
    lines: list[Line] = [
        [item.cell.absolute(sheet), item.name, Shown(item.value, formats[item.cell]),
         *map(known, (item.error, item.z, item.p, item.lower, item.upper, item.robust))]
        for item in found.estimates
    ]  # fmt: skip
    notes = ["Standard errors by the exact Hessian of the log-likelihood."]
    if found.fixed:
        at_bounds = ", ".join(cell.a1 for cell in found.fixed)
        notes.append(f"At a bound, and taken for constants: {at_bounds}.")
    rows: list[Row] = [
        *titles(STATISTICS, outcome), [], [], title("Likelihood Statistics"),
        *table([["", "Statistic", "Value"]], facts), [], title("Variable Cells"),
        *table([heads], lines), [], *[[None, StyledValue(text, "note")] for text in notes],
    ]  # fmt: skip
    return report_sheet(name, rows)
