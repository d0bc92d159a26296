"""HiGHS's answers, with the prices and the basis that only its own package tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xl2torch.analysis import highs
from xl2torch.analysis.highs import Status
from xl2torch.analysis.linear_program import LinearProgram

NONE = np.full(3, -np.inf)
DEGENERATE = LinearProgram(
    np.array([-3.0, -2.0]), np.array([[1.0, 1.0], [1.0, 3.0], [1.0, 0.0]]), NONE,
    np.array([4.0, 6.0, 4.0]), np.zeros(2), np.full(2, np.inf), np.zeros(2, dtype=bool),
)  # fmt: skip
"""max 3x + 2y: at (4, 0) three limits and a bound meet."""


def hard(size: int = 40) -> LinearProgram:
    """A market split: branch and bound has no end in a test's time."""
    random = np.random.default_rng(1)
    matrix = random.integers(0, 100, (4, size)).astype(float)
    half = np.floor(matrix.sum(1) / 2)
    slack = np.hstack([matrix, np.eye(4), -np.eye(4)])
    return LinearProgram(
        np.append(np.zeros(size), np.ones(8)), slack, half, half, np.zeros(size + 8),
        np.append(np.ones(size), np.full(8, np.inf)),
        np.append(np.ones(size, dtype=bool), np.zeros(8, dtype=bool)),
    )  # fmt: skip


def test_prices_at_a_degenerate_vertex_have_the_right_signs() -> None:
    found = highs.solve(DEGENERATE)
    assert found.status is Status.OPTIMAL and found.vertex is not None
    assert found.point == pytest.approx([4.0, 0.0])
    assert (found.vertex.prices <= 0).all() and (found.vertex.reduced >= 0).all()
    assert found.vertex.prices @ DEGENERATE.most == pytest.approx(-12.0)
    assert found.vertex.basic.sum() == 3


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"most": np.array([4.0, 6.0, -1.0])}, Status.INFEASIBLE),
        ({"matrix": -DEGENERATE.matrix}, Status.UNBOUNDED),
        ({"integer": np.ones(2, dtype=bool)}, Status.OPTIMAL),
    ],
)
def test_what_becomes_of_it(changes: dict[str, Any], status: Status) -> None:
    assert highs.solve(replace(DEGENERATE, **changes)).status is status


@pytest.mark.slow
def test_nothing_is_printed() -> None:
    code = (
        "from xl2torch.analysis import highs; "
        "from xl2torch.analysis.linear_program import LinearProgram; "
        "import numpy as np; highs.solve(LinearProgram(np.ones(1), np.zeros((0, 1)), np.zeros(0), "
        "np.zeros(0), np.zeros(1), np.ones(1), np.zeros(1, dtype=bool)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "" and run.stderr == ""


def test_an_interrupt_keeps_the_best_point() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    found = highs.solve(hard(), seconds=30)
    signal.signal(signal.SIGINT, before)
    assert found.status is Status.INTERRUPTED
    assert found.point is not None


@pytest.mark.slow
def test_progress_is_told() -> None:
    seen: list[highs.Progress] = []
    highs.solve(hard(), seconds=3, on_progress=seen.append)
    assert seen and seen[-1].bound <= seen[-1].objective


def test_patience_ends_with_the_gap_that_is_left() -> None:
    """A knapsack with items of nearly the same worth: soon near, never proven."""
    random = np.random.default_rng(3)
    weight = random.integers(1000, 2000, 60).astype(float)
    program = LinearProgram(
        -(weight + random.integers(0, 3, 60).astype(float)), weight[None] * 2, np.array([-np.inf]),
        np.array([weight.sum() + 0.5]), np.zeros(60), np.ones(60), np.ones(60, dtype=bool),
    )  # fmt: skip
    found = highs.solve(program, seconds=60, patience=highs.Patience(0.05, 0.5))
    assert found.status is Status.OPTIMAL and found.point is not None and found.gap <= 0.05
