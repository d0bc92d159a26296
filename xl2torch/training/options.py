"""The options of a training: one value, from which ``fit``, the command line, the settings in
reports and docs/training.md are made.

In: what a user gives, in Python or by flags. Out: ``FitOptions``, whose fields are the options. To
add one, add a field here and use it where it takes effect.

>>> FitOptions(epochs=5, lr=0.1).given
{'lr': 0.1, 'epochs': 5}
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypedDict

from xl2torch.errors import SelectionError

MOST_STARTS = 10_000
_WHOLE = "a whole number"


@dataclass(frozen=True)
class Option:
    """What is said of an option: ``help`` for people, ``label`` in reports ('' for none there).

    ``kind`` is the type of its value, of one value where it ``repeats``. A number is ``least`` or
    more, or ``above``, and at most ``most`` or ``below``. ``flag`` is its name on the command line
    where that differs. ``part`` is what it is about: engine, rows or start. ``remembered``: a
    trained workbook keeps it for the next run; ``always``: reports have it, whatever it is.
    """

    help: str
    kind: type = str
    label: str = ""
    flag: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    part: str = "engine"
    remembered: bool = True
    always: bool = False


def _option(default: Any, help: str, kind: type = str, **known: Any) -> Any:
    """A field of ``FitOptions``."""
    metadata = {"option": Option(help, kind, **known)}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How to train. What is None is left to the stored Solver model, or to us.

    Args:
        {options}

    Raises:
        SelectionError: From ``fit``, for values that make no sense.

    Example:
        >>> options = xl2torch.FitOptions(optimizer="adam", lr=0.1, epochs=50)
        >>> xl2torch.fit("workbooks/line.xlsx", options=options).epochs
        50
    """

    optimizer: str | None = _option(
        None, "One of torch.optim (sgd, momentum, adam, adamw, rmsprop, adagrad, nadam, lbfgs, "
        "...), or least-squares, l-bfgs-b, slsqp, trust-constr, highs (scipy). [default: what "
        "fits the model; it is printed with the reason]", metavar="NAME",
    )  # fmt: skip
    engine: str = _option(
        "auto", "Where the optimizer is chosen from.", choices=("auto", "torch", "scipy")
    )
    lr: float | None = _option(
        None, "Learning rate [default: 1 for lbfgs, else 0.01].", float, above=0,
        label="Learning rate", always=True,
    )  # fmt: skip
    arguments: Mapping[str, object] = _option(
        {}, "An argument of the optimizer of torch, such as weight_decay=0.01; repeatable.",
        flag="set", metavar="KEY=VALUE", repeats=True,
    )  # fmt: skip
    schedule: str = _option(
        "", "A learning-rate schedule of torch with its arguments, such as cosine-annealing, "
        "one-cycle or step,step_size=100,gamma=0.5.", metavar="NAME", label="Schedule",
    )  # fmt: skip
    clip_norm: float | None = _option(
        None, "Shorten longer gradients to this length.", float, above=0,
        label="Gradient clipped",
    )  # fmt: skip
    clip_value: float | None = _option(
        None, "Limit of each element of the gradient.", float, above=0,
        label="Elements clipped",
    )  # fmt: skip
    epochs: int | None = _option(
        None, "Most iterations [default: the stored limit, else 2000 for lbfgs and scipy, 1000 for "
        "others].", int, least=0, remembered=False,
    )  # fmt: skip
    max_time: float | None = _option(
        None, "Stop after this time [default: the stored limit].", float, above=0,
        metavar="SECONDS", label="Most seconds", remembered=False,
    )  # fmt: skip
    convergence: float | None = _option(
        None, "Solver's rule: stop when the objective changed by less, relative to itself, in each "
        "of five iterations [default: 1e-12].", float, least=0, below=1, metavar="X",
    )  # fmt: skip
    tolerance: float | None = _option(
        None, "Stop a search for whole numbers within this share of the best possible objective, 0 "
        "at the best itself [default: as stored, else 0, or 0.01 after 30 s].", float, least=0,
        below=1, metavar="X",
    )  # fmt: skip
    compile: bool = _option(
        False, "Use torch.compile where a compiler is present and a compiled step is faster.", bool,
        remembered=False,
    )  # fmt: skip
    device: str = _option(
        "cpu", "Where objective and gradient are computed, such as cuda; weights and result stay "
        "in float64 on the CPU.", label="Device", remembered=False,
    )  # fmt: skip
    dtype: str = _option(
        "float64", "The precision they are computed in.", choices=("float64", "float32"),
        label="Precision", remembered=False,
    )  # fmt: skip
    starts: int | None = _option(
        None, "Train from N start points at once and keep the best [default: as stored].", int,
        least=1, most=MOST_STARTS, metavar="N", label="Starts",
    )  # fmt: skip
    batch_size: int | None = _option(
        None, "A step for each N rows of the sheet, drawn anew in each epoch; an iteration is then "
        "an epoch, and adam the default optimizer.", int, least=1, metavar="N",
        label="Rows in a batch", part="rows",
    )  # fmt: skip
    shuffle: bool = _option(
        True, "Draw the order of the rows, or keep it.", bool, label="Rows shuffled", part="rows"
    )
    validation: str = _option(
        "", "Hold rows back: a fraction (0.2), rows (A500:A715), or a column and its text "
        "(Split=valid). The answer is the point that is best on these.", metavar="WHICH",
        label="Held back", part="rows",
    )  # fmt: skip
    metric: str = _option(
        "", "Follow accuracy, error_rate or a cell on the rows trained on and held back.",
        metavar="NAME", label="Metric", part="rows",
    )  # fmt: skip
    patience: int | None = _option(
        None, "Stop, or go to the next stage, after N iterations (epochs) without a better point.",
        int, least=1, metavar="N", label="Patience", part="rows",
    )  # fmt: skip
    freeze: Sequence[str] = _option(
        (), "Variable cells that keep their values; repeatable.", metavar="RANGE", repeats=True,
        label="Frozen", part="rows",
    )  # fmt: skip
    stages: Sequence[str] = _option(
        (), "Train these cells only, for so many epochs, then the next stage: "
        '"B24:C26=1" and then "all=2"; repeatable.', flag="stage", metavar="RANGE=EPOCHS",
        repeats=True, label="Stages", part="rows",
    )  # fmt: skip
    dropout_off: bool = _option(
        False, "Judge the weights without the dropout of random cells, as torch does.", bool,
        label="Dropout off", part="rows",
    )  # fmt: skip
    init: str = _option(
        "present", "Start values of the variable cells.", part="start", remembered=False,
        label="Start values", always=True,
        choices=("present", "file", "normal", "uniform", "zeros"),
    )  # fmt: skip
    seed: int | None = _option(
        None, "Seed of drawn start values, of random cells and of the order of rows.", int, least=0,
        most=2**63 - 1, part="start", remembered=False, label="Seed", always=True,
    )  # fmt: skip

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not as they are by default."""
        return {
            name: getattr(self, name)
            for name, item in _fields().items()
            if getattr(self, name) != _default(item)
        }

    @property
    def by_rows(self) -> bool:
        """Whether rows of the sheet are told apart."""
        return self.batch_size is not None or bool(self.validation or self.metric)

    @property
    def is_whole(self) -> bool:
        """Whether it is about all rows and all variable cells, as Solver's models are."""
        return not (self.by_rows or self.stages)


class FitKeywords(TypedDict, total=False):
    """The fields of ``FitOptions`` as keywords of ``fit``; a test holds the two together."""

    engine: str
    lr: float | None
    arguments: Mapping[str, object]
    schedule: str
    clip_norm: float | None
    clip_value: float | None
    epochs: int | None
    max_time: float | None
    convergence: float | None
    tolerance: float | None
    compile: bool
    device: str
    dtype: str
    starts: int | None
    batch_size: int | None
    shuffle: bool
    validation: str | float
    metric: str
    patience: int | None
    freeze: str | Sequence[str]
    stages: str | Sequence[str]
    dropout_off: bool
    init: str
    seed: int | None


def _fields() -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(FitOptions)}


def _default(item: Field[Any]) -> Any:
    return {} if item.default_factory is dict else item.default


OPTIONS: Mapping[str, Option] = {name: item.metadata["option"] for name, item in _fields().items()}
"""What is said of each option, by its name."""


def flag_of(name: str) -> str:
    """The flag of an option on the command line."""
    return f"--{OPTIONS[name].flag or name.replace('_', '-')}"


def fit_options(options: FitOptions | None, given: Mapping[str, Any]) -> FitOptions:
    """Options, with keywords in the place of some. Raises SelectionError, TypeError (no option)."""
    for name in given:
        if name not in OPTIONS:
            raise TypeError(f"fit() has no option {name!r}; there are {', '.join(OPTIONS)}")
    if not isinstance(options, FitOptions | None):
        raise TypeError(f"options are xl2torch.FitOptions, not {options!r}")
    known = {} if options is None else options.given
    found = FitOptions(**{**known, **{name: _plain(name, item) for name, item in given.items()}})
    for name, option in OPTIONS.items():
        _check(name, option, getattr(found, name))
    if found.stages and found.epochs is not None:
        raise SelectionError("`stages` say how many epochs: leave out `epochs`")
    if (found.by_rows or found.stages or found.patience) and (found.starts or 1) > 1:
        raise SelectionError(
            "`starts` trains on all rows and all variable cells to the end: leave out "
            "`batch_size`, `validation`, `metric`, `stages` and `patience`"
        )
    return found


def _plain(name: str, value: Any) -> Any:
    """A value in the one form that its option has: a share is a text, a single text a list."""
    if OPTIONS[name].repeats and name != "arguments":
        return (value,) if isinstance(value, str) else tuple(value)
    if name == "arguments":
        return dict(value or {})
    is_text = OPTIONS[name].kind is str and value is not None
    return str(value) if is_text and not isinstance(value, bool) else value


def _check(name: str, option: Option, value: Any) -> None:
    """Raise SelectionError for a number that makes no sense, or a word that is no choice."""
    if option.kind not in (int, float) or value is None:
        return
    wanted = _wanted(option)
    kinds = int if option.kind is int else (int, float)
    inside = isinstance(value, kinds) and not isinstance(value, bool) and (
        (option.least is None or value >= option.least)
        and (option.above is None or value > option.above)
        and (option.most is None or value <= option.most)
        and (option.below is None or value < option.below)
        and math.isfinite(value)
    )  # fmt: skip
    if not inside:
        raise SelectionError(f"`{name}` is {wanted}, not {value!r}")


def _wanted(option: Option) -> str:
    """The numbers that an option takes, in words."""
    parts = [
        f"{words} {limit:,}"
        for words, limit in (
            ("at least", option.least), ("above", option.above), ("at most", option.most),
            ("below", option.below),
        ) if limit is not None and limit < 2**62
    ]  # fmt: skip
    return " ".join([_WHOLE if option.kind is int else "a number", " and ".join(parts)]).strip()


def help_text(indent: int, form: str = "``{name}``: {help}", skip: str = "") -> str:
    """The options, a paragraph for each, for docstrings; but for the one that is skipped."""
    pad = " " * indent
    return "\n".join(
        textwrap.fill(
            form.format(name=name, help=option.help), 100, initial_indent=pad,
            subsequent_indent=pad + "    ", break_on_hyphens=False,
        )
        for name, option in OPTIONS.items()
        if name != skip
    )  # fmt: skip


FitOptions.__doc__ = (FitOptions.__doc__ or "").replace(
    "{options}", help_text(8, "{name}: {help}").lstrip()
)
