"""Which optimizer, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from xl2torch.analysis.binary_program import BinaryProgram, binary_program
from xl2torch.analysis.linear_program import LinearProgram
from xl2torch.analysis.linearity import nonlinear_place
from xl2torch.analysis.piecewise_linear import piecewise_linear
from xl2torch.analysis.residuals import find_residuals, has_kink
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point
from xl2torch.model.sheet_model import SheetModel
from xl2torch.safety.plain_text import meant
from xl2torch.training.loss import Loss
from xl2torch.training.methods import (
    CONSTRAINED,
    HIGHS,
    LBFGS,
    LBFGSB,
    LEAST_SQUARES,
    SCIPY,
    SLSQP,
    TRUST,
    optimizer_names,
    torch_optimizers,
)
from xl2torch.training.solvers.epigraph import Epigraph, find_epigraph
from xl2torch.training.solvers.independent_blocks import find_blocks
from xl2torch.training.solvers.least_squares import MOST_DENSE
from xl2torch.training.solvers.scipy_vector import FreeVariables
from xl2torch.workbook.read.solver_model import number_option

ENGINES = ("auto", "torch", "scipy")
_FEW = 50
_DETERMINED = 3
_SMALL = 1_000_000
"""Variable cells for which least squares are chosen, and where there are so many residuals for
each; elements of the Jacobian, of which a step costs one."""
_DENSE = 500
"""Variable cells for which SLSQP is chosen: a step costs their number cubed."""
_SIMPLEX = "2"
_EXACT_TOLERANCES = (0.01, 0.05)
"""What Excel stores as the integer tolerance where nobody chose one."""

_DRAWN = "random cells are drawn anew at each step"


@dataclass(frozen=True)
class Choice:
    """An optimizer and the reason for it; whether it was ``asked_for`` by name.

    ``nonlinear`` is where a stored LP is not linear, ``program`` the linear program, ``epigraph``
    the smooth one that absolute values and maxima are.
    """

    optimizer: str
    reason: str
    nonlinear: str = ""
    program: LinearProgram | None = None
    epigraph: Epigraph | None = None
    asked_for: bool = False


@dataclass(frozen=True)
class Asked:
    """What the user asks of the optimizer; '' and None are left to us.

    ``home``: the objective is computed in float64 on the CPU. ``by_rows``: rows are told apart, in
    ``batches`` perhaps; ``staged``: not all variable cells are trained at once.
    """

    optimizer: str = ""
    engine: str = "auto"
    lr: float | None = None
    home: bool = True
    by_rows: bool = False
    batches: bool = False
    staged: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is about all rows and all variable cells, as Solver's models are."""
        return not (self.by_rows or self.batches or self.staged)


def choose(model: SheetModel, constraints: Constraints, asked: Asked) -> Choice:
    """The optimizer for a model.

    A linear model, or one that is linear but for its binary cells, is for HiGHS; constraints that
    are more than bounds, and sums and maxima of absolute values, for SLSQP (trust-constr where
    constraints have many variable cells); random cells that are drawn anew for Adam. Least squares
    are for a sum, mean or root mean of squares whose residuals are smooth (no ReLU on the way to
    them), of few variable cells and no more than residuals, or in blocks that never meet; bounds
    are for L-BFGS-B, all else for L-BFGS.

    Raises SelectionError (no such name, or it cannot keep the constraints) or ModelError (nothing
    here can solve it).
    """
    if asked.engine not in ENGINES:
        raise SelectionError(f"no engine {asked.engine!r}; there are {', '.join(ENGINES)}")
    if asked.optimizer and asked.optimizer not in optimizer_names():
        raise SelectionError(
            f"no optimizer {asked.optimizer!r}{meant(asked.optimizer, optimizer_names())}; there "
            f"are {', '.join(optimizer_names())}"
        )
    _refuse_all_different(model)
    if not asked.whole:
        return _by_parts(model, constraints, asked)
    integers = bool(constraints.integer.any())
    wants_linear = _wants_simplex(model) and not asked.optimizer and asked.engine != "torch"
    place = None
    if integers or wants_linear or _may_be_linear(model, asked):
        place = nonlinearity(model, constraints)
        if place is None:
            return _linear(model, asked, integers)
        program = piecewise_linear(model, constraints)
        if program is not None:
            return _piecewise(model, asked, integers, program)
        binary = binary_program(constraints) if integers else None
        if binary is not None:
            return _of_binaries(model, asked, binary)
        if integers:
            raise ModelError(
                f"integers in a nonlinear model are not supported: {place} is not linear in the "
                "variable cells. Leave the integer constraints out of --constraint, or make the "
                "model linear"
            )
        if asked.optimizer == HIGHS:
            raise SelectionError(f"highs is for linear models: {place} is not linear")
        if wants_linear:
            return Choice(HIGHS, "the stored model asks for Simplex LP", place)
    return _nonlinear(model, asked)


def _as_asked(optimizer: str) -> Choice:
    return Choice(optimizer, "as asked for", asked_for=True)


def _by_parts(model: SheetModel, constraints: Constraints, asked: Asked) -> Choice:
    """The optimizer where only some rows, or some variable cells, are trained on at once."""
    options = "--batch-size, --validation, --metric and --stage"
    if bool(constraints.integer.any()) or model.problem.sense in ("value", "feasible"):
        raise SelectionError(
            "integers, an objective that is to reach a value, and constraints without an objective "
            f"are for all rows and variable cells at once: leave out {options}"
        )
    if asked.engine == "scipy" or asked.optimizer in SCIPY:
        raise SelectionError(
            f"{options} are for optimizers of torch: adam, sgd, momentum, ...; leave out "
            f"{'--engine' if asked.engine == 'scipy' else f'--optimizer {asked.optimizer}'}"
        )
    if asked.batches and asked.optimizer == LBFGS:
        raise SelectionError(
            "lbfgs needs an objective that does not change from step to step: leave out "
            "--batch-size, or choose adam, sgd or momentum"
        )
    _check_constraints(model, asked.optimizer or "adam")
    if asked.optimizer:
        return _as_asked(asked.optimizer)
    if asked.batches or model.drawn:
        return Choice("adam", "a step for each batch" if asked.batches else _DRAWN)
    return Choice(LBFGS, "a step for all rows that are trained on")


def nonlinearity(model: SheetModel, constraints: Constraints) -> str | None:
    """Where objective or constraints are not linear in the variable cells; None where all are."""
    if model.drawn:
        return f"{model.drawn[0]} (drawn anew at each step)"
    modules = [model, *(module for _, module in constraints.modules)]
    return next((place for module in modules if (place := nonlinear_place(module))), None)


def _wants_simplex(model: SheetModel) -> bool:
    return model.problem.options.get("eng") == _SIMPLEX


def integer_tolerance(options: Mapping[str, str]) -> float:
    """The integer tolerance that somebody chose; 0 where it is Excel's default."""
    stored = number_option(options, "tol", 0.0)
    return 0.0 if stored in _EXACT_TOLERANCES else stored


def _may_be_linear(model: SheetModel, asked: Asked) -> bool:
    """Whether a linear model would be solved as one."""
    if asked.optimizer:
        return asked.optimizer == HIGHS
    if not asked.home:
        return False
    plain_value = model.problem.sense == "value" and not model.problem.general_constraints
    return asked.engine != "torch" and asked.lr is None and not plain_value


def _linear(model: SheetModel, asked: Asked, integers: bool) -> Choice:
    if asked.engine == "torch" or (integers and asked.optimizer not in ("", HIGHS)):
        raise SelectionError(
            "the model is linear with integers: only highs keeps these; leave out --optimizer and "
            "--engine"
        )
    if asked.optimizer == HIGHS:
        return _as_asked(HIGHS)
    count = sum(item.left.size for item in model.problem.integer_constraints)
    whole = f", {count} integer cells" if integers else ""
    return Choice(HIGHS, f"objective and constraints are linear{whole}")


def _piecewise(model: SheetModel, asked: Asked, integers: bool, program: LinearProgram) -> Choice:
    """HiGHS for absolute values and maxima of linear formulas."""
    if asked.engine == "torch" or (integers and asked.optimizer not in ("", HIGHS)):
        return _linear(model, asked, integers)  # it refuses
    cells = sum(variable.cells.size for variable in model.variables)
    count = len(program.costs) - cells
    return Choice(
        HIGHS, f"{count} absolute values or maxima of linear formulas: a linear program with "
        f"{'a variable' if count == 1 else 'variables'} for them", program=program,
    )  # fmt: skip


def _of_binaries(model: SheetModel, asked: Asked, binary: BinaryProgram) -> Choice:
    """HiGHS for functions of binary cells."""
    plain = _linear(model, asked, integers=True)  # or it refuses
    count = binary.products
    more = f", a variable for each of {count} products" if count else ""
    return replace(
        plain, reason=f"functions of binary cells are linear{more}", program=binary.program
    )


def _nonlinear(model: SheetModel, asked: Asked) -> Choice:
    general = model.problem.general_constraints
    if asked.optimizer:
        _check_constraints(model, asked.optimizer)
        if asked.engine == "torch" and asked.optimizer not in torch_optimizers():
            raise SelectionError(f"--engine torch has no {asked.optimizer}")
        if asked.engine == "scipy" and asked.optimizer not in SCIPY:
            raise SelectionError(f"--engine scipy has no {asked.optimizer}")
        if model.drawn and asked.optimizer in SCIPY:
            raise SelectionError(
                f"{asked.optimizer} needs an objective that does not change: random cells "
                f"{model.drawn[0]} are drawn anew at each step. Choose adam or sgd"
            )
        return _as_asked(asked.optimizer)
    if model.drawn and asked.engine != "scipy":
        _check_constraints(model, "adam")
        return Choice("adam", _DRAWN)
    if model.drawn:
        raise SelectionError("random cells are drawn anew at each step: --engine torch, please")
    if asked.engine == "torch":
        _check_constraints(model, LBFGS)
        return Choice(LBFGS, "torch was asked for, and the objective is smooth or nearly so")
    epigraph = find_epigraph(model) if asked.home and asked.lr is None else None
    if epigraph is not None:
        return Choice(
            SLSQP, f"{epigraph.count} absolute values or maxima, each a variable with limits of "
            "its own", epigraph=epigraph,
        )  # fmt: skip
    count = sum(variable.cells.size for variable in model.variables)
    if general and model.problem.is_system:
        return Choice(LEAST_SQUARES, "the constraints alone: least squares of what is overstepped")
    if general:
        many = count > _DENSE
        what = (
            f"{len(general)} constraints that are" if len(general) > 1 else "a constraint that is"
        )
        return Choice(
            TRUST if many else SLSQP,
            f"{what} more than bounds" + (f", {count} variable cells" if many else ""),
        )
    if asked.lr is not None and asked.engine == "auto":
        return Choice(LBFGS, "a learning rate was given")
    if asked.home:
        found = _squares(model, count)
        if found:
            return Choice(LEAST_SQUARES, found)
    bounds = sum(variable.bounded for variable in model.variables)
    if bounds or asked.engine == "scipy":
        return Choice(LBFGSB, "bounds on variable cells" if bounds else "scipy was asked for")
    return Choice(LBFGS, f"an objective of {count} variable cells without constraints")


def _check_constraints(model: SheetModel, optimizer: str) -> None:
    """Raise SelectionError where an optimizer cannot keep the constraints."""
    general = model.problem.general_constraints
    if optimizer in CONSTRAINED or not general:
        return
    lines = "\n".join(f"  {item}" for item in general)
    raise SelectionError(
        f"{optimizer} keeps bounds of variable cells, but no constraints such as\n{lines}\n"
        "Leave out --optimizer and --engine (slsqp is chosen then), or these constraints"
    )


def _squares(model: SheetModel, count: int) -> str:
    """Why least squares fit, in words; '' where they do not."""
    if model.problem.sense == "value":
        smooth = not any(has_kink(node) for node in model.graph.nodes)
        return "the distance to the target is a single smooth residual" if smooth else ""
    residuals = find_residuals(model)
    if residuals is None or not residuals.smooth:
        return ""
    with torch.no_grad():
        rows = len(residuals.function(present_point(model)))
    what = f"a {residuals.form(rows)} of {rows} smooth residuals, {count} variable cells"
    least = count if count <= _FEW else _DETERMINED * count
    if count <= MOST_DENSE and least <= rows <= _SMALL // count:
        return what
    blocks = None
    if _FEW < count <= rows:
        blocks = find_blocks(residuals.function, FreeVariables(Loss(model), scaled=False))
    return "" if blocks is None else f"{what} in {blocks.count} blocks that never meet"


def _refuse_all_different(model: SheetModel) -> None:
    for item in model.problem.integer_constraints:
        if item.relation == "dif":
            raise ModelError(f"alldifferent is not supported: {item}. Leave it out of --constraint")
