"""The module is the user's: fit goes on from its parameters, takes torch's own objects, and save
writes what a loop of the user's left."""

from __future__ import annotations

import functools
import io
import pickle
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from corpus import WORKBOOKS
from grids import grid, write_grid
from judges import cached_values

import xl2torch
from xl2torch.errors import SelectionError, WorkbookError

LINE = "1 5 =(A1-4)^2+(B1+2)^2"


def model_of(tmp_path: Path) -> xl2torch.SheetModel:
    return xl2torch.compile(grid(tmp_path, LINE), objective="C1", variables=["A1", "B1"])


def own_loop(model: xl2torch.SheetModel, steps: int = 20) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model().backward()
        optimizer.step()
    return optimizer


# ---------------------------------------------------------------- where a run begins


def test_fit_goes_on_from_where_the_module_is(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    first = model().item()
    own_loop(model)
    reached = model().item()
    result = xl2torch.fit(model, "adam", epochs=1)
    assert reached < first and result.start == reached and result.final <= reached
    assert result.history["objective"][0] == reached
    again = xl2torch.fit(model, "adam", epochs=1)
    assert again.start == result.final and again.final < result.final


def test_the_workbooks_values_are_asked_for_by_name(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    first = model().item()
    own_loop(model)
    result = xl2torch.fit(model, epochs=0, init="file")
    assert result.start == result.final == first == model().item()


def test_weights_that_were_loaded_stay(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    own_loop(model)
    reached, path = model().item(), tmp_path / "w.safetensors"
    xl2torch.export(model, path)
    fresh = model_of(tmp_path)
    xl2torch.load_weights(fresh, path)
    assert xl2torch.fit(fresh, epochs=0).final == fresh().item() == reached


def test_frozen_cells_keep_what_they_have(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    own_loop(model)
    kept = next(iter(model.cell_values().values()))
    xl2torch.fit(model, freeze="A1")
    assert next(iter(model.cell_values().values())) == kept


def test_a_run_without_an_answer_leaves_the_module_as_it_was(tmp_path: Path) -> None:
    model = xl2torch.compile(
        grid(tmp_path, LINE), objective="C1", variables=["A1", "B1"],
        constraints=["A1<=-9", "A1>=9"],
    )  # fmt: skip
    own_loop(model)
    before = list(model.cell_values().values())
    result = xl2torch.fit(model)
    assert result.stop.failed and list(model.cell_values().values()) == before


# ---------------------------------------------------------------- saving what a loop left


def test_a_model_is_saved_as_it_is(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    own_loop(model)
    saved = xl2torch.save(model, tmp_path / "out.xlsx", reports="all")
    held = cached_values(tmp_path / "out.xlsx")
    values = model.cell_values()
    assert [held["S", cell.a1] for cell in values] == list(values.values())
    assert held["S", "C1"] == pytest.approx(model().item(), rel=1e-12)
    assert "training" in saved.reports and "answer" in saved.reports
    texts = [str(value) for (sheet, _), value in held.items() if "Report" in sheet]
    assert any("Weights set in Python" in text for text in texts)
    assert any("none: weights set in Python" in text for text in texts)


def test_a_result_is_saved_as_it_was_though_the_module_went_on(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    result = xl2torch.fit(model, "adam", epochs=5)
    own_loop(model)
    on = model().item()
    xl2torch.save(result, tmp_path / "out.xlsx")
    assert cached_values(tmp_path / "out.xlsx")["S", "C1"] == pytest.approx(result.final)
    assert xl2torch.report(result, "answer")["objective"]["final"][0] == pytest.approx(result.final)
    assert model().item() == on


def test_reports_of_a_model(tmp_path: Path) -> None:
    model = model_of(tmp_path)
    own_loop(model)
    table = xl2torch.report(model, "answer")["variables"]
    assert table["final"].tolist() == list(model.cell_values().values())
    with pytest.raises(SelectionError, match="or a model is wanted"):
        xl2torch.save("out.xlsx", tmp_path / "out.xlsx")  # type: ignore[arg-type]


# ---------------------------------------------------------------- torch's own objects


class Halving(torch.optim.Optimizer):
    """Goes a part of the gradient; no class of torch.optim."""

    def __init__(self, params: object, lr: float = 0.25) -> None:
        super().__init__(params, {"lr": lr})  # type: ignore[arg-type]

    def step(self, closure: object = None) -> None:  # type: ignore[override]
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter -= group["lr"] * parameter.grad


OPTIMIZERS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "class": (torch.optim.AdamW, {"lr": 0.4}, "AdamW (torch"),
    "own class": (Halving, {"lr": 0.2}, "halving (given in Python)"),
    "partial": (functools.partial(torch.optim.SGD, momentum=0.5), {"lr": 0.1}, "SGD (torch"),
    "function": (lambda own: torch.optim.SGD(own, lr=0.1), {}, "own lambda (given in Python)"),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_classes_and_functions(kind: str, tmp_path: Path) -> None:
    given, options, name = OPTIMIZERS[kind]
    model = model_of(tmp_path)
    result = xl2torch.fit(model, given, epochs=30, **options)
    assert result.final < 1.0 and result.settings.solver.startswith(name)
    assert result.settings.lr == options.get("lr", 0.1)


def test_a_function_of_a_name_that_is_taken_is_still_the_users(tmp_path: Path) -> None:
    """Newton's method is a solver of ours, lbfgs too; neither steps in for a function so named."""
    made = []

    def newton(parameters: Any) -> torch.optim.Optimizer:
        made.append("newton")
        return torch.optim.SGD(parameters, lr=0.1)

    result = xl2torch.fit(model_of(tmp_path), newton, epochs=5)
    assert made == ["newton"] and result.settings.optimizer == "own newton" and result.epochs == 5


def test_a_class_is_its_name(tmp_path: Path) -> None:
    by_class = xl2torch.fit(model_of(tmp_path), torch.optim.RMSprop, lr=0.05, epochs=9)
    by_name = xl2torch.fit(model_of(tmp_path), "rmsprop", lr=0.05, epochs=9)
    assert by_class.final == by_name.final


def test_an_instance_goes_on_with_what_it_remembers(tmp_path: Path) -> None:
    """Ten steps of the user's and ten of ours are twenty steps of Adam."""
    half, whole = model_of(tmp_path), model_of(tmp_path)
    optimizer = own_loop(half, 10)
    result = xl2torch.fit(half, optimizer, epochs=10)
    own_loop(whole, 20)
    assert result.history["objective"].iloc[-1] == pytest.approx(whole().item(), rel=1e-12)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (5, {}, "an optimizer is a name"),
        (lambda own: 5, {}, "lambda made 5"),
        (lambda own: torch.optim.LBFGS(own), {}, "optimizer='lbfgs'"),
        (torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), {}, "model.parameters()"),
        (torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), {"lr": 1.0}, "its own lr"),
        ("adam", {"lr": "0.1"}, "`lr` is a number"),
        ("adam", {"epochs": 2.5}, "`epochs` is a whole number"),
        ("adam", {"on_iteration": "print"}, "on_iteration is a function"),
        ("adam", {"batch_size": "8"}, "`batch_size` is a whole number"),
        ("adam", {"seed": "zero"}, "`seed` is a whole number"),
    ],
)
def test_what_is_wanted_is_said(
    given: object, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SelectionError, match=message):
        xl2torch.fit(model_of(tmp_path), given, **options)  # type: ignore[arg-type]


# ---------------------------------------------------------------- workbooks, paths, streams


def test_a_workbook_or_a_path_in_the_place_of_a_model() -> None:
    path = WORKBOOKS / "line.xlsx"
    results = [xl2torch.fit(given) for given in (path, str(path), xl2torch.load(path))]
    assert len({result.final for result in results}) == 1
    assert xl2torch.compile(path)().item() == xl2torch.compile(str(path))().item()
    with pytest.raises(SelectionError, match="not int"):
        xl2torch.fit(5)  # type: ignore[arg-type]


def test_a_workbook_in_memory(tmp_path: Path) -> None:
    path = write_grid(tmp_path / "b.xlsx", LINE)
    stream = io.BytesIO()
    stream.write(path.read_bytes())  # and is at its end, as after openpyxl saved into it
    model = xl2torch.compile(xl2torch.load(stream), objective="C1", variables=["A1", "B1"])
    path.unlink()
    xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    xl2torch.export(model, tmp_path / "w.safetensors")
    assert cached_values(tmp_path / "out.xlsx")["S", "A1"] == pytest.approx(4.0)
    with pytest.raises(WorkbookError, match="'rb'"):
        xl2torch.load(io.StringIO("a,b"))  # type: ignore[arg-type]


def test_validation_as_a_number_and_rows_as_a_dict() -> None:
    path = WORKBOOKS / "survival.xlsx"
    result = xl2torch.fit(path, "adam", validation=0.2, epochs=2, seed=1)
    assert result.settings.validation == "0.2" and result.validated
    row = {"Age": 22, "IsMale": 1, "Class": 3}
    one = result.model.predict(row)
    several = result.model.predict({name: [value, value] for name, value in row.items()})
    frame = result.model.predict(pandas.DataFrame([row]))
    assert one.equals(frame) and len(several) == 2
    with pytest.raises(SelectionError, match="a DataFrame or a dict"):
        result.model.predict([1, 2])  # type: ignore[arg-type]


def test_the_seed_of_torch_counts_and_is_recorded() -> None:
    path = WORKBOOKS / "survival.xlsx"
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(xl2torch.fit(path, init="normal", epochs=3))
    first, second, third = runs
    assert first.final == second.final != third.final
    assert first.settings.seed is not None
    again = xl2torch.fit(path, init="normal", epochs=3, seed=first.settings.seed)
    assert again.final == first.final


def test_a_model_is_not_pickled(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="state_dict"):
        pickle.dumps(model_of(tmp_path))
    with pytest.raises(TypeError, match="state_dict"):
        torch.save(model_of(tmp_path), tmp_path / "m.pt")
