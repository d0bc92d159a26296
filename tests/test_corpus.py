"""Real Solver workbooks, end to end: the start value, the trained value, the written file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import CORPUS, requires_corpus
from judges import (
    cached_values,
)

import xl2torch
from xl2torch.arrays.array import constant
from xl2torch.cells.address import column_letters, single_cell
from xl2torch.errors import ModelError
from xl2torch.lowering.blocks import Block
from xl2torch.lowering.schedule import Evaluation
from xl2torch.training.result import Result
from xl2torch.workbook.read.selection import parse_cell

pytestmark = requires_corpus

MODELS = [
    # workbook, sheet, objective cell, must end at or below
    ("fastai-2022/titanic.xlsx", "mmult", "AA1", 0.1431521),
    ("fastai-2022/titanic.xlsx", "nnet", "AH1", 0.1431521),
    ("fastai-2022/titanic.xlsx", "linear", "AA7", 0.1442272),
    ("fastai-2022/collab_filter.xlsx", "dotprod", "V41", 0.3930),
    ("fastai-2022/collab_filter.xlsx", "movielens_emb", "AA3", 0.3930),
    ("fastai-2022/collab_filter.xlsx", "bias", "V42", 0.3187),
    ("fastai-2017/collab_filter.xlsx", "dotprod", "V41", 0.3930),
    ("fastai-2017/collab_filter.xlsx", "movielens_emb", "AA3", 0.3930),
    ("fastai-2017/collab_filter.xlsx", "bias", "V42", 4.5737),
    ("fastai-2017/layers_example.xlsx", "random", "C32", 1e-6),
]
IDS = [f"{Path(book).parent.name}/{Path(book).stem}-{sheet}" for book, sheet, _, _ in MODELS]
NOT_ROUNDED = 1e-12


@cache
def trained(book: str, sheet: str) -> Result:
    """One training run per model, shared by the tests."""
    return xl2torch.fit(xl2torch.compile(xl2torch.load(CORPUS / book), sheet))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every trained model written back, by test id."""
    folder = tmp_path_factory.mktemp("trained")
    paths = {}
    for name, (book, sheet, _, _) in zip(IDS, MODELS, strict=True):
        path = folder / (name.replace("/", "-") + Path(book).suffix)
        xl2torch.save(trained(book, sheet), path)
        paths[name] = path
    return paths


@pytest.mark.parametrize(("book", "sheet", "cell", "goal"), MODELS, ids=IDS)
def test_objective_before_training_is_excels(book: str, sheet: str, cell: str, goal: float) -> None:
    workbook = xl2torch.load(CORPUS / book)
    model = xl2torch.compile(workbook, sheet)
    address = parse_cell(workbook, cell, sheet)
    assert model.problem.objective == address
    cached = workbook.sheet(sheet).cells.value(address.row, address.column)
    assert isinstance(cached, float)
    assert model().item() == pytest.approx(cached, rel=NOT_ROUNDED)
    assert model().shape == () and str(model().dtype) == "torch.float64"


@pytest.mark.parametrize(("book", "sheet", "cell", "goal"), MODELS, ids=IDS)
def test_trains_to_the_goal(book: str, sheet: str, cell: str, goal: float) -> None:
    result = trained(book, sheet)
    assert result.final <= goal
    history = result.history
    assert len(history) == result.epochs + 1
    assert history["objective"].min() == result.final
    if result.model.problem.non_negative:
        assert min(weight.min().item() for weight in result.weights.values()) >= 0


def test_random_starts_from_its_cached_draws_and_stays_non_negative() -> None:
    model = trained("fastai-2017/layers_example.xlsx", "random").model
    assert model.problem.non_negative
    assert [variable.cells.a1 for variable in model.variables] == ["B5:E7", "B14:D17", "B24:C26"]
    assert model.variables[0].start[0, 0].item() == 1.777523365055214


def test_objective_that_no_variable_moves() -> None:
    workbook = xl2torch.load(CORPUS / "fastai-2017/layers_example.xlsx")
    with pytest.raises(ModelError, match="fixed!B32 is 0 whatever the variable cells are"):
        xl2torch.fit(xl2torch.compile(workbook, "fixed"))


@pytest.mark.slow
@pytest.mark.parametrize("sheet", ["nnet", "mmult"])
def test_random_starts_beat_the_stored_answer(sheet: str) -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "fastai-2022/titanic.xlsx"), sheet)
    best = min(xl2torch.fit(model, init="normal", seed=seed).final for seed in range(20))
    assert best < 0.1440


def test_verify_titanic_every_cell() -> None:
    total = xl2torch.verify(xl2torch.load(CORPUS / "fastai-2022/titanic.xlsx"))["total"]
    assert total["cells"] == total["compared"] == total["matched"] == 23_507
    assert total["mismatched"] == total["unsupported"] == total["uncached"] == 0


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CORPUS.glob("*/*.xls[xm]") if path.parent.name != "nist"),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_every_cell_is_excels_value(path: Path) -> None:
    """All but the cells that call RAND or its kin themselves."""
    total = xl2torch.verify(xl2torch.load(path))["total"]
    assert total["mismatched"] == total["unsupported"] == 0, total["cases"]
    assert total["matched"] == total["compared"] == total["cells"] - total["volatile"] > 0


# ---------------------------------------------------------------- convolutions


FILTERS = "AD11:AF13,AD38:AF40,BI11:BK13,BI15:BK17,BI38:BK40,BI42:BK44"
DROPOUT = "AD11:AF13,AD42:AF44,BK11:BM13,BK15:BM17,BK42:BM44,BK46:BM48"
PICTURES = [
    ("fastai-2017", "conv-example", "EN4", FILTERS),
    ("fastai-2022", "conv-example", "EN4", FILTERS),
    ("fastai-2022", "conv-example (dropout)", "II4", DROPOUT),
]


@cache
def picture(year: str, sheet: str, objective: str, filters: str) -> xl2torch.SheetModel:
    workbook = xl2torch.load(CORPUS / year / "conv-example.xlsx")
    return xl2torch.compile(workbook, sheet, objective, filters.split(","))


@pytest.mark.parametrize(("year", "sheet", "objective", "filters"), PICTURES)
def test_window_sums_are_convolutions(year: str, sheet: str, objective: str, filters: str) -> None:
    model = picture(year, sheet, objective, filters)
    workbook = model.compiled.workbook
    place = parse_cell(workbook, objective, sheet)
    cached = workbook.sheet(sheet).cells.value(place.row, place.column)
    assert model().item() == pytest.approx(cached, rel=NOT_ROUNDED)
    assert len(model.graph.nodes) <= 60
    targets = [node.target for node in model.graph.nodes if node.op == "call_function"]
    modules = {target.__module__ or "" for target in targets if hasattr(target, "__module__")}
    assert all(name.split(".")[0] in ("torch", "_operator", "") for name in modules), modules
    assert targets.count(torch.nn.functional.conv2d) == 2
    assert torch.nn.functional.max_pool2d in targets
    assert not any(node.op == "call_module" for node in model.graph.nodes)


@pytest.mark.parametrize(("year", "sheet", "objective", "filters"), PICTURES)
def test_gradient_of_the_filters(year: str, sheet: str, objective: str, filters: str) -> None:
    model = picture(year, sheet, objective, filters)
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(model(), parameters)
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    step = 1e-6
    ends = []
    with torch.no_grad():
        for sign in (1, -1):
            for parameter, way in zip(parameters, direction, strict=True):
                parameter.add_(way, alpha=sign * step)
            ends.append(model().item())
            for parameter, way in zip(parameters, direction, strict=True):
                parameter.add_(way, alpha=-sign * step)
    expected = sum(float((s * d).sum()) for s, d in zip(slopes, direction, strict=True))
    if year == "fastai-2022":
        # Equal values in a pool make a kink: the slope lies between those of both sides.
        middle = model().item()
        sides = sorted([(ends[0] - middle) / step, (middle - ends[1]) / step])
        assert sides[0] - 1e-3 <= expected <= sides[1] + 1e-3
    else:
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------- optimisers down the rows

OPTIMISERS = ["basic SGD", "momentum", "adagrad", "rmsprop", "adam", "eve", "adagrad_ann",
              "adam_ann"]  # fmt: skip


@pytest.mark.parametrize("sheet", OPTIMISERS)
def test_gradient_through_an_optimiser_written_down_the_rows(sheet: str) -> None:
    """The last prediction by the start values, against finite differences of the sheet itself."""
    workbook = xl2torch.load(CORPUS / "fastai-2017" / "graddesc.xlsm")
    model = xl2torch.compile(workbook, sheet, "E32", ["C1:C2"])
    model().backward()
    (parameter,) = model.parameters()
    assert parameter.grad is not None
    area = model.variables[0].cells
    place = parse_cell(workbook, "E32", sheet)
    for index in range(2):
        ends = []
        for step in (1e-6, -1e-6):
            start = model.variables[0].start.numpy().copy().reshape(1, 1, 2, 1)
            start[0, 0, index] += step
            evaluation = Evaluation(workbook, [Block(area, constant(start))])
            ends.append(float(evaluation.value(single_cell(place)).numpy().flat[0]))
        numeric = (ends[0] - ends[1]) / 2e-6
        assert parameter.grad[index].item() == pytest.approx(numeric, rel=1e-6, abs=1e-8)


# ---------------------------------------------------------------- NIST

RECORD = CORPUS.parent / "reference" / "excel-solver.md"


def starts_of_record() -> list[tuple[str, int, str]]:
    """Dataset, start and sum of squares there, from the record's table."""
    if not RECORD.exists():
        return []
    rows = (line.split("|")[1:-1] for line in RECORD.read_text(encoding="utf-8").splitlines())
    data = [[cell.strip() for cell in row] for row in rows if len(row) == 10]
    return [
        (row[0], start, row[7 + start])
        for row in data
        if row[0] and row[5].isdigit()
        for start in (1, 2)
    ]


@pytest.mark.skipif(not RECORD.exists(), reason="the NIST record is not beside this clone")
def test_nist_sums_of_squares_at_the_starts() -> None:
    cases = starts_of_record()
    assert len(cases) == 54
    for name, start, shown in cases:
        model = xl2torch.compile(xl2torch.load(CORPUS / "nist" / f"{name}_start{start}.xlsx"))
        digits = len(shown.split("e")[0].replace(".", "").lstrip("0"))
        assert f"{model().item():.{digits - 1}e}" == f"{float(shown):.{digits - 1}e}", (name, start)


# ---------------------------------------------------------------- the written files


@pytest.mark.parametrize(("book", "sheet", "cell", "goal"), MODELS, ids=IDS)
def test_written_values_are_consistent(
    book: str, sheet: str, cell: str, goal: float, outputs: dict[str, Path]
) -> None:
    output = outputs[f"{Path(book).parent.name}/{Path(book).stem}-{sheet}"]
    written = xl2torch.load(output)
    assert xl2torch.verify(written)["total"]["mismatched"] == 0
    assert written.sheet_order[-1] == "Answer Report 1"
    values = cached_values(output)
    assert values[sheet, cell] == pytest.approx(trained(book, sheet).final, rel=1e-9, abs=1e-15)
    for address, value in trained(book, sheet).model.cell_values().items():
        assert values[address.sheet, address.a1] == value


def test_numpy_agrees_where_libreoffice_cannot_compute(outputs: dict[str, Path]) -> None:
    """Sheet bias of 2022 uses SINGLE, which LibreOffice 7.4 lacks: its cells from their meaning."""
    values = cached_values(outputs["fastai-2022/collab_filter-bias"])

    def block(top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return np.array(
            [
                [values.get(("bias", f"{column_letters(column)}{row}"), np.nan)
                 for column in range(left, right + 1)]
                for row in range(top, bottom + 1)
            ],
            dtype=float,
        )  # fmt: skip

    ratings = block(2, 8, 16, 22)
    movie_bias, movies = block(19, 8, 19, 22), block(20, 8, 24, 22)
    user_bias, users = block(26, 1, 40, 1), block(26, 2, 40, 6)
    predicted = np.where(np.isnan(ratings), 0.0, users @ movies + movie_bias + user_bias)
    np.testing.assert_allclose(block(26, 8, 40, 22), predicted, rtol=1e-9, atol=1e-12)
    loss = np.sqrt(np.nansum((ratings - predicted) ** 2) / np.count_nonzero(~np.isnan(ratings)))
    assert values["bias", "V42"] == pytest.approx(loss, rel=1e-9)
