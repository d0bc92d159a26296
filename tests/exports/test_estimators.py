"""Estimators of scikit-learn: they keep its conventions, and the weights are the sheet's."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from corpus import WORKBOOKS
from grids import write_grid

import xl2torch
from xl2torch.cells.address import column_letters

SURVIVAL = WORKBOOKS / "survival.xlsx"

ROWS = "\n".join(f"{x} {3 * x - 2} =$A$1*A{x + 2}+$B$1 =(C{x + 2}-B{x + 2})^2" for x in range(1, 9))
LINE = f"0.5 0.5 =AVERAGE(D3:D10) .\nx y pred error\n{ROWS}"
MODEL: dict[str, Any] = {"objective": "C1", "variables": "A1:B1"}


def frame(count: int = 30) -> tuple[pandas.DataFrame, pandas.Series]:
    x = np.linspace(-1, 1, count)
    return pandas.DataFrame({"other": x**2, "x": x}), pandas.Series(5 * x + 1)


def test_a_regressor(tmp_path: Path) -> None:
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    book = write_grid(tmp_path / "b.xlsx", LINE)
    X, y = frame()
    regressor = xl2torch.SheetRegressor(book, **MODEL)
    found = clone(regressor).fit(X, y)
    assert found.score(X, y) == pytest.approx(1.0) and regressor.get_params()["objective"] == "C1"
    assert list(found.model_.cell_values().values()) == pytest.approx([5.0, 1.0], abs=1e-6)
    assert found.predict(X[["x"]].to_numpy()) == pytest.approx(y.to_numpy(), abs=1e-5)
    assert cross_val_score(regressor, X, y, cv=3).min() > 0.99
    piped = make_pipeline(FunctionTransformer(lambda table: 2 * table), regressor).fit(X, y)
    assert piped.score(X, y) == pytest.approx(1.0)
    alone = clone(regressor).set_params(steps=10).fit()
    assert list(alone.model_.cell_values().values()) == pytest.approx([3.0, -2.0], abs=1e-6)


def test_a_classifier() -> None:
    X = pandas.DataFrame({"Age": [4, 40, 30, 60, 5, 50] * 5, "IsMale": [0, 1, 0, 1, 0, 1] * 5,
                          "Class": [1, 3, 1, 3, 2, 2] * 5})  # fmt: skip
    y = np.array(["lived", "died"] * 15)
    found = xl2torch.SheetClassifier(SURVIVAL).fit(X, y)
    assert found.score(X, y) == 1.0 and set(found.classes_) == {"lived", "died"}
    assert found.predict_proba(X).shape == (30, 2)
    assert found.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(30))


@pytest.mark.parametrize("wrong", [pandas.DataFrame({"z": [1.0]}), np.ones((2, 5)), np.ones(3)])
def test_columns_that_an_estimator_wants(wrong: object, tmp_path: Path) -> None:
    regressor = xl2torch.SheetRegressor(write_grid(tmp_path / "b.xlsx", LINE), **MODEL)
    with pytest.raises(ValueError, match=r"columns? x|2D array"):
        regressor.fit(wrong, [1.0])


def test_an_estimator_that_is_not_fitted(tmp_path: Path) -> None:
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        xl2torch.SheetRegressor(tmp_path / "b.xlsx").predict([[1.0]])


def test_headings_match_whatever_their_spaces_and_capitals(tmp_path: Path) -> None:
    X, y = frame()
    regressor = xl2torch.SheetRegressor(write_grid(tmp_path / "b.xlsx", LINE), **MODEL)
    assert regressor.fit(X.rename(columns={"x": " X "}), y).score(X, y) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="have numbers for names"):
        regressor.predict(X[["x"]].rename(columns={"x": 2020}))


def test_targets_that_do_not_fit_are_told(tmp_path: Path) -> None:
    X, y = frame()
    regressor = xl2torch.SheetRegressor(write_grid(tmp_path / "b.xlsx", LINE), **MODEL)
    with pytest.raises(ValueError, match="y has"):
        regressor.fit(X, np.stack([y, y], 1))
    table = pandas.DataFrame({"Age": [4.0, 5, 6], "IsMale": [0, 1, 0], "Class": [1, 2, 3]})
    with pytest.raises(ValueError, match="y has 3 classes, the sheet tells 2 apart"):
        xl2torch.SheetClassifier(SURVIVAL).fit(table, ["a", "b", "c"])


# ---------------------------------------------------------------- scikit-learn's own checks


def wide_book(folder: Path, width: int) -> tuple[Path, str, str]:
    """A linear model of some columns; its objective and variable cells."""
    last, target, fit, error = (column_letters(width + place) for place in range(4))
    formula = f"=SUMPRODUCT($A$1:${last}$1,A{{r}}:{last}{{r}})+${target}$1"
    lines = [" ".join(["0.01"] * width + ["0", f"=AVERAGE({error}3:{error}7)"]),
             " ".join([*(f"x{place}" for place in range(width)), "y fit error"])]  # fmt: skip
    for r in range(3, 8):
        data = [str(r * 7 * (place + 1) % 11) for place in range(width)]
        lines.append(" ".join([*data, str(r), formula.format(r=r), f"=({fit}{r}-{target}{r})^2"]))
    return write_grid(folder / f"{width}.xlsx", "\n".join(lines)), f"{fit}1", f"A1:{target}1"


class AnyWidth(xl2torch.SheetRegressor):
    """A regressor whose sheet has as many columns as the data: the checks bring several."""

    def __init__(self, folder: Path, *, steps: int = 500) -> None:
        self.folder = folder
        self.steps = steps

    def _compile(self, X: Any) -> None:
        if X is not None:
            table = np.asarray(X)
            self._width = max(1, table.shape[1] if table.ndim == 2 else 1)
        path, objective, variables = wide_book(self.folder, self._width)
        self.model_ = xl2torch.compile(path, objective=objective, variables=variables)
        self.predictor_ = self.model_.predictor()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_conventions_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.utils.estimator_checks import estimator_checks_generator

    estimator = AnyWidth(tmp_path)
    done = 0
    for item, check in estimator_checks_generator(estimator):
        if getattr(check, "func", check).__name__ == "check_array_api_input":
            continue  # it needs a variable of the environment before scipy is loaded
        check(item)
        done += 1
    assert done > 40


def test_a_fitted_estimator_is_pickled_with_its_weights(tmp_path: Path) -> None:
    X, y = frame()
    regressor = xl2torch.SheetRegressor(write_grid(tmp_path / "b.xlsx", LINE), **MODEL).fit(X, y)
    again = pickle.loads(pickle.dumps(regressor))
    assert again.predict(X) == pytest.approx(regressor.predict(X), rel=1e-12)
