"""How to train: options of the user, filled in from the stored Solver model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xl2torch.errors import SelectionError
from xl2torch.model.problem import Problem
from xl2torch.training.choose_optimizer import Choice
from xl2torch.training.methods import HIGHS, LEAST_SQUARES, SCIPY, default_epochs
from xl2torch.training.placement import Placement
from xl2torch.training.result import Result, Settings
from xl2torch.training.solvers.given_optimizer import Factory
from xl2torch.training.solvers.optimizers import default_rate
from xl2torch.training.stopping import CONVERGENCE
from xl2torch.workbook.read.solver_model import DEFAULTS, number_option

_LEAST_STARTS, _MOST_STARTS = 10, 10_000


@dataclass(frozen=True)
class Options:
    """How to train; what is None is left to the stored Solver model, or to us.

    See ``fit`` for their meaning.
    """

    optimizer: str | None = None
    engine: str = "auto"
    lr: float | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    schedule: str = ""
    clip_norm: float | None = None
    clip_value: float | None = None
    epochs: int | None = None
    max_time: float | None = None
    convergence: float | None = None
    starts: int | None = None
    seed: int | None = None
    init: str = "file"
    compile: bool = False
    device: str = "cpu"
    dtype: str = "float64"
    batch_size: int | None = None
    shuffle: bool = True
    validation: str = ""
    metric: str = ""
    patience: int | None = None
    freeze: Sequence[str] = ()
    stages: Sequence[str] = ()
    dropout_off: bool = False
    tolerance: float | None = None
    factory: Factory | None = None

    @property
    def place(self) -> Placement:
        """Where objective and gradient are computed. Raises SelectionError."""
        return Placement.named(self.device, self.dtype)

    @property
    def by_rows(self) -> bool:
        """Whether rows of the sheet are told apart."""
        return self.batch_size is not None or bool(self.validation or self.metric)


def check_options(options: Options) -> None:
    """Raise SelectionError for numbers that make no sense."""
    for name in ("lr", "max_time", "convergence", "clip_norm", "clip_value", "tolerance"):
        given = getattr(options, name)
        if isinstance(given, bool) or not isinstance(given, int | float | None):
            raise SelectionError(f"{name} is a number, not {given!r}")
    for name in ("epochs", "starts", "seed"):
        given = getattr(options, name)
        if isinstance(given, bool) or not isinstance(given, int | None):
            raise SelectionError(f"{name} is a whole number, not {given!r}")
    if options.epochs is not None and options.epochs < 0:
        raise SelectionError(f"the number of epochs cannot be {options.epochs}")
    for name, number in (
        ("max-time", options.max_time), ("clip-norm", options.clip_norm),
        ("clip-value", options.clip_value),
    ):  # fmt: skip
        if number is not None and not 0 < number < math.inf:
            raise SelectionError(f"--{name} has to be a number above 0, not {number}")
    if options.convergence is not None and not 0 <= options.convergence < 1:
        raise SelectionError(f"--convergence is at least 0 and below 1, not {options.convergence}")
    if options.tolerance is not None and not 0 <= options.tolerance < 1:
        raise SelectionError(f"--tolerance is at least 0 and below 1, not {options.tolerance}")
    if options.starts is not None and not 1 <= options.starts <= _MOST_STARTS:
        raise SelectionError(f"--starts is between 1 and {_MOST_STARTS:,}, not {options.starts}")
    for name, count in (("batch-size", options.batch_size), ("patience", options.patience)):
        whole = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and (not whole or count < 1):
            raise SelectionError(f"--{name} is a whole number above 0, not {count}")
    if options.stages and options.epochs is not None:
        raise SelectionError("--stage says how many epochs: leave out --epochs")
    if (options.by_rows or options.stages or options.patience) and (options.starts or 1) > 1:
        raise SelectionError(
            "--starts trains on all rows and all variable cells to the end: leave out "
            "--batch-size, --validation, --metric, --stage and --patience"
        )
    _ = options.place


def settings_of(problem: Problem, options: Options, choice: Choice) -> Settings:
    """All options, those that were left open filled in."""
    name = choice.optimizer
    if options.lr is not None and name in SCIPY:
        raise SelectionError(f"{name} has no learning rate: leave out --lr")
    if options.patience is not None and name == HIGHS:
        raise SelectionError("highs makes no iterations to be patient with: leave out --patience")
    if not options.place.home and name in (HIGHS, LEAST_SQUARES):
        raise SelectionError(
            f"{name} computes in float64 on the CPU: leave out --device and --dtype, or name "
            "another --optimizer, such as lbfgs"
        )
    rate = default_rate(name) if options.lr is None else options.lr
    epochs = _stored_limit(problem, "itr")
    if options.epochs is not None:
        epochs = options.epochs
    seconds = options.max_time or _stored_limit(problem, "tim")
    return Settings(
        name, rate, default_epochs(name) if epochs is None else int(epochs), options.seed,
        options.init, choice.reason, options.arguments, options.schedule, options.clip_norm,
        options.clip_value, seconds,
        CONVERGENCE if options.convergence is None else options.convergence,
        1 if name == HIGHS or options.by_rows or options.stages else start_count(problem, options),
        options.device, options.dtype, options.batch_size, options.shuffle, options.validation,
        options.metric, options.patience, tuple(options.freeze), tuple(options.stages),
        options.dropout_off, options.tolerance, options.factory,
    )  # fmt: skip


def _stored_limit(problem: Problem, name: str) -> float | None:
    """A limit of the stored model; None where it is unlimited."""
    limit = number_option(problem.options, name, math.inf)
    return None if limit >= float(DEFAULTS[name]) or limit < 0 else limit


def stored_convergence(result: Result) -> float | None:
    """Solver's stop rule in the stored model, where a run did not follow it."""
    problem, settings = result.model.problem, result.settings
    if not problem.stored or settings.optimizer == HIGHS or settings.convergence != CONVERGENCE:
        return None
    if settings.batch_size is not None:
        return None  # no epoch is to converge
    return number_option(problem.options, "cvg", float(DEFAULTS["cvg"]))


def stored_seed(problem: Problem) -> int:
    """The seed of the stored model; 0 where there is none."""
    return int(number_option(problem.options, "rsd", 0)) % 2**31


def start_count(problem: Problem, options: Options) -> int:
    """How many starts: as asked for, else as stored."""
    if options.starts is not None:
        return options.starts
    if problem.options.get("msl") != "1":
        return 1
    stored = number_option(problem.options, "ssz", float(DEFAULTS["ssz"]))
    return int(min(max(stored, _LEAST_STARTS), _MOST_STARTS))
