"""The row formulas of a sheet as scikit-learn estimators: fit, predict, score, in its pipelines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from xl2torch.errors import SelectionError
from xl2torch.model.sheet_model import compile
from xl2torch.rows.prediction import header_key
from xl2torch.training.fit import fit

_STEPS = 500
_LEAST = 1e-12


class WrongRows(SelectionError, ValueError):
    """Rows that are not those of the sheet: a ValueError, as scikit-learn raises."""


class _SheetEstimator(BaseEstimator):  # type: ignore[misc]
    """What regressor and classifier share.

    ``book`` is a workbook or its path; ``sheet``, ``objective`` and ``variables`` name its model as
    ``compile`` does, ``outputs`` the columns of predictions. Columns of a DataFrame are found by
    heading; those of an array stand in the order of ``feature_names_in_``.
    """

    def __init__(
        self, book: Any, *, sheet: str | None = None, objective: str | None = None,
        variables: Any = None, outputs: str | None = None, steps: int = _STEPS,
    ) -> None:  # fmt: skip
        self.book = book
        self.sheet = sheet
        self.objective = objective
        self.variables = variables
        self.outputs = outputs
        self.steps = steps

    def fit(self, X: Any = None, y: Any = None) -> Any:
        """Train the weights: on rows and targets, or without any on the sheet's own."""
        self._compile(X)
        names = self.predictor_.inputs
        self.feature_names_in_ = np.array([self.predictor_.headers[name] for name in names])
        self.n_features_in_ = len(names)
        if X is None:
            self.result_ = fit(self.model_)
            return self
        if y is None:
            raise WrongRows(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        columns = self._columns(X)
        several = getattr(y, "ndim", 1) == 2 and y.shape[1] > 1
        y = y if several else column_or_1d(y, warn=True)
        check_consistent_length(columns[0], y)
        target = self._target(y)
        with torch.no_grad():
            self._check_target(self.predictor_(*columns), target)
        optimizer = torch.optim.LBFGS(
            self.model_.parameters(), max_iter=self.steps, line_search_fn="strong_wolfe",
            tolerance_grad=1e-10, tolerance_change=1e-14,
        )  # fmt: skip

        def closure() -> float:
            optimizer.zero_grad()
            loss = self._loss(self.predictor_(*columns), target)
            torch.autograd.backward(loss)
            return float(loss.detach())

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.loss_ = closure()
        return self

    def _compile(self, X: Any) -> None:
        self.model_ = compile(self.book, self.sheet, self.objective, self.variables)
        self.predictor_ = self.model_.predictor(self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        """Its parameters and weights: what is pickled. The workbook is read again."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("predictor_", None)
        state.pop("result_", None)
        model = state.pop("model_", None)
        if model is not None:
            state["_weights"] = [item.detach().numpy().copy() for item in model.parameters()]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is not None:
            self._compile(None)
            for parameter, values in zip(self.model_.parameters(), weights, strict=True):
                parameter.detach().copy_(torch.from_numpy(values))

    def _columns(self, X: Any) -> list[torch.Tensor]:
        """Columns in the order of the predictor's arguments. Raises WrongRows or ValueError."""
        names = list(self.feature_names_in_)
        given = list(getattr(X, "columns", ()))
        if any(isinstance(name, str) for name in given):
            known = {header_key(str(name)): name for name in reversed(given)}
            missing = [name for name in names if header_key(name) not in known]
            if missing:
                raise WrongRows(f"the data has no column {', '.join(missing)}")
            X = X[[known[header_key(name)] for name in names]]
        elif given and given != list(range(len(given))):
            raise WrongRows(
                f"the columns {', '.join(map(str, given))} have numbers for names: give them as "
                f"texts, {', '.join(names)}, or an array in that order"
            )
        table = check_array(X, dtype=np.float64)
        if table.shape[1] != len(names):
            raise WrongRows(
                f"X has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{len(names)} features as input: the columns {', '.join(names)}"
            )
        return [torch.from_numpy(np.array(column)) for column in table.T]

    def _predicted(self, X: Any) -> np.ndarray[Any, Any]:
        check_is_fitted(self, "predictor_")
        with torch.no_grad():
            found = self.predictor_(*self._columns(X))
        numbers: np.ndarray[Any, Any] = _one(found).numpy()
        return numbers

    def _target(self, y: np.ndarray[Any, Any]) -> torch.Tensor:
        raise NotImplementedError

    def _check_target(self, predicted: Any, target: torch.Tensor) -> None:
        """Raise WrongRows where targets do not fit to what the sheet predicts."""
        raise NotImplementedError

    def _loss(self, predicted: Any, target: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def _one(predicted: Any) -> torch.Tensor:
    """Predictions as one tensor: several vectors as columns."""
    several = isinstance(predicted, tuple)
    found: torch.Tensor = torch.stack(predicted, dim=1) if several else predicted
    return found


class SheetRegressor(RegressorMixin, _SheetEstimator):  # type: ignore[misc]
    """The row formulas of a sheet as a regressor of scikit-learn, fitted by least squares.

    Args:
        book: The path of a workbook.
        sheet: The sheet to work on.
        objective: The objective cell, not the stored one.
        variables: The variable cells, not the stored ones.
        outputs: The column of predictions, by default that nearest before the loss.
        steps: Most iterations of L-BFGS.

    Raises:
        WrongRows: From ``fit`` and ``predict``, for data that do not fit the sheet's columns:
            arrays of shape (rows, columns), or frames with the sheet's headings.

    Example:
        >>> import pandas
        >>> line = xl2torch.SheetRegressor("workbooks/line.xlsx")
        >>> line = line.fit(pandas.DataFrame({"x": [1.0, 2.0, 3.0]}), [3.0, 5.0, 7.0])
        >>> line.predict(pandas.DataFrame({"x": [10.0]})).round(6).tolist()
        [21.0]
    """

    def _target(self, y: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(check_array(y, dtype=np.float64, ensure_2d=False, copy=True))

    def _loss(self, predicted: Any, target: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(_one(predicted), target)

    def _check_target(self, predicted: Any, target: torch.Tensor) -> None:
        shape = tuple(_one(predicted).shape)
        if shape != tuple(target.shape):
            raise WrongRows(f"the sheet predicts {shape} numbers, y has {tuple(target.shape)}")

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Predictions of rows."""
        return self._predicted(X)


class SheetClassifier(ClassifierMixin, _SheetEstimator):  # type: ignore[misc]
    """The row formulas of a sheet as a classifier of scikit-learn, fitted by likelihood.

    The sheet predicts a probability, or one in a column for each class.

    Args:
        book: The path of a workbook.
        sheet: The sheet to work on.
        objective: The objective cell, not the stored one.
        variables: The variable cells, not the stored ones.
        outputs: The columns of probabilities, by default those nearest before the loss.
        steps: Most iterations of L-BFGS.

    Raises:
        WrongRows: From ``fit`` and ``predict``, for data that do not fit the sheet's columns, or
            more classes than it tells apart.

    Example:
        >>> import openpyxl, pandas
        >>> book = openpyxl.Workbook()
        >>> for row in (["slope", 0.5, "=AVERAGE(D4:D7)"], [], ["x", "p", "y", "loss"]):
        ...     book.active.append(row)
        >>> for r, (x, y) in enumerate([(-2, 0), (-1, 1), (1, 0), (3, 1)], 4):
        ...     book.active.append([x, f"=1/(1+EXP(-$B$1*A{r}))", y, f"=(B{r}-C{r})^2"])
        >>> book.save("logit.xlsx")
        >>> logit = xl2torch.SheetClassifier("logit.xlsx", objective="C1", variables="B1")
        >>> rows = pandas.DataFrame({"x": [-2.0, -1.0, 1.0, 3.0]})
        >>> logit.fit(rows, ["no", "yes", "no", "yes"]).predict(rows).tolist()
        ['no', 'no', 'yes', 'yes']
    """

    def _target(self, y: np.ndarray[Any, Any]) -> torch.Tensor:
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        return torch.as_tensor(places)

    def _check_target(self, predicted: Any, target: torch.Tensor) -> None:
        shape = _one(predicted).shape
        most = 2 if len(shape) == 1 else int(shape[1])
        if len(self.classes_) > most:
            raise WrongRows(f"y has {len(self.classes_)} classes, the sheet tells {most} apart")

    def _loss(self, predicted: Any, target: torch.Tensor) -> torch.Tensor:
        predicted = _one(predicted)
        if predicted.dim() == 1:
            chance = predicted.clamp(_LEAST, 1 - _LEAST)
            return torch.nn.functional.binary_cross_entropy(chance, target.double())
        shares = predicted.clamp_min(_LEAST)
        logs = torch.log(shares / shares.sum(dim=1, keepdim=True))
        return torch.nn.functional.nll_loss(logs, target)

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """Probabilities of the classes, a column for each."""
        found = self._predicted(X)
        if found.ndim == 1:
            return np.stack([1 - found, found], axis=1)
        shares: np.ndarray[Any, Any] = found / found.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The likeliest class of rows; of a sheet that was trained alone, by its number."""
        places = self.predict_proba(X).argmax(axis=1)
        classes = getattr(self, "classes_", np.arange(places.max(initial=0) + 1))
        found: np.ndarray[Any, Any] = classes[places]
        return found
