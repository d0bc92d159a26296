"""Start values of the variable cells."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from xl2torch.cells.address import CellRange
from xl2torch.errors import SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.freezing import frozen_cells

METHODS = ("present", "file", "normal", "uniform", "zeros")
DRAWN = frozenset({"normal", "uniform"})


@torch.no_grad()
def initialize(
    model: SheetModel, method: str, seed: int | None, held: Sequence[CellRange] = ()
) -> None:
    """Set all parameters: ``present`` leaves them, ``file`` takes the workbook's values; else they
    are drawn anew or zero.

    Cells that are ``held`` keep the present value, with ``file`` they have the workbook's.

    A range of n rows or columns is drawn with standard deviation 1/√n, n its shorter side's
    opposite (the number of weights that meet in one sum): LeCun et al., Efficient BackProp, 1998.
    """
    generator = torch.Generator()
    generator.manual_seed(torch.seed() % 2**63 if seed is None else seed)
    for variable in model.variables:
        parameter = model.parameter(variable)
        fan = max(variable.cells.rows, variable.cells.columns)
        scale = fan**-0.5
        if method == "present":
            continue
        if method == "file":
            drawn = variable.start
        elif method == "normal":
            drawn = scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        elif method == "uniform":
            drawn = (
                scale
                * 3**0.5
                * (2 * torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype) - 1)
            )
        elif method == "zeros":
            drawn = torch.zeros_like(parameter)
        else:
            raise SelectionError(f"no initialisation {method!r}; there are {', '.join(METHODS)}")
        kept = variable.start if method == "file" else parameter
        parameter.copy_(torch.where(frozen_cells(variable, held), kept, drawn))
