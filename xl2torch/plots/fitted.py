"""What the model predicts beside what was observed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from xl2torch.analysis.residuals import find_residuals
from xl2torch.arrays.array import Unsupported
from xl2torch.cells.values import BLANK, NUMBER
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.jacobian import present_point
from xl2torch.model.sheet_model import SheetModel
from xl2torch.rows.prediction import Predictor
from xl2torch.workbook.sparse_cells import Floats

_POINTS, _FEW, _DECADE = 200, 4, 30.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """Observed and predicted numbers; ``inputs`` where they are a function of one column.

    ``curve`` is that function at many places between, ``logarithmic`` whether the inputs stand
    evenly on a logarithmic scale.
    """

    observed: Floats
    predicted: Floats
    inputs: Floats | None
    names: tuple[str, str, str]
    curve: tuple[Floats, Floats] | None = None
    logarithmic: bool = False


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
    inputs, heading, curve = None, "", None
    try:
        predictor = model.row_formulas()
        name, sources = predictor.names[0], predictor.inputs
        numeric = [item for item in sources if item.kinds <= {NUMBER, BLANK}]
        if len(sources) == len(numeric) == 1 and numeric[0].array.shape[2] == len(observed):
            inputs, heading = numeric[0].array.numpy().reshape(-1), numeric[0].name
            curve = _curve(predictor, heading, inputs)
    except (ModelError, SelectionError, Unsupported):
        pass
    is_log = inputs is not None and _is_logarithmic(inputs)
    return Fitted(observed, predicted, inputs, (heading, "observed", name), curve, is_log)


def _curve(predictor: Predictor, heading: str, inputs: Floats) -> tuple[Floats, Floats] | None:
    """The prediction at many places between the least and the largest input."""
    low, high = float(inputs.min()), float(inputs.max())
    if not low < high:
        return None
    places = np.geomspace if _is_logarithmic(inputs) else np.linspace
    xs = places(low, high, _POINTS)
    ys = next(iter(predictor.predict({heading: xs.tolist()}).columns.values()))
    return xs, np.array([value if isinstance(value, float) else np.nan for value in ys])


def _is_logarithmic(inputs: Floats) -> bool:
    """Whether inputs span decades, and stand more evenly on a logarithmic scale."""
    places = np.unique(inputs)
    if len(places) < _FEW or places[0] <= 0 or places[-1] < _DECADE * places[0]:
        return False
    steps, ratios = np.diff(places), np.diff(np.log(places))
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())
