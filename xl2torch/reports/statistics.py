"""Regression statistics: how well the data determine the variables of a least-squares fit.

Linear approximation at the solution (Bates and Watts, Nonlinear Regression Analysis and Its
Applications, 1988, chapter 2): covariance s²(JᵀJ)⁻¹ with the exact Jacobian J of the residuals and
s² = Σr²/(n − rank J); the certified standard deviations of NIST's nonlinear datasets are these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from xl2torch.analysis.residuals import Residuals, find_residuals
from xl2torch.cells.address import CellAddress
from xl2torch.cells.values import NA, CellValue
from xl2torch.errors import ModelError
from xl2torch.model.jacobian import jacobian
from xl2torch.model.sheet_model import SheetModel
from xl2torch.reports.kinds import STATISTICS
from xl2torch.reports.layout import Line, Shown, report_sheet, table, title, titles
from xl2torch.reports.outcome import ReportContext
from xl2torch.workbook.write.new_sheet import NewSheet, Row, StyledValue

CONFIDENCE = 0.95
_MOST = 50
"""Variable cells for which the matrices are written."""
_MOST_NUMBERS = 50_000_000
"""Numbers in a Jacobian that is still computed: 400 MB."""


@dataclass(frozen=True)
class Estimate:
    """A variable cell and what the data say of it; NaN where they do not determine it."""

    cell: CellAddress
    name: str
    value: float
    error: float
    t: float
    p: float
    lower: float
    upper: float


@dataclass(frozen=True, eq=False)
class Statistics:
    """The content of a Regression Report.

    ``fixed`` cells are at a bound, and taken for constants. ``undetermined`` are those whose change
    others can make up for; the degrees of freedom count what is determined.
    """

    form: str
    observations: int
    freedom: int
    squares: float
    deviation: float
    r_square: float
    estimates: tuple[Estimate, ...]
    fixed: tuple[CellAddress, ...]
    undetermined: tuple[CellAddress, ...]
    covariance: np.ndarray
    correlation: np.ndarray


def check_residuals(model: SheetModel) -> Residuals:
    """Residuals of the objective. Raises ModelError where it is no sum of squares."""
    model.problem.require_objective("a Statistics Report")
    residuals = find_residuals(model)
    if residuals is None:
        raise ModelError(
            f"the objective {model.problem.objective} is no sum, mean or root mean of squared "
            "residuals: there are no regression statistics. Leave them out of `reports`"
        )
    return residuals


def statistics(outcome: ReportContext) -> Statistics:
    """Standard errors and their kin at the result. Raises ModelError: not that kind of objective,
    or no more observations than variables."""
    from scipy.stats import t as student

    model, point = outcome.result.model, outcome.point
    model.eval()
    residuals = check_residuals(model)
    errors = residuals.function(point).detach()
    if len(errors) * len(point) > _MOST_NUMBERS:
        raise ModelError(
            f"the Jacobian of {len(errors):,} residuals by {len(point):,} variable cells is too "
            "large for regression statistics"
        )
    slopes = jacobian(residuals.function, point)
    if not bool(torch.isfinite(slopes).all()):
        raise ModelError(
            "a residual has no finite derivative at the solution (the edge of a root or a "
            "logarithm): there are no regression statistics"
        )
    free = _free(outcome)
    inverse, rank = _inverse(slopes[:, free].numpy())
    count, freedom = len(errors), len(errors) - rank
    if freedom < 1 or not rank:
        raise ModelError(
            f"there are {count:,} residuals for {int(free.sum()):,} variable cells that are "
            "at no bound: too few for regression statistics"
        )
    squares = float((errors**2).sum())
    variance = squares / freedom
    covariance = np.full((len(point), len(point)), np.nan)
    covariance[np.ix_(free.numpy(), free.numpy())] = variance * inverse
    deviations = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(deviations, deviations)
        ratio = point.numpy() / deviations
    np.fill_diagonal(correlation, np.where(np.isnan(deviations), np.nan, 1.0))
    width = float(student.ppf((1 + CONFIDENCE) / 2, freedom))
    estimates = []
    for place, (cell, name) in enumerate(zip(outcome.cells, outcome.names, strict=True)):
        value, error, t = float(point[place]), float(deviations[place]), float(ratio[place])
        chance = float(2 * student.sf(abs(t), freedom)) if not math.isnan(t) else math.nan
        estimates.append(
            Estimate(cell, name, value, error, t, chance, value - width * error,
                     value + width * error)
        )  # fmt: skip
    unknown = np.isnan(deviations) & free.numpy()
    return Statistics(
        residuals.form(count), count, freedom, squares, math.sqrt(variance),
        _r_square(residuals, squares), tuple(estimates),
        tuple(cell for cell, is_free in zip(outcome.cells, free.tolist(), strict=True)
              if not is_free),
        tuple(cell for cell, is_unknown in zip(outcome.cells, unknown, strict=True) if is_unknown),
        covariance, correlation,
    )  # fmt: skip


def _free(outcome: ReportContext) -> torch.Tensor:
    """Which variable cells are at no bound."""
    lower, upper = outcome.limits
    return (outcome.point > lower) & (outcome.point < upper)


def _inverse(slopes: np.ndarray) -> tuple[np.ndarray, int]:
    """(JᵀJ)⁻¹ and the rank, from the singular values of J with columns of length 1.

    NaN in rows and columns of what the data do not determine: directions without a singular value.
    """
    lengths = np.linalg.norm(slopes, axis=0)
    scale = np.where(lengths > 0, lengths, 1.0)
    _, sizes, directions = np.linalg.svd(slopes / scale, full_matrices=False)
    floor = max(slopes.shape) * np.finfo(float).eps * max(sizes.max(initial=0.0), 1.0)
    known = sizes > floor
    weighted = directions[known] / sizes[known, None]
    inverse = (weighted.T @ weighted) / np.outer(scale, scale)
    lost = (np.abs(directions[~known]) > 1e-6).any(0) | (lengths == 0)
    inverse[lost, :] = inverse[:, lost] = np.nan
    return np.asarray(inverse), int(known.sum())


def _r_square(residuals: Residuals, squares: float) -> float:
    """1 − Σr²/Σ(y − ȳ)²; NaN where the observed values are not known."""
    if residuals.observed is None:
        return math.nan
    observed = residuals.observed
    spread = float(((observed - observed.mean()) ** 2).sum())
    return 1 - squares / spread if spread else math.nan


# ---------------------------------------------------------------- the sheet


def statistics_sheet(outcome: ReportContext, name: str) -> NewSheet:
    """The Regression Report as a sheet."""
    found = statistics(outcome)
    sheet = outcome.problem.sheet
    formats = outcome.formats
    facts: list[Line] = [
        [None, "Objective", found.form],
        [None, "R Square", known(found.r_square)],
        [None, "Residual Standard Deviation", found.deviation],
        [None, "Residual Sum of Squares", found.squares],
        [None, "Degrees of Freedom", float(found.freedom)],
        [None, "Observations", float(found.observations)],
    ]
    rows: list[Row] = [*titles(STATISTICS, outcome), [], []]
    rows += [title("Regression Statistics"), *table([["", "Statistic", "Value"]], facts), []]
    percent = f"{CONFIDENCE:.0%}"
    heads = ["Cell", "Name", "Final Value", "Standard Error", "t Stat", "P-value",
             f"Lower {percent}", f"Upper {percent}"]  # fmt: skip
    lines: list[Line] = []
    for item in found.estimates:
        same = formats[item.cell]
        numbers = (item.error, item.t, item.p, item.lower, item.upper)
        lines.append(
            [item.cell.absolute(sheet), item.name, Shown(item.value, same), *map(known, numbers)]
        )
    rows += [title("Variable Cells"), *table([heads], lines), []]
    told = [n for n, item in enumerate(found.estimates) if not math.isnan(item.error)]
    cells = [found.estimates[n].cell.absolute(sheet) for n in told]
    if 0 < len(cells) <= _MOST:
        for text, matrix in (
            ("Covariance", found.covariance), ("Correlation", found.correlation),
        ):  # fmt: skip
            body: list[Line] = [
                [cell, found.estimates[n].name, *matrix[n, told].tolist()]
                for cell, n in zip(cells, told, strict=True)
            ]
            rows += [title(text), *table([["Cell", "Name", *cells]], body), []]
    return report_sheet(name, [*rows, *_remarks(found, len(cells))])


def _remarks(found: Statistics, count: int) -> list[Row]:
    def named(cells: tuple[CellAddress, ...]) -> str:
        shown = ", ".join(cell.a1 for cell in cells[:10])
        return shown + (", …" if len(cells) > 10 else "")

    texts = []
    if found.undetermined:
        texts.append(f"The data do not determine {named(found.undetermined)}: others can make up "
                     "for their change.")  # fmt: skip
    if found.fixed:
        texts.append(f"At a bound, and taken for constants: {named(found.fixed)}.")
    if math.isnan(found.r_square):
        texts.append("No R Square: the residuals are no differences from constant observations.")
    if count > _MOST:
        texts.append(f"The matrices of more than {_MOST} cells are left out.")
    return [[None, StyledValue(text, "note")] for text in texts]


def known(number: float) -> CellValue:
    """A number as a cell holds it: #N/A where it is none."""
    return NA if math.isnan(number) else number
