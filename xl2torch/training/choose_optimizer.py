"""Which optimizer, and why: each solver is asked whether it fits, the first that does is chosen."""

from __future__ import annotations

from collections.abc import Iterator

from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.safety.plain_text import meant
from xl2torch.training.methods import ADAM, BY_HAND, HIGHS
from xl2torch.training.options import OPTIONS
from xl2torch.training.solvers.protocol import (
    Choice,
    Request,
    Solver,
    find_solver,
    optimizer_names,
    solvers,
)


def reserved_names() -> frozenset[str]:
    """Names that no optimizer of the user's own may have: those of solvers that never call it."""
    own = (name for name, solver in solvers().items() if not solver.steps_batches)
    return frozenset({BY_HAND, *own})


def choose(request: Request) -> Choice:
    """The optimizer for what is asked: the one that is named, else the first that fits.

    Raises SelectionError (no such name, or it cannot keep the constraints) or ModelError (nothing
    here can solve it).
    """
    options = request.options
    engines = OPTIONS["engine"].choices
    if options.engine not in engines:
        raise SelectionError(f"no engine {options.engine!r}; there are {', '.join(engines)}")
    name = options.optimizer or ""
    if name and name not in optimizer_names():
        raise SelectionError(
            f"no optimizer {name!r}{meant(name, optimizer_names())}; there are "
            f"{', '.join(optimizer_names())}"
        )
    _refuse_all_different(request.model)
    if not request.is_whole:
        _refuse_parts(request)
    if request.is_whole and request.integers:
        return find_solver(HIGHS).asked(request)
    if name:
        solver = find_solver(name)
        if solver.name != HIGHS:
            _check_named(request, solver)
        return solver.asked(request)
    for solver in _candidates(request):
        choice = solver.fits(request)
        if choice is not None:
            if not (request.model.problem.is_system and solver.library != "torch"):
                _check_constraints(request, solver)
            return choice
    raise SelectionError('random cells are drawn anew at each step: `engine="torch"`, please')


def _candidates(request: Request) -> Iterator[Solver]:
    """The solvers that are asked, in their order."""
    engine = request.options.engine
    for solver in solvers().values():
        is_torchs = solver.library == "torch"
        wanted = engine == "auto" or is_torchs == (engine == "torch")
        steady = not request.model.drawn or not solver.needs_steady or solver.name == HIGHS
        if wanted and steady:
            yield solver


def _refuse_parts(request: Request) -> None:
    """Raise SelectionError where only some rows, or some variable cells, make no sense."""
    options, sense = request.options, request.model.problem.sense
    parts = "`batch_size`, `validation`, `metric` and `stages`"
    if request.integers or sense in ("value", "feasible"):
        raise SelectionError(
            "integers, an objective that is to reach a value, and constraints without an objective "
            f"are for all rows and variable cells at once: leave out {parts}"
        )
    named = find_solver(options.optimizer or ADAM)
    if options.engine == "scipy" or not named.steps_rows:
        other = "`engine`" if options.engine == "scipy" else f'`optimizer="{named.name}"`'
        raise SelectionError(
            f"{parts} are for optimizers of torch: adam, sgd, momentum, ...; leave out {other}"
        )
    if options.batch_size is not None and not named.steps_batches:
        raise SelectionError(
            f"{named.name} needs an objective that does not change from step to step: leave out "
            "`batch_size`, or choose adam, sgd or momentum"
        )
    _check_constraints(request, named)


def _check_named(request: Request, solver: Solver) -> None:
    """Raise SelectionError where the solver that is asked for cannot solve what is asked."""
    _check_constraints(request, solver)
    engine, name = request.options.engine, solver.name
    if engine != "auto" and (solver.library == "torch") != (engine == "torch"):
        raise SelectionError(f"`engine={engine!r}` has no {name}")
    if request.model.drawn and solver.needs_steady:
        raise SelectionError(
            f"{name} needs an objective that does not change: random cells "
            f"{request.model.drawn[0]} are drawn anew at each step. Choose adam or sgd"
        )


def _check_constraints(request: Request, solver: Solver) -> None:
    """Raise SelectionError where a solver cannot keep the constraints."""
    general = request.general
    if solver.keeps_constraints or not general:
        return
    lines = "\n".join(f"  {item}" for item in general)
    raise SelectionError(
        f"{solver.name} keeps bounds of variable cells, but no constraints such as\n{lines}\n"
        "Leave out `optimizer` and `engine` (slsqp is chosen then), or these constraints"
    )


def _refuse_all_different(model: SheetModel) -> None:
    for item in model.problem.integer_constraints:
        if item.relation == "dif":
            raise ModelError(
                f"alldifferent is not supported: {item}. Leave it out of `constraints`"
            )
