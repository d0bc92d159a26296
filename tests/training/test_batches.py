"""Training in mini-batches: beside full batches and hand-written loops, with rows held back."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import grid

import xl2torch
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.result import Result
from xl2torch.training.rows.epochs import Batch

X = torch.linspace(-1, 1, 23, dtype=torch.float64)
Y = 2 * X - 0.5 + torch.sin(9 * X)


def line(tmp_path: Path, objective: str = "=AVERAGE(D3:D25)") -> SheetModel:
    """y = a·x + b on 23 rows; C is a split column."""
    lines = [f"{objective} 0.3 -0.2", "x y Split"]
    for row, (x, y) in enumerate(zip(X.tolist(), Y.tolist(), strict=True), 3):
        split = "valid" if row % 4 == 0 else "train"
        lines.append(f"{x!r} {y!r} {split} =($B$1*A{row}+$C$1-B{row})^2")
    return xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1:C1", sense="min"
    )


def by_hand(
    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer], size: int, epochs: int,
    seed: int | None, rows: torch.Tensor | None = None,
) -> list[float]:  # fmt: skip
    """Losses of all rows before the first and after each epoch."""
    x, y = (X, Y) if rows is None else (X[rows], Y[rows])
    weights = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    optimizer = make([weights])
    generator = None if seed is None else torch.Generator().manual_seed(seed)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((weights[0] * x + weights[1] - y) ** 2).mean()

    losses = [loss(x, y).item()]
    for _ in range(epochs):
        order = torch.arange(len(x))
        if generator is not None:
            order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), size):
            chosen = order[start : start + size]
            optimizer.zero_grad()
            torch.autograd.backward(loss(x[chosen], y[chosen]))
            optimizer.step()
        losses.append(loss(x, y).item())
    return losses


def objectives(result: Result) -> list[float]:
    return [row.objective for row in result.iterations]


OPTIMIZERS: list[tuple[str, dict[str, Any], Any]] = [
    ("sgd", {}, lambda w: torch.optim.SGD(w, lr=0.05)),
    ("adam", {}, lambda w: torch.optim.Adam(w, lr=0.05)),
    ("momentum", {"dampening": 0.5}, lambda w: torch.optim.SGD(w, 0.05, 0.9, 0.5)),
]


@pytest.mark.parametrize(("name", "arguments", "make"), OPTIMIZERS)
@pytest.mark.parametrize("size", [1, 4, 23, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_same_losses_as_a_loop_by_hand(
    name: str, arguments: dict[str, Any], make: Any, size: int, shuffle: bool, tmp_path: Path
) -> None:
    result = xl2torch.fit(
        line(tmp_path), name, lr=0.05, arguments=arguments, epochs=6, batch_size=size, seed=7,
        shuffle=shuffle,
    )  # fmt: skip
    expected = by_hand(make, size, 6, 7 if shuffle else None)
    assert objectives(result) == pytest.approx(expected, rel=1e-10)
    assert result.epochs == 6 and result.settings.batch_size == size


@pytest.mark.parametrize("objective", [
    "=AVERAGE(D3:D25)", "=SUM(D3:D25)", "=SQRT(AVERAGE(D3:D25))",
    "=SUM(D3:D25)/COUNT(D3:D25)+0.01*SUMSQ(B1:C1)", "=AVERAGE(D:D)", "=SUM(D2:D99)",
    '=AVERAGE(FILTER(D3:D25,C3:C25="train"))', "=AVERAGE(D3:D9,D10:D25)",
])  # fmt: skip
@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_one_batch_of_all_rows_is_full_batch(objective: str, name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"lr": 0.003, "epochs": 30}
    full = xl2torch.fit(line(tmp_path, objective), name, **options)
    batch = xl2torch.fit(line(tmp_path, objective), name, batch_size=23, **options)
    assert objectives(batch) == pytest.approx(objectives(full), rel=1e-12)
    ours, theirs = batch.iterations[-1].variables, full.iterations[-1].variables
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_a_penalty_counts_once_beside_a_sum(tmp_path: Path) -> None:
    """A step on a sum with a penalty goes the way of the mean with its share of the penalty."""
    means = line(tmp_path, "=SUM(D3:D25)/COUNT(D3:D25)+0.2*SUMSQ(B1:C1)")
    mean = xl2torch.fit(means, "sgd", lr=0.023, epochs=5, batch_size=4, seed=1)
    sums = line(tmp_path, "=SUM(D3:D25)+4.6*SUMSQ(B1:C1)")
    whole = xl2torch.fit(sums, "sgd", lr=0.001, epochs=5, batch_size=4, seed=1)
    assert whole.iterations[-1].variables == pytest.approx(mean.iterations[-1].variables, rel=1e-12)


def test_rows_of_a_part_of_a_column(tmp_path: Path) -> None:
    options: dict[str, Any] = {"lr": 0.05, "epochs": 6, "batch_size": 4, "seed": 7}
    result = xl2torch.fit(line(tmp_path, "=AVERAGE(D6:D15)"), "sgd", **options)
    rows = torch.arange(3, 13)
    expected = by_hand(lambda w: torch.optim.SGD(w, lr=0.05), 4, 6, 7, rows)
    assert objectives(result) == pytest.approx(expected, rel=1e-10)
    assert "over rows S!D6:D15, 4 rows in a batch" in " ".join(result.remarks)


LAYER = {
    "F1:G4": "MMULT($A{r}:$C{r},{u}$1:{u}$3)+{u}$4",
    "F1:I2": "SUMPRODUCT($A{r}:$C{r},$F${n}:$H${n})+$I${n}",
}


@pytest.mark.parametrize("variables", LAYER)
@pytest.mark.parametrize(("name", "options"), [
    ("adam", {}), ("sgd", {"momentum": 0.9}), ("rmsprop", {}), ("adam", {"fused": False}),
    ("adamw", {"weight_decay": 0.1}),
])  # fmt: skip
def test_a_layer_with_its_bias(
    variables: str, name: str, options: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    """Two units over data, weights and bias in one range, beside the plain program's batches."""
    monkeypatch.setattr("xl2torch.training.rows.row_loss._CACHED", 300)  # three batches at once
    lines = ["=AVERAGE(L6:L28) . . . . 0.3 -0.2 0.5 0.1", ". . . . . 0.7 0.4 -0.6 0.2",
             ". . . . . -0.1 0.8", ". . . . . 0.25 -0.35", "."]  # fmt: skip
    for row, (x, y) in enumerate(zip(X.tolist(), Y.tolist(), strict=True), 6):
        units = [
            f"=TANH({LAYER[variables].format(r=row, u=u, n=n)})" for n, u in ((1, "F"), (2, "G"))
        ]
        lines.append(
            f"{x!r} {row % 3} {x * x!r} {y!r} . . . . . {' '.join(units)} =(J{row}+K{row}-D{row})^2"
        )
    workbook = grid(tmp_path, "\n".join(lines))
    model = xl2torch.compile(workbook, objective="A1", variables=variables, sense="min")
    result = xl2torch.fit(
        model, name, lr=0.05, arguments=options, epochs=5, batch_size=2, seed=3, clip_norm=0.5
    )
    plain = xl2torch.compile(workbook, objective="A1", variables=variables, sense="min")
    (parameter,) = plain.parameters()
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop,
            "adamw": torch.optim.AdamW}[name]  # fmt: skip
    optimizer = kind([parameter], lr=0.05, **options)
    rows = plain.row_objective()
    generator = torch.Generator().manual_seed(3)
    losses = [plain().item()]
    for _ in range(5):
        for index in torch.split(torch.randperm(23, generator=generator), 2):
            optimizer.zero_grad()
            taken = [kind.select(tensor, index) for tensor, kind in rows.inputs]
            rows.program(len(index))(*taken).backward()
            torch.nn.utils.clip_grad_norm_([parameter], 0.5)
            optimizer.step()
        losses.append(plain().item())
    assert objectives(result) == pytest.approx(losses, rel=1e-10)
    (trained,) = model.parameters()
    assert trained.is_contiguous() and all(item.is_contiguous() for item in result.weights.values())
    last = result.iterations[-1].variables
    assert last == pytest.approx(parameter.reshape(-1).tolist(), rel=1e-9)


@requires_corpus
@pytest.mark.parametrize(("book", "sheet", "rows"), [
    ("titanic.xlsx", "nnet", 712), ("titanic.xlsx", "mmult", 712),
    ("collab_filter.xlsx", "dotprod", 15), ("collab_filter.xlsx", "bias", 15),
    ("collab_filter.xlsx", "movielens_emb", 206),
])  # fmt: skip
def test_one_batch_of_a_corpus_model(book: str, sheet: str, rows: int) -> None:
    workbook = xl2torch.load(CORPUS / "fastai-2022" / book)
    options: dict[str, Any] = {"lr": 0.01, "epochs": 20, "seed": 3, "init": "normal"}
    full = xl2torch.fit(xl2torch.compile(workbook, sheet), "adam", **options)
    model = xl2torch.compile(workbook, sheet)
    batch = xl2torch.fit(model, "adam", batch_size=rows, shuffle=False, **options)
    assert objectives(batch) == pytest.approx(objectives(full), rel=1e-12)


def test_rows_held_back_do_not_count(tmp_path: Path) -> None:
    """Fraction, rows and a column: training is that of the other rows alone."""
    held = [row for row in range(3, 26) if row % 4 == 0]
    trained = torch.tensor([row - 3 for row in range(3, 26) if row not in held])
    result = xl2torch.fit(
        line(tmp_path), "sgd", lr=0.05, epochs=8, batch_size=5, seed=2, validation="Split=VALID"
    )
    expected = by_hand(lambda w: torch.optim.SGD(w, lr=0.05), 5, 8, 2, trained)
    assert objectives(result) == pytest.approx(expected, rel=1e-10)
    a, b = result.iterations[-1].variables
    there = torch.tensor([row - 3 for row in held])
    errors = (a * X[there] + b - Y[there]) ** 2
    last = result.iterations[-1]
    assert last.validation == pytest.approx(errors.mean().item(), rel=1e-12)
    assert last.gap == pytest.approx(last.validation - last.objective)
    frame = result.history
    assert frame["validation"].iloc[-1] == last.validation and frame["gap"].iloc[-1] == last.gap


def test_rows_of_the_sheet_and_a_fraction(tmp_path: Path) -> None:
    ranged = xl2torch.fit(line(tmp_path), validation="A20:A25")
    assert ranged.settings.optimizer == "lbfgs" and "the rows of A20:A25" in ranged.remarks[-1]
    points = torch.arange(17)
    design = torch.stack([X[points], torch.ones(17, dtype=torch.float64)], 1)
    errors = design @ torch.linalg.lstsq(design, Y[points, None]).solution - Y[points, None]
    assert min(objectives(ranged)) == pytest.approx(errors.square().mean().item(), rel=1e-9)
    drawn = [
        xl2torch.fit(line(tmp_path), validation="0.25", seed=seed, epochs=3) for seed in (1, 1, 2)
    ]
    assert objectives(drawn[0]) == objectives(drawn[1]) != objectives(drawn[2])
    assert "6 of 23 rows: 0.25 of the rows, drawn with seed 1" in drawn[0].remarks[-1]


def test_a_sum_is_compared_over_as_many_rows(tmp_path: Path) -> None:
    runs = [
        xl2torch.fit(line(tmp_path, text), epochs=2, validation="A20:A25")
        for text in ("=SUM(D3:D25)", "=AVERAGE(D3:D25)")
    ]
    first, second = (run.iterations[0] for run in runs)
    assert first.objective == pytest.approx(17 * second.objective, rel=1e-12)
    assert first.validation == pytest.approx(17 * second.validation, rel=1e-12)


def test_patience_and_the_best_point(tmp_path: Path) -> None:
    result = xl2torch.fit(
        line(tmp_path), "sgd", lr=0.3, epochs=500, batch_size=3, seed=1, validation="0.3",
        patience=7,
    )  # fmt: skip
    held = [row.validation for row in result.iterations]
    best = held.index(min(held))
    assert result.best == best and result.epochs == best + 7 < 500
    assert result.stop.code == 2 and f"number {best}" in result.message
    assert result.weights["b1_c1"].tolist() == pytest.approx(result.iterations[best].variables)
    assert result.final == pytest.approx(line_loss(*result.iterations[best].variables), rel=1e-12)


def line_loss(a: float, b: float) -> float:
    return float(((a * X + b - Y) ** 2).mean())


def test_the_schedule_steps_by_epochs(tmp_path: Path) -> None:
    result = xl2torch.fit(
        line(tmp_path), "sgd", lr=0.1, epochs=4, batch_size=5, schedule="step,step_size=2,gamma=0.5"
    )
    assert [row.learning_rate for row in result.iterations] == [0.1, 0.1, 0.05, 0.05, 0.025]


def test_batches_are_told(tmp_path: Path) -> None:
    seen: list[Batch] = []
    xl2torch.fit(
        line(tmp_path), "sgd", epochs=2, batch_size=10, validation="A20:A25", on_batch=seen.append
    )
    assert [(item.phase, item.epoch, item.done, item.total) for item in seen] == [
        ("training", 1, 1, 2), ("training", 1, 2, 2), ("validation", 1, 1, 1),
        ("training", 2, 1, 2), ("training", 2, 2, 2), ("validation", 2, 1, 1),
    ]  # fmt: skip


def test_an_explosion_is_noticed(tmp_path: Path) -> None:
    result = xl2torch.fit(line(tmp_path), "sgd", lr=50, epochs=100, batch_size=4)
    assert result.stop.code == 4 and "smaller `lr`" in result.message
    assert math.isfinite(result.final)


def test_single_precision(tmp_path: Path) -> None:
    runs = [
        xl2torch.fit(line(tmp_path), "sgd", lr=0.05, epochs=5, batch_size=4, seed=1, dtype=dtype)
        for dtype in ("float64", "float32")
    ]
    assert objectives(runs[0]) == pytest.approx(objectives(runs[1]), rel=1e-5)
    assert objectives(runs[0]) != objectives(runs[1])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"optimizer": "lbfgs", "batch_size": 4}, "leave out `batch_size`"),
    ({"optimizer": "least-squares", "validation": "0.2"}, 'leave out `optimizer="least-squares"`'),
    ({"engine": "scipy", "batch_size": 4}, "leave out `engine`"),
    ({"batch_size": 0}, "`batch_size` is a whole number at least 1"),
    ({"batch_size": 2.5}, "`batch_size` is a whole number at least 1"),
    ({"metric": "acuracy"}, "there are accuracy, error_rate, and cells"),
    ({"validation": "20%"}, "give a fraction such as 0.2"),
    ({"patience": 0}, "`patience` is a whole number at least 1"),
    ({"validation": "1.5"}, "between 0 and 1"),
    ({"validation": "0.001"}, "leaves no row"),
    ({"validation": "A1:A2"}, "holds none of the rows S!D3:D25"),
    ({"validation": "A1:A30"}, "leaves no row for training"),
    ({"validation": "Part=valid"}, "no column of S has the heading Part; there are x, y, split"),
    ({"validation": "Split=test"}, "leaves no row"),
    ({"batch_size": 4, "starts": 3}, "leave out `batch_size`"),
    ({"metric": "accuracy"}, "no labels were found"),
    ({"dropout_off": True}, "no dropout is recognised"),
    ({"stages": ["B1"]}, "B24:C26=1 or all=2"),
    ({"stages": ["B1=0"]}, "B24:C26=1 or all=2"),
    ({"stages": ["all=1"], "epochs": 3}, "leave out `epochs`"),
    ({"freeze": ["A3"]}, "S!A3 holds no variable cell; these are S!B1:C1"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=message):
        xl2torch.fit(line(tmp_path), **options)


def test_rows_that_mix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"in S!A1 .*leave out `batch_size`"):
        xl2torch.fit(line(tmp_path, "=STDEV(D3:D25)"), batch_size=4)


def test_frozen_cells_keep_their_values(tmp_path: Path) -> None:
    """Also through momentum, weight decay and other start values."""
    for size in (4, None):
        model = line(tmp_path)
        result = xl2torch.fit(
            model, "momentum", lr=0.01, epochs=5, freeze=["C1"], init="normal", seed=1,
            arguments={"weight_decay": 0.1}, batch_size=size,
        )  # fmt: skip
        ways = [row.variables for row in result.iterations]
        assert {way[1] for way in ways} == {-0.2} and len({way[0] for way in ways}) == 6
        assert not model.variables[0].bounded
    solved = xl2torch.fit(line(tmp_path), freeze=["C1"])
    slope = float(((Y + 0.2) * X).sum() / X.square().sum())
    assert solved.weights["b1_c1"].tolist() == pytest.approx([slope, -0.2], rel=1e-9)


@pytest.mark.parametrize("size", [None, 4])
def test_stages_train_some_cells_at_a_time(size: int | None, tmp_path: Path) -> None:
    result = xl2torch.fit(
        line(tmp_path), "sgd", lr=0.05, stages=["C1=2", "B1=1", "all=3"], batch_size=size
    )
    ways = [row.variables for row in result.iterations]
    moved = [tuple(a != b for a, b in zip(old, new, strict=True)) for old, new in pairwise(ways)]
    assert moved == [(False, True)] * 2 + [(True, False)] + [(True, True)] * 3
    assert result.settings.stages == ("C1=2", "B1=1", "all=3") and result.epochs == 6


def test_patience_ends_a_stage_not_the_run(tmp_path: Path) -> None:
    result = xl2torch.fit(
        line(tmp_path), "sgd", lr=0.9, stages=["C1=50", "B1=3"], batch_size=4, patience=2, seed=1
    )
    assert result.epochs < 40
    ways = [row.variables for row in result.iterations]
    assert [a[0] != b[0] for a, b in pairwise(ways)][-3:] == [True] * 3


def test_a_metric_of_other_rows_is_refused(tmp_path: Path) -> None:
    model = line(tmp_path)
    lines = [f"=AVERAGE(D3:D{2 + len(X)}) 0.3 -0.2 =AVERAGE(F3:F5)", "x y"]
    for row, (x, y) in enumerate(zip(X.tolist(), Y.tolist(), strict=True), 3):
        test = f"{x} =($B$1*E{row}+$C$1)^2" if row < 6 else ""
        lines.append(f"{x!r} {y!r} . =($B$1*A{row}+$C$1-B{row})^2 {test}")
    model = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1:C1", sense="min"
    )
    with pytest.raises(SelectionError, match=r"is about the rows S!F3:F5, the objective about"):
        xl2torch.fit(model, metric="D1", epochs=2)


def labelled(tmp_path: Path, objective: str) -> SheetModel:
    """Labels 0 and 1 in B, squared errors in D and whether the class is right in E, of 12 rows."""
    lines = [f"{objective} 0.3 -0.2 =AVERAGE(E9:E14)", "x y Split"]
    for row in range(3, 15):
        hit = f"=IF((D{row}<0.25),1,0)"
        split = "train" if row < 9 else "test"
        lines.append(f"{row / 10} {row % 2} {split} =($B$1*A{row}+$C$1-B{row})^2 {hit}")
    return xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1:C1", sense="min"
    )


def test_as_many_rows_are_not_the_same_rows(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="about the rows S!E9:E14, the objective about S!D3"):
        xl2torch.fit(labelled(tmp_path, "=AVERAGE(D3:D8)"), metric="D1", epochs=2)


def test_accuracy_is_about_the_rows_that_count(tmp_path: Path) -> None:
    result = xl2torch.fit(labelled(tmp_path, "=AVERAGE(D3:D8)"), metric="accuracy", epochs=2)
    x, y = torch.arange(3, 9) / 10, torch.arange(3, 9) % 2
    for row in result.iterations:
        slope, start = row.variables
        right = ((slope * x + start > 0.5) == (y > 0.5)).double().mean()
        assert row.metric[0] == pytest.approx(right.item())
    some = labelled(tmp_path, '=AVERAGE(FILTER(D3:D14,C3:C14="train"))')
    with pytest.raises(SelectionError, match="some of them are left out of the objective"):
        xl2torch.fit(some, metric="accuracy", epochs=2)


def test_several_labels_are_not_guessed(tmp_path: Path) -> None:
    lines = ["=AVERAGE(D3:D8)+AVERAGE(E3:E8) 0.3 -0.2", "x y z"]
    lines += [f"{row} {row % 2} {row // 6} =($B$1*A{row}-B{row})^2 =($C$1*A{row}-C{row})^2"
              for row in range(3, 9)]  # fmt: skip
    model = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1:C1", sense="min"
    )
    with pytest.raises(SelectionError, match="there are several labels"):
        xl2torch.fit(model, metric="accuracy")


def test_batches_that_hold_nothing_to_count_are_left_out(tmp_path: Path) -> None:
    lines = ["=SUM(D3:D10)/COUNTIF(C3:C10,1) 0.3", "x y use"]
    lines += [f"{row} {2 * row} {int(row in (4, 9))} =IF(C{row}=1,($B$1*A{row}-B{row})^2,0)"
              for row in range(3, 11)]  # fmt: skip
    model = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1", sense="min"
    )
    result = xl2torch.fit(model, "sgd", lr=0.01, epochs=1, batch_size=2, shuffle=False)
    weight = 0.3
    for row in (4, 9):
        weight -= 0.01 * 2 * (weight * row - 2 * row) * row
    assert result.iterations[-1].variables[0] == pytest.approx(weight, rel=1e-12)
    with pytest.raises(SelectionError, match="rows held back is no number"):
        xl2torch.fit(model, validation="A5:A6")


def test_each_stage_has_a_new_optimizer(tmp_path: Path) -> None:
    staged = xl2torch.fit(line(tmp_path), "adam", lr=0.05, stages=["all=3", "all=4"])
    first = xl2torch.fit(line(tmp_path), "adam", lr=0.05, epochs=3)
    model = line(tmp_path)
    with torch.no_grad():
        model.get_parameter("b1_c1").copy_(torch.tensor(first.iterations[-1].variables))
    assert objectives(staged)[:4] == objectives(first)
    weights = torch.tensor(first.iterations[-1].variables, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for _ in range(4):
        optimizer.zero_grad()
        torch.autograd.backward(((weights[0] * X + weights[1] - Y) ** 2).mean())
        optimizer.step()
    assert staged.iterations[-1].variables == pytest.approx(weights.tolist(), rel=1e-5)


def test_accuracy_is_the_cell_of_the_sheet() -> None:
    """The sample's own accuracy cell, as a cell and recognised."""
    workbook = xl2torch.load(WORKBOOKS / "survival.xlsx")
    options: dict[str, Any] = {"epochs": 30, "batch_size": 50, "seed": 1, "validation": "0.2"}
    runs = [
        xl2torch.fit(xl2torch.compile(workbook), metric=metric, watch_cells=["C7"], **options)
        for metric in ("C7", "accuracy", "error_rate")
    ]
    cell, name, error = (run.iterations for run in runs)
    assert [row.metric for row in cell] == [row.metric for row in name]
    for ours, theirs in zip(name, error, strict=True):
        assert [1 - part for part in ours.metric] == pytest.approx(list(theirs.metric))
        whole = (240 * ours.metric[0] + 60 * ours.metric[1]) / 300
        assert ours.watched[0] == pytest.approx(whole)
    assert list(runs[1].history)[-3:-1] == ["accuracy", "validation accuracy"]


@requires_corpus
def test_titanic_learns_in_batches() -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "fastai-2022" / "titanic.xlsx"), "nnet")
    result = xl2torch.fit(
        model, epochs=40, batch_size=32, validation="0.2", metric="accuracy", init="normal", seed=3,
    )  # fmt: skip
    best = result.iterations[result.best]
    assert min(best.metric) > 0.75 and best.objective < 0.16


def test_a_stage_that_stands_still_does_not_end_the_others(tmp_path: Path) -> None:
    options: list[dict[str, Any]] = [
        {"optimizer": "adam", "lr": 0.1}, {"optimizer": "lbfgs"},
        {"optimizer": "adam", "lr": 0.1, "convergence": 1e-3},
    ]  # fmt: skip
    for option in options:
        result = xl2torch.fit(line(tmp_path), stages=["C1=300", "B1=300"], **option)
        ways = [row.variables for row in result.iterations]
        assert ways[0][0] == 0.3 and ways[-1][0] != 0.3, option


def test_a_frozen_cell_outside_its_limits_is_refused(tmp_path: Path) -> None:
    model = line(tmp_path)
    bounded = xl2torch.compile(
        model.compiled.workbook, objective="A1", variables="B1:C1", sense="min",
        constraints=["C1 >= 1"],
    )  # fmt: skip
    with pytest.raises(SelectionError, match=r"S!C1 is -0.2, outside its limits"):
        xl2torch.fit(bounded, freeze="C1")


def test_dropout_off_holds_other_random_cells_still() -> None:
    """Judged without masks: the same at each iteration where nothing moves."""
    workbook = xl2torch.load(WORKBOOKS / "dropout.xlsx")
    for size in (None, 12):
        result = xl2torch.fit(
            xl2torch.compile(workbook), "sgd", lr=1e-12, epochs=4, batch_size=size, seed=1,
            dropout_off=True, metric="B6",
        )  # fmt: skip
        assert objectives(result) == pytest.approx([objectives(result)[0]] * 5, rel=1e-6)
        for row in result.iterations:
            assert row.metric[0] == pytest.approx(row.objective)
