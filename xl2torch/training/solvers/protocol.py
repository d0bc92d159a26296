"""What a solver is: an engine that takes an objective to its minimum, and says what it is for.

A solver is an object with the attributes and methods of ``Solver``; ``register`` puts it into the
table that ``choose_optimizer`` asks. In: a ``Request`` when one is chosen, a ``Task`` and a ``Run``
when it works. Out: a ``Choice``, a ``Stop``. ``tnc.py`` is a short one to begin with.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import import_module, metadata
from typing import Protocol

import torch

from xl2torch.analysis.highs import Progress as Bounding
from xl2torch.analysis.linearity import nonlinear_place
from xl2torch.errors import SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.model.problem import Constraint
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.box import Box
from xl2torch.training.loss import Loss
from xl2torch.training.methods import ADAM, BY_HAND, NEWTON
from xl2torch.training.options import FitOptions
from xl2torch.training.record import Record
from xl2torch.training.rows.epochs import Batch
from xl2torch.training.settings import Settings
from xl2torch.training.steps.optimizers import Stepper, make_stepper
from xl2torch.training.stopping import Stop


@dataclass(frozen=True, eq=False)
class Choice:
    """A solver by name, and the reason for it; whether it was ``asked_for``.

    ``nonlinear`` is where a model is not linear that is to be, ``plan`` what the solver found out
    while it was asked, and goes by when it solves.
    """

    optimizer: str
    reason: str
    nonlinear: str = ""
    plan: object = None
    asked_for: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked for: a model, its constraints, and options."""

    model: SheetModel
    constraints: Constraints
    options: FitOptions
    home: bool = True
    """Whether the objective is computed in float64 on the CPU."""

    @property
    def is_whole(self) -> bool:
        """Whether it is about all rows and all variable cells, as Solver's models are."""
        return self.options.is_whole

    @property
    def of_torch(self) -> bool:
        """Whether the optimizer has to be one of torch."""
        return self.options.engine == "torch"

    @property
    def of_scipy(self) -> bool:
        """Whether the optimizer has to be one of scipy."""
        return self.options.engine == "scipy"

    @property
    def has_rate(self) -> bool:
        """Whether a learning rate was given."""
        return self.options.lr is not None

    @property
    def general(self) -> tuple[Constraint, ...]:
        """Constraints that are more than bounds."""
        return tuple(self.model.problem.general_constraints)

    @property
    def integers(self) -> bool:
        """Whether some variable cells have to be whole numbers."""
        return bool(self.constraints.integer.any())

    @property
    def count(self) -> int:
        """How many variable cells there are."""
        return sum(variable.cells.size for variable in self.model.variables)

    @property
    def has_bounds(self) -> bool:
        """Whether a variable cell has a bound."""
        return any(variable.bounded for variable in self.model.variables)

    @property
    def wants_rate(self) -> bool:
        """Whether a learning rate was given, and no engine: a step of torch's is meant."""
        return self.has_rate and not (self.of_torch or self.of_scipy)

    @cached_property
    def nonlinearity(self) -> str | None:
        """Where objective or constraints are not linear; None where all are."""
        return nonlinearity(self.model, self.constraints)


def nonlinearity(model: SheetModel, constraints: Constraints) -> str | None:
    """Where objective or constraints are not linear in the variable cells; None where all are."""
    if model.drawn:
        return f"{model.drawn[0]} (drawn anew at each step)"
    modules = [model, *(module for _, module in constraints.modules)]
    return next((place for module in modules if (place := nonlinear_place(module))), None)


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be solved, from the loss's present point, and how."""

    loss: Loss
    constraints: Constraints
    settings: Settings
    choice: Choice

    @property
    def model(self) -> SheetModel:
        """The model whose objective it is."""
        return self.loss.model

    @property
    def box(self) -> Box:
        """The limits of the variable cells."""
        return self.loss.box

    @cached_property
    def stepper(self) -> Stepper:
        """The optimizer of torch that the settings name. Raises SelectionError."""
        return make_stepper(self.loss, self.settings)

    def of(self, loss: Loss, **settings: object) -> Task:
        """The same of another loss, or with other settings; its optimizer begins anew."""
        return replace(self, loss=loss, settings=replace(self.settings, **settings))  # type: ignore[arg-type]

    def handed_to(self, optimizer: str) -> Task:
        """The same for a solver that was not asked for, without options of another."""
        plan = self.choice.plan if optimizer == self.choice.optimizer else None
        own = replace(
            self.settings, optimizer=optimizer, lr=1.0, arguments={}, schedule="", clip_norm=None,
            clip_value=None, factory=None,
        )  # fmt: skip
        return replace(self, settings=own, choice=Choice(optimizer, "it goes on", plan=plan))


@dataclass(frozen=True, eq=False)
class Run:
    """Where a solver notes what it does, and whom it tells.

    ``shuffle`` draws the order of rows.
    """

    record: Record
    shuffle: torch.Generator | None = None
    on_batch: Callable[[Batch], None] | None = None
    on_bound: Callable[[Bounding], None] | None = None


class Solver(Protocol):
    """An engine. Variable cells stay within their bounds, whichever it is.

    ``library`` is what it is from: torch, scipy or highspy. ``rank`` is its place among those that
    are asked whether they fit: the first that does is chosen. ``keeps_constraints``: those that are
    more than bounds, too. ``steps_rows``: it steps for some rows or some of the variable cells,
    ``steps_batches`` for other rows at each step. ``needs_steady``: no cell may be drawn anew at a
    step. ``needs_home``: it computes in float64 on the CPU. ``has_rate``: it takes a learning rate.
    ``iterates``: it makes iterations, which patience can count. ``scales``: it measures variables
    of very different size in units of their own. ``successors`` go on, one after the other, where
    it stands still on a slope.
    """

    name: str
    title: str
    library: str
    rank: int
    keeps_constraints: bool
    steps_rows: bool
    steps_batches: bool
    needs_steady: bool
    needs_home: bool
    has_rate: bool
    iterates: bool
    scales: bool
    successors: tuple[str, ...]
    most_iterations: int

    def fits(self, request: Request) -> Choice | None:
        """Why it would be chosen for what is asked; None where it would not."""

    def asked(self, request: Request) -> Choice:
        """The choice of it by name. Raises SelectionError, ModelError where it cannot be."""
        ...

    def check(self, task: Task) -> None:
        """Raise SelectionError for settings that it has no use for."""

    def solve(self, task: Task, run: Run) -> Stop:
        """Go from the present point to the best that it finds. Raises Stopped."""
        ...


class SolverBase:
    """What most solvers have in common; each says what is different."""

    name: str
    title: str
    rank = 100
    keeps_constraints = False
    steps_rows = False
    steps_batches = False
    needs_steady = False
    needs_home = False
    has_rate = False
    iterates = True
    scales = False
    successors: tuple[str, ...] = ()
    most_iterations = 2000

    def fits(self, request: Request) -> Choice | None:
        """It is for those who name it."""
        return None

    def asked(self, request: Request) -> Choice:
        """As asked for."""
        return Choice(self.name, "as asked for", asked_for=True)

    def check(self, task: Task) -> None:
        """Refuse options that only optimizers of torch have a use for."""
        settings = task.settings
        names = ("arguments", "schedule", "clip_norm", "clip_value")
        given = [f"`{name}`" for name in names if getattr(settings, name)]
        if given:
            raise SelectionError(
                f"{settings.optimizer} has no use for {', '.join(given)}: choose an optimizer of "
                'torch, such as `optimizer="adam"`'
            )


class ScipySolver(SolverBase):
    """What solvers of scipy have in common."""

    library = "scipy"
    needs_steady = True


_SOLVERS: dict[str, Solver] = {}


def register(solver: Solver) -> None:
    """Put a solver into the table, by its name."""
    assert solver.name not in _SOLVERS, f"two solvers {solver.name}"
    _SOLVERS[solver.name] = solver


@cache
def solvers() -> Mapping[str, Solver]:
    """All solvers by name, in the order in which they are asked: every module here registers its
    own."""
    package = import_module(__name__.rpartition(".")[0])
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_SOLVERS.items(), key=lambda item: (item[1].rank, item[0])))


def find_solver(name: str) -> Solver:
    """A solver by its name; one of torch's kind for an optimizer that Python gave."""
    return solvers().get(name) or solvers()[ADAM]


def full_name(name: str) -> str:
    """A solver by its full name, and what it is from."""
    if name == BY_HAND:
        return "none: weights set in Python"
    if name not in solvers():
        return f"{name} (given in Python)"
    solver = solvers()[name]
    version = torch.__version__ if solver.library == "torch" else metadata.version(solver.library)
    return f"{solver.title} ({solver.library} {version})"


def optimizer_names() -> tuple[str, ...]:
    """Names that a user can choose, torch's first."""
    names = [name for name in solvers() if name != NEWTON]
    return tuple(sorted(names, key=lambda name: (solvers()[name].library != "torch", name)))
