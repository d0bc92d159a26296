"""What the stored Solver model says of options that are left open, and all of them decided."""

from __future__ import annotations

import math
from dataclasses import fields

from xl2torch.errors import SelectionError
from xl2torch.model.problem import Problem
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.freezing import parse_stage
from xl2torch.training.given_optimizer import Factory
from xl2torch.training.methods import ADAM, HIGHS, LBFGS
from xl2torch.training.options import MOST_STARTS, FitOptions
from xl2torch.training.placement import Placement
from xl2torch.training.result import Result
from xl2torch.training.settings import Settings
from xl2torch.training.solvers.protocol import Choice, find_solver, full_name
from xl2torch.training.steps.optimizers import default_rate
from xl2torch.training.stopping import CONVERGENCE
from xl2torch.workbook.read.solver_model import DEFAULTS, number_option

_LEAST_STARTS = 10


def settings_of(
    problem: Problem, options: FitOptions, choice: Choice, factory: Factory | None = None
) -> Settings:
    """All options, those that were left open filled in. Raises SelectionError."""
    name, solver = choice.optimizer, find_solver(choice.optimizer)
    if options.lr is not None and not solver.has_rate:
        raise SelectionError(f"{name} has no learning rate: leave out `lr`")
    if options.patience is not None and not solver.iterates:
        raise SelectionError(f"{name} makes no iterations to be patient with: leave out `patience`")
    if solver.needs_home and not Placement.of(options).is_default:
        raise SelectionError(
            f"{name} computes in float64 on the CPU: leave out `device` and `dtype`, or name "
            "another `optimizer`, such as lbfgs"
        )
    stored = _stored_limit(problem, "itr")
    epochs = options.epochs
    if epochs is None:
        epochs = solver.most_iterations if stored is None else int(stored)
    single = not solver.iterates or not options.is_whole
    known = {item.name: getattr(options, item.name) for item in fields(FitOptions)} | {
        "optimizer": name,
        "lr": default_rate(name) if options.lr is None else options.lr,
        "epochs": epochs,
        "max_time": options.max_time or _stored_limit(problem, "tim"),
        "convergence": CONVERGENCE if options.convergence is None else options.convergence,
        "starts": 1 if single else start_count(problem, options),
    }
    return Settings(**known, solver=full_name(name), reason=choice.reason, factory=factory)


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


def start_count(problem: Problem, options: FitOptions) -> int:
    """How many starts: as asked for, else as stored."""
    if options.starts is not None:
        return options.starts
    if problem.options.get("msl") != "1":
        return 1
    stored = number_option(problem.options, "ssz", float(DEFAULTS["ssz"]))
    return int(min(max(stored, _LEAST_STARTS), MOST_STARTS))


def expected_iterations(model: SheetModel, options: FitOptions) -> int:
    """How many iterations there may be, as far as that is known before the optimizer is."""
    stages = sum(parse_stage(model, text).epochs for text in options.stages)
    usual = ADAM if options.batch_size else LBFGS
    return stages or options.epochs or find_solver(options.optimizer or usual).most_iterations
