"""Training in mini-batches: a step for each batch, and after each epoch a look at all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from xl2torch.training.record import Record
from xl2torch.training.rows.by_columns import Transposed, by_columns
from xl2torch.training.rows.row_loss import RowLoss
from xl2torch.training.steps.optimizers import FirstOrder
from xl2torch.training.stopping import Stop, Stopped


@dataclass(frozen=True)
class Batch:
    """Where an epoch stands: batches done of how many, in a phase, and the objective there."""

    phase: str
    epoch: int
    done: int
    total: int
    objective: float


def train_in_batches(
    loss: RowLoss, record: Record, stepper: FirstOrder, generator: torch.Generator | None,
    on_batch: Callable[[Batch], None] | None = None,
) -> Stop:  # fmt: skip
    """Epoch after epoch, until a limit is reached. Raises Stopped.

    A step of the schedule is made after each epoch.
    """
    with by_columns(loss.by_columns, stepper.optimizer) as transposed:
        while True:
            _epoch(loss, record, stepper, generator, transposed, on_batch or _silent)


def _epoch(
    loss: RowLoss, record: Record, stepper: FirstOrder, generator: torch.Generator | None,
    transposed: Sequence[Transposed], tell: Callable[[Batch], None],
) -> None:  # fmt: skip
    epoch, total = len(record.iterations), -(-loss.count // loss.size)
    for done, (pieces, count) in enumerate(loss.batches(generator), 1):
        value = loss.differentiate(pieces, count)
        if loss.failed:
            loss.evaluate_value()
            record.check_progress()
            raise Stopped(Stop(9, f"Batch {done} of epoch {epoch} has no finite objective."))
        for pair in transposed:
            pair.pass_gradient()
        stepper.update()
        tell(Batch("training", epoch, done, total, value))
        record.check_time()
    loss.evaluate_value()
    stepper.advance()
    record.check_progress()
    row = record.note()
    if loss.split.validated:
        tell(Batch("validation", epoch, 1, 1, row.validation))
    record.check()


def _silent(_: Batch) -> None:
    pass
