"""The loss over the training rows of a sheet, whole or in batches, and what validation rows say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from xl2torch.ir.trace import DRAWING
from xl2torch.model.sheet_model import SheetModel
from xl2torch.rows.row_objective import RowObjective
from xl2torch.rows.row_trials import RowDim
from xl2torch.training.box import Box
from xl2torch.training.loss import Loss
from xl2torch.training.placement import Placement
from xl2torch.training.result import Iteration
from xl2torch.training.rows.row_split import Split

Pieces = Sequence[torch.Tensor]
_CACHED = 256 * 1024
"""Bytes that stay in the cache of a core beside the weights."""


@dataclass(frozen=True, eq=False)
class Metric:
    """A number over rows that is followed beside the loss; ``of_labels``: it has no cell."""

    name: str
    rows: RowObjective
    of_labels: bool = False


class PlacedRows:
    """An objective over rows at a place, for the rows that it is given."""

    def __init__(self, rows: RowObjective, place: Placement) -> None:
        self.rows = rows
        self.place = place
        self._programs: dict[tuple[int, int | None], fx.GraphModule] = {}

    def taken(self, index: torch.Tensor) -> list[torch.Tensor]:
        """The inputs of some rows; those of all rows in their order are no copy."""
        every = torch.equal(index, torch.arange(self.rows.count))
        return [
            self.place.tensor(tensor if every else rows.select(tensor, index))
            for tensor, rows in self.rows.inputs
        ]

    def split(self, pieces: Pieces, order: torch.Tensor | None, size: int) -> Iterator[Pieces]:
        """Inputs in batches, in another order of the rows where one is given.

        On a CPU only as many batches are picked at once as stay in its cache.
        """
        kinds = [rows for _, rows in self.rows.inputs]
        if order is None:
            yield from _in_batches(pieces, kinds, size)
            return
        at_once = len(order)
        if self.place.device.type == "cpu":
            batch = sum(tensor.nbytes for tensor in pieces) * size // len(order)
            at_once = max(1, _CACHED // max(1, batch)) * size
        for index in torch.split(order.to(self.place.device), at_once):
            picked = [rows.select(item, index) for item, rows in zip(pieces, kinds, strict=True)]
            yield from _in_batches(picked, kinds, size)

    def counts(self, pieces: Pieces) -> list[bool]:
        """Whether some rows hold anything that counts, for each mean that does not count all."""
        return [bool(item.any()) for item in pieces[len(pieces) - self.rows.uneven :]]

    def __call__(
        self, pieces: Pieces, count: int, drawing: bool = False, as_many: int | None = None
    ) -> torch.Tensor:
        """The objective for ``count`` rows; ``drawing``: random cells are drawn anew."""
        program = self._programs.get((count, as_many))
        if program is None:
            program = self.place.program(self.rows.program(count, as_many))
            self._programs[count, as_many] = program
        if DRAWING in program._buffers:
            program.get_buffer(DRAWING).fill_(drawing)
        value: torch.Tensor = program(*pieces)
        return value


def _in_batches(pieces: Pieces, kinds: Sequence[RowDim], size: int) -> Iterator[Pieces]:
    columns = [rows.split(piece, size) for piece, rows in zip(pieces, kinds, strict=True)]
    return zip(*columns, strict=True)


class RowLoss(Loss):
    """The loss over the training rows; ``evaluate`` is over all of them.

    ``differentiate`` is over one of the ``batches``. ``validate`` is the objective of the rows that
    were held back (where it is a sum, of as many rows as are trained on), ``measure`` the metric on
    both. Random cells keep the sheet's values there, but for dropout, which is the identity where
    the program ``identity`` is given.
    """

    is_sheets = False

    def __init__(
        self, model: SheetModel, rows: RowObjective, split: Split, batch_size: int | None,
        metric: Metric | None, place: Placement, identity: RowObjective | None = None,
        by_columns: frozenset[str] = frozenset(), box: Box | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, box=box)
        self.in_batches = batch_size is not None
        self.by_columns = [model.get_parameter(name) for name in by_columns]
        self.batch_size = batch_size
        self.split = split
        self._program = PlacedRows(rows, place)
        self._training = self._program.taken(split.training)
        self._evaluation = PlacedRows(identity, place) if identity else self._program
        self._seen = self._evaluation.taken(split.training) if identity else self._training
        self._held = self._evaluation.taken(split.validation)
        self._name = "" if metric is None else metric.name
        self._metric = None if metric is None else PlacedRows(metric.rows, place)
        self._measured = [
            (self._metric.taken(index), len(index))
            for index in (split.training, split.validation)
            if self._metric is not None
        ]

    @property
    def count(self) -> int:
        """How many rows are trained on."""
        return len(self.split.training)

    @property
    def size(self) -> int:
        """How many rows a step is for; the last batch of an epoch may have fewer."""
        return min(self.batch_size or self.count, self.count)

    def output(self, drawing: bool) -> torch.Tensor:
        """The objective of all training rows."""
        if drawing:
            return self._program(self._training, self.count, drawing)
        return self._evaluation(self._seen, self.count)

    @torch.no_grad()
    def evaluate_value(self) -> float:
        """Loss of all training rows; the gradient stays that of the last batch."""
        value = self.output(drawing=False)
        self._point = None
        self.objective = float(value)
        return self._noted(self._of(value))

    def batches(self, generator: torch.Generator | None) -> Iterator[tuple[Pieces, int]]:
        """Batches of one epoch with their numbers of rows, shuffled where there is a generator.

        The order is ``torch.randperm(rows, generator=generator)``.
        """
        size = self.size
        order = None
        if generator is not None:
            order = torch.randperm(self.count, generator=generator)
        for place, pieces in enumerate(self._program.split(self._training, order, size)):
            if not self._program.rows.only_uneven or any(self._program.counts(pieces)):
                yield pieces, min(size, self.count - place * size)

    def differentiate(self, pieces: Pieces, count: int) -> float:
        """The objective of a batch; the gradient of its loss is then in the parameters.

        Beside a penalty that counts once, the sum is one over as many rows as all batches have.
        """
        as_many = self.count if self._program.rows.has_other_terms else None
        value = self._program(pieces, count, bool(self.model.drawn), as_many)
        self.forget_gradients()  # after the program, whose tensors would take their memory
        self._backward(value)
        self.mend_gradients()
        return self.objective

    @torch.no_grad()
    def validate(self) -> float:
        if not self.split.validated:
            return math.nan
        held = len(self.split.validation)
        if not all(self._evaluation.counts(self._held)):
            return math.nan
        return float(self._evaluation(self._held, held, as_many=self.count))

    def remarks(self, best: Iteration) -> list[str]:
        """What the rows are and what was done with them, in words; ``best`` is the answer."""
        rows = self._program.rows
        step = f", {self.size} row{'s' * (self.size > 1)} in a batch" if self.in_batches else ""
        found = [f"the objective is a {rows.form} {rows.cells}{step}"]
        if self.split.validated:
            found.append(
                f"held back for validation: {self.split.text}. The answer is iteration "
                f"{best.iteration}, whose objective is {best.objective:.8g} on the rows trained "
                f"on and {best.validation:.8g} on these"
                + (" (sums as if over as many rows)" if rows.is_sum else "")
            )
        if self._metric is not None:
            values = " and ".join(f"{value:.6g}" for value in best.metric if value == value)
            where = (
                "the rows trained on and those held back" if self.split.validated else "all rows"
            )
            found.append(f"{self._name} on {where}: {values}")
        return found

    @torch.no_grad()
    def measure(self) -> tuple[float, ...]:
        return tuple(
            float(self._metric(pieces, count)) if count else math.nan
            for pieces, count in self._measured
            if self._metric is not None
        )
