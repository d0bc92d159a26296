"""What the model predicts beside what was observed."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xl2torch.errors import ModelError, SelectionError
from xl2torch.functions.array import Unsupported
from xl2torch.jacobian import present_point
from xl2torch.model import SheetModel
from xl2torch.residuals import find_residuals
from xl2torch.values import BLANK, NUMBER
from xl2torch.workbook.cells import Floats


@dataclass(frozen=True, eq=False)
class Fitted:
    """Observed and predicted numbers; ``inputs`` where they are a function of one column."""

    observed: Floats
    predicted: Floats
    inputs: Floats | None
    names: tuple[str, str, str]


def fitted(model: SheetModel) -> Fitted:
    """Observed and predicted numbers at the present point.

    Raises ModelError where the objective is not about squared distances to what was observed.
    """
    residuals = find_residuals(model)
    if residuals is None or residuals.observed is None or residuals.sign is None:
        raise ModelError(
            f"the objective {model.problem.objective} is no sum or mean of squared distances "
            "between predictions and observed numbers: there is no fit to draw"
        )
    observed = residuals.observed.numpy()
    with torch.no_grad():
        errors = residuals.function(present_point(model)).numpy()
    predicted = observed + residuals.sign.numpy() * errors
    name = "predicted"
    inputs, heading = None, ""
    try:
        predictor = model.row_formulas()
        name, sources = predictor.names[0], predictor.inputs
        numeric = [item for item in sources if item.kinds <= {NUMBER, BLANK}]
        if len(sources) == len(numeric) == 1 and numeric[0].array.shape[2] == len(observed):
            inputs, heading = numeric[0].array.numpy().reshape(-1), numeric[0].name
    except (ModelError, SelectionError, Unsupported):
        pass
    return Fitted(observed, predicted, inputs, (heading, "observed", name))
