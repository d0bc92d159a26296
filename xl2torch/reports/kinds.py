"""The kinds of reports, and the names of their sheets; Solver's own where Solver has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xl2torch.errors import SelectionError

TRAINING = "Training Report"
ANSWER = "Answer Report"
SENSITIVITY = "Sensitivity Report"
LIMITS = "Limits Report"
STATISTICS = "Regression Report"
GRADIENTS = "Gradient Check"
REPORTS: Mapping[str, str] = {
    "training": TRAINING,
    "answer": ANSWER,
    "sensitivity": SENSITIVITY,
    "limits": LIMITS,
    "statistics": STATISTICS,
    "gradients": GRADIENTS,
}
DEFAULT_REPORTS = ("training", "answer")


def chosen_reports(names: str | Sequence[str]) -> tuple[str, ...]:
    """Kinds of reports from a list, ``all`` or ``none``, in the order of REPORTS.

    Raises SelectionError.
    """
    texts = [names] if isinstance(names, str) else names
    wanted = [name.strip() for text in texts for name in text.split(",")]
    if wanted in (["all"], ["none"]):
        return tuple(REPORTS) if wanted == ["all"] else ()
    unknown = [name for name in wanted if name not in REPORTS]
    if unknown:
        raise SelectionError(
            f"no report {', '.join(map(repr, unknown))}: there are {', '.join(REPORTS)}, "
            "or all, or none"
        )
    return tuple(name for name in REPORTS if name in wanted)
