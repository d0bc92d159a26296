"""torch.compile, where a compiler is present and a compiled step is faster."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import torch

from xl2torch.errors import first_line
from xl2torch.model import SheetModel

Forward = Callable[[], torch.Tensor]
_BLOCKS, _STEPS = 11, 5
_PAYS = 0.95
"""A compiled step has to take less than this part of a plain one's time."""
_SAME = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative difference of the objective."""


def compiled_forward(model: SheetModel, dtype: torch.dtype) -> tuple[Forward | None, str]:
    """The model compiled, and what came of it in words; None where it is not used."""
    if model.drawn:
        return None, "--compile: random cells are drawn anew at each step, so it is not used"
    began = time.perf_counter()
    parameters = list(model.parameters())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled: Forward = torch.compile(model, dynamic=False)
            found = compiled()
            _slopes(compiled, parameters)
    except Exception as error:  # no compiler, or a program that it does not take
        reason = first_line(error)[:200]
        return None, f"--compile: torch.compile does not work here ({reason}), so it is not used"
    seconds = time.perf_counter() - began
    if not torch.isclose(found, model(), rtol=_SAME[dtype], atol=0):
        return None, "--compile: the compiled program gives another objective, so it is not used"
    ratio = _ratio(compiled, model, parameters)
    spent = f"compiling took {seconds:.0f} s"
    if ratio > _PAYS:
        slower = f"a compiled step takes {ratio:.2f} of a plain one's time"
        return None, f"--compile: {slower}, so it is not used; {spent}"
    return compiled, f"--compile: a step takes {ratio:.2f} of a plain one's time; {spent}"


def _slopes(forward: Forward, parameters: Sequence[torch.Tensor]) -> None:
    torch.autograd.grad(forward(), parameters, allow_unused=True)


def _ratio(first: Forward, second: Forward, parameters: Sequence[torch.Tensor]) -> float:
    """Median ratio of the times of alternating blocks."""
    ratios = []
    for _ in range(_BLOCKS):
        times = []
        for forward in (first, second):
            began = time.perf_counter()
            for _ in range(_STEPS):
                _slopes(forward, parameters)
            times.append(time.perf_counter() - began)
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)
