"""Reports as pandas frames: what the sheets hold, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from xl2torch.errors import SelectionError
from xl2torch.reports.answer import answer
from xl2torch.reports.likelihood import Likelihood, is_likelihood, likelihood
from xl2torch.reports.limits import limits
from xl2torch.reports.outcome import ReportContext
from xl2torch.reports.sensitivity import sensitivity
from xl2torch.reports.statistics import Statistics, statistics
from xl2torch.training.present import takes_models
from xl2torch.training.result import Result

if TYPE_CHECKING:
    import pandas

FRAMES = ("answer", "sensitivity", "limits", "statistics")


@takes_models
def report(result: Result, kind: str) -> dict[str, pandas.DataFrame]:
    """Give the tables of a report by name, as Solver's report has them.

    Args:
        result: What ``fit`` gives; or a model, whose present parameters it is about.
        kind: ``answer``, ``sensitivity``, ``limits`` or ``statistics``. The history of a run is
            ``result.history``, a gradient check ``xl2torch.gradcheck``.

    Returns:
        Data frames by name; cells are addresses such as ``Model!B5``, numbers in the unit of the
        cells.

    Raises:
        SelectionError: No such report.
        ModelError: It makes no sense for this model.

    Example:
        >>> tables = xl2torch.report(xl2torch.fit("workbooks/line.xlsx"), "answer")
        >>> list(tables), tables["variables"]["cell"].tolist()
        (['objective', 'variables', 'constraints'], ['Model!B5', 'Model!B6'])
    """
    outcome = ReportContext.of(result)
    if kind == "answer":
        found = answer(outcome)
        return {
            "objective": _frame([found.objective] if found.objective else []),
            "variables": _frame(found.variables),
            "constraints": _frame(found.constraints),
        }
    if kind == "sensitivity":
        slopes = sensitivity(outcome)
        return {"variables": _frame(slopes.variables), "constraints": _frame(slopes.constraints)}
    if kind == "limits":
        return {"variables": _frame(limits(outcome).variables)}
    if kind == "statistics" and is_likelihood(outcome.result.model):
        return _likelihood(likelihood(outcome))
    if kind == "statistics":
        return _statistics(statistics(outcome))
    raise SelectionError(f"no report {kind!r}: there are {', '.join(FRAMES)}")


def _likelihood(found: Likelihood) -> dict[str, pandas.DataFrame]:
    import pandas

    cells = [str(item.cell) for item in found.estimates]
    facts = ("log_likelihood", "observations", "aic", "bic")
    return {
        "fit": pandas.DataFrame([{name: getattr(found, name) for name in facts}]),
        "variables": _frame(found.estimates),
        "covariance": pandas.DataFrame(found.covariance, cells, cells),
    }


def _statistics(found: Statistics) -> dict[str, pandas.DataFrame]:
    import pandas

    cells = [str(item.cell) for item in found.estimates]
    facts = ("form", "observations", "freedom", "squares", "deviation", "r_square")
    return {
        "fit": pandas.DataFrame([{name: getattr(found, name) for name in facts}]),
        "variables": _frame(found.estimates),
        "covariance": pandas.DataFrame(found.covariance, cells, cells),
        "correlation": pandas.DataFrame(found.correlation, cells, cells),
    }


def _frame(lines: Iterable[Any]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame([_plain(vars(line)) for line in lines])


def _plain(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "cell": str(line["cell"])}
