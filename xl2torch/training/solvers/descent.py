"""Training with an optimizer of torch: step after step on all data."""

from __future__ import annotations

import math

from xl2torch.training.loss import Loss
from xl2torch.training.record import Record
from xl2torch.training.steps.optimizers import Stepper
from xl2torch.training.stopping import Stop

_STEEP = 1.0


def descend(
    loss: Loss, record: Record, stepper: Stepper, ends_where_stalled: bool = False
) -> Stop:  # fmt: skip
    """Step until the gradient vanishes, the loss stands still, or a limit is reached.

    ``ends_where_stalled``: a step that made nothing better is the last one.
    """
    while True:
        before = loss.value
        stepper.step()
        record.check_progress()
        stalled = ends_where_stalled and loss.value >= before
        record.note()
        stop = record.converged()
        if stop is None and stalled and record.is_gone:
            stop = Stop(0)
        if stop is None and stalled:
            stop = Stop(2, still_steep(loss.steepness))
        if stop is not None:
            return stop
        record.check()


def still_steep(steepness: float) -> str:
    """That the gradient is still large, in words; '' where it is not."""
    if steepness < _STEEP:
        return ""
    if math.isinf(steepness):
        return (
            "Some slopes of the objective are no numbers there (a value near the smallest that a "
            "number can be): try other start values, or data of another unit."
        )
    return (
        "The gradient is still large, so this is hardly the optimum: try other start values, "
        '`optimizer="adam"`, or variables of like size.'
    )
