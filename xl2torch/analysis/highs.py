"""Linear programs, with or without integers, solved by HiGHS.

(Huangfu and Hall, Parallelizing the dual revised simplex method, Math. Prog. Comp. 10, 2018.)
The package highspy gives what scipy's interface to HiGHS keeps to itself: the basis, from which
shadow prices and their ranges follow, and a run that can be watched and stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from xl2torch.analysis.linear_program import LinearProgram, Numbers

_UNLIMITED = 2**31 - 1
_POLL = 0.05
"""Seconds between two looks at a run."""
_REPORT = 0.5
"""Seconds between two reports of a run with integers."""


class Status(Enum):
    """What became of a linear program."""

    OPTIMAL = "optimal"
    LIMIT = "a limit of time or nodes"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    OTHER = "no answer"


@dataclass(frozen=True, eq=False)
class Vertex:
    """The basis of an optimal vertex: for each column, then each row, whether it is ``basic``, and
    whether one that is not stands at its upper bound. ``prices`` are those of the rows, the
    derivatives of the least objective by their limits; ``reduced`` costs are those of the columns.
    """

    basic: np.ndarray
    at_upper: np.ndarray
    prices: Numbers
    reduced: Numbers


@dataclass(frozen=True, eq=False)
class Solution:
    """An answer; ``point`` is None where there is none.

    ``nodes`` of branch and bound, and the relative ``gap`` that it left; ``vertex`` only without
    integers.
    """

    status: Status
    point: Numbers | None = None
    nodes: int = 0
    gap: float = 0.0
    vertex: Vertex | None = None


@dataclass(frozen=True)
class Progress:
    """Where branch and bound stands: the best objective yet, the bound on it, and nodes."""

    objective: float
    bound: float
    nodes: int

    @property
    def gap(self) -> float:
        """Relative distance between the best objective yet and the bound on it."""
        if not np.isfinite(self.objective):
            return np.inf
        return abs(self.objective - self.bound) / max(abs(self.objective), 1e-12)


@dataclass(frozen=True)
class Patience:
    """A relative gap that is good enough after some seconds."""

    gap: float
    seconds: float


def solve(
    program: LinearProgram, gap: float = 0.0, seconds: float = np.inf, nodes: float = np.inf,
    on_progress: Callable[[Progress], None] | None = None, patience: Patience | None = None,
) -> Solution:  # fmt: skip
    """Solve by the simplex method, or by branch and bound where there are integers.

    ``gap`` is the relative distance to the best possible objective that ends branch and bound,
    ``seconds`` and ``nodes`` end it too, and so does the gap of ``patience`` after its time. A
    KeyboardInterrupt stops HiGHS, and the best point that was met is kept.
    """
    rows, columns = _units(program)
    largest = float(np.abs(program.costs / columns).max(initial=0.0))
    # HiGHS's tolerances are absolute: costs are made larger, never smaller.
    size = largest if 0 < largest < 1 else 1.0
    engine = _engine(program, rows, columns, size)
    whole = bool(program.integer.any())
    engine.setOptionValue("mip_rel_gap", gap)
    if np.isfinite(seconds):
        engine.setOptionValue("time_limit", max(seconds, 0.0))
    if nodes < _UNLIMITED:
        engine.setOptionValue("mip_max_nodes", int(nodes))
    ended = _run(engine, on_progress and _scaled(on_progress, size), patience)
    status = _status(engine)
    if ended is not None and status is not Status.OPTIMAL:
        status = ended
    info, found = engine.getInfo(), engine.getSolution()
    has_point = info.primal_solution_status == _FEASIBLE
    point = np.array(found.col_value) / columns if has_point else None
    if whole:
        left = float(info.mip_gap)
        return Solution(
            status, point, max(0, int(info.mip_node_count)), left if np.isfinite(left) else 0.0
        )
    if status is not Status.OPTIMAL:
        return Solution(status, point)
    prices = np.array(found.row_dual, dtype=float).reshape(-1) * size / rows
    reduced = np.array(found.col_dual, dtype=float).reshape(-1) * size * columns
    return Solution(status, point, vertex=_vertex(engine, prices, reduced))


_FEASIBLE = 2
"""HiGHS's code of a point that keeps all limits."""


def _engine(program: LinearProgram, rows: Numbers, columns: Numbers, size: float) -> Any:
    """HiGHS with a program in units of its own."""
    import highspy
    from scipy.sparse import csr_array

    matrix = csr_array(program.matrix / rows[:, None] / columns)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(columns), len(rows)
    model.col_cost_ = program.costs / columns / size
    model.offset_ = program.constant / size
    model.col_lower_, model.col_upper_ = program.lower * columns, program.upper * columns
    model.row_lower_, model.row_upper_ = program.least / rows, program.most / rows
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = matrix.indptr
    model.a_matrix_.index_ = matrix.indices
    model.a_matrix_.value_ = matrix.data
    if program.integer.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(whole)] for whole in program.integer]
    engine: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    engine.setOptionValue("output_flag", False)
    engine.passModel(model)
    return engine


def _units(program: LinearProgram) -> tuple[Numbers, Numbers]:
    """Units of rows and columns, powers of two, that bring coefficients and costs near 1."""
    matrix = np.abs(np.vstack([program.matrix, program.costs]))
    columns = np.ones(matrix.shape[1])
    rows = np.ones(matrix.shape[0])
    for _ in range(3):
        rows = _middle(matrix / columns, 1)
        columns = np.where(program.integer, 1.0, _middle(matrix / rows[:, None], 0))
    return rows[:-1], columns


def _middle(matrix: Numbers, axis: int) -> Numbers:
    """Geometric mean of the smallest and the largest number, rounded to a power of two; else 1."""
    if not matrix.size:
        return np.ones(matrix.shape[1 - axis])
    largest = matrix.max(axis)
    smallest = np.where(matrix > 0, matrix, np.inf).min(axis)
    some = largest > 0
    logs = np.log2(np.where(some, largest, 1.0)) + np.log2(np.where(some, smallest, 1.0))
    return np.asarray(2.0 ** np.round(logs / 2))


def _scaled(on_progress: Callable[[Progress], None], size: float) -> Callable[[Progress], None]:
    """The same reports with objectives in the program's own unit."""

    def report(found: Progress) -> None:
        on_progress(Progress(found.objective * size, found.bound * size, found.nodes))

    return report


def _run(
    engine: Any, on_progress: Callable[[Progress], None] | None, patience: Patience | None
) -> Status | None:
    """Run in a thread of HiGHS's own and wait; what ended it early, if anything did."""
    latest: list[Progress] = []

    def note(event: Any) -> None:
        data = event.data_out
        latest[:] = [Progress(data.mip_primal_bound, data.mip_dual_bound, int(data.mip_node_count))]

    engine.HandleUserInterrupt = True
    if on_progress is not None or patience is not None:
        engine.cbMipInterrupt += note
    ended: Status | None = None
    finished = False
    engine.startSolve()
    began = last = time.monotonic()
    while not finished:
        try:
            # Not Thread.join: in Python before 3.13 an interrupted join takes the thread for ended.
            finished, _ = engine.wait(_POLL)
            if on_progress is not None and latest and time.monotonic() - last > _REPORT:
                last = time.monotonic()
                on_progress(latest[0])
            waited = patience is not None and time.monotonic() - began > patience.seconds
            if patience is not None and waited and latest and latest[0].gap <= patience.gap:
                ended = Status.OPTIMAL  # within that gap, which the solution tells
                engine.cancelSolve()
        except KeyboardInterrupt:
            ended = Status.INTERRUPTED
            engine.cancelSolve()
    return ended


def _status(engine: Any) -> Status:
    import highspy

    codes = highspy.HighsModelStatus
    found = {
        codes.kOptimal: Status.OPTIMAL, codes.kModelEmpty: Status.OPTIMAL,
        codes.kInfeasible: Status.INFEASIBLE, codes.kUnbounded: Status.UNBOUNDED,
        codes.kUnboundedOrInfeasible: Status.OTHER, codes.kTimeLimit: Status.LIMIT,
        codes.kIterationLimit: Status.LIMIT, codes.kSolutionLimit: Status.LIMIT,
        codes.kInterrupt: Status.INTERRUPTED,
    }  # fmt: skip
    return found.get(engine.getModelStatus(), Status.OTHER)


def _vertex(engine: Any, prices: Numbers, reduced: Numbers) -> Vertex:
    import highspy

    basis = engine.getBasis()
    states = [*basis.col_status, *basis.row_status]
    return Vertex(
        np.array([state == highspy.HighsBasisStatus.kBasic for state in states], dtype=bool),
        np.array([state == highspy.HighsBasisStatus.kUpper for state in states], dtype=bool),
        prices, reduced,
    )  # fmt: skip
