"""What the model predicts beside what was observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from xl2torch.errors import ModelError
from xl2torch.functions.array import Unsupported
from xl2torch.graph.blocks import given_numbers
from xl2torch.graph.naming import header
from xl2torch.graph.schedule import Evaluation
from xl2torch.jacobian import present_point
from xl2torch.model import SheetModel
from xl2torch.prediction import find_outputs
from xl2torch.residuals import find_residuals
from xl2torch.values import BLANK, NUMBER
from xl2torch.workbook.cells import Floats

_SAME = 1e-6


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
    if residuals is None or residuals.observed is None:
        raise ModelError(
            f"the objective {model.problem.objective} is no sum or mean of squared distances "
            "between predictions and observed numbers: there is no fit to draw"
        )
    observed = residuals.observed.numpy()
    with torch.no_grad():
        errors = residuals.function(present_point(model)).numpy()
    compiled = model.compiled
    areas = find_outputs(compiled.workbook, compiled.evaluation, model.problem.objective, None)
    given = [
        given_numbers(item.cells, model.parameter(item).detach().numpy())
        for item in model.variables
    ]
    evaluation = Evaluation(compiled.workbook, given)
    told = np.concatenate([evaluation.value(area).numpy().reshape(-1) for area in areas])
    # A residual is prediction less observation, or the other way round.
    for predicted in (observed + errors, observed - errors):
        if len(told) != len(predicted) or np.allclose(told, predicted, rtol=_SAME, atol=_SAME):
            break
    first = areas[0]
    name = header(compiled.workbook, first) or "predicted"
    inputs, heading = None, ""
    try:
        sources = model.predictor().inputs
        numeric = [item for item in sources if item.kinds <= {NUMBER, BLANK}]
        if len(sources) == len(numeric) == 1 and numeric[0].array.shape[2] == len(observed):
            inputs, heading = numeric[0].array.numpy().reshape(-1), numeric[0].name
    except (ModelError, Unsupported):
        pass
    return Fitted(observed, predicted, inputs, (heading, "observed", name))
