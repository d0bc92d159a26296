"""The sample workbooks: what they teach, and that they are what their scripts build."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from corpus import WORKBOOKS
from judges import cached_values, recalculate_many, requires_libreoffice

import xl2torch
from xl2torch.workbook.read.selection import parse_cell

NAMES = (
    "line", "quadratic", "survival", "two_neurons", "moons", "softmax", "embeddings", "convolution",
    "dropout",
)  # fmt: skip
RANDOM = ("dropout",)


def test_line_gradient_and_one_step() -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
    loss = model()
    loss.backward()
    assert loss.item() == 2.5
    ((name, parameter),) = model.named_parameters()
    assert name == "m_b" and parameter.grad is not None
    assert parameter.grad.tolist() == [-3.0, -1.0]
    result = xl2torch.fit(model, "sgd", lr=0.1, epochs=1)
    assert result.weights["m_b"].tolist() == pytest.approx([-0.7, 5.1], rel=1e-15)
    assert xl2torch.fit(model).weights["m_b"].tolist() == pytest.approx([2.0, 1.0], abs=1e-9)


def test_quadratic_recovers_its_coefficients() -> None:
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "quadratic.xlsx")))
    (weights,) = result.weights.values()
    assert result.start > 40 and result.stop.code in (0, 1)
    assert weights.tolist() == pytest.approx([3.0, 2.0, 1.0], abs=0.1)


@pytest.mark.parametrize(
    ("optimizer", "lr", "epochs"),
    [("lbfgs", None, None), ("adam", 0.01, 2000), ("momentum", 0.1, 2000)],
)
def test_survival_learns(optimizer: str, lr: float | None, epochs: int | None) -> None:
    workbook = xl2torch.load(WORKBOOKS / "survival.xlsx")
    model = xl2torch.compile(workbook)
    accuracy = parse_cell(workbook, "C7", "Model")
    result = xl2torch.fit(model, optimizer, lr=lr, epochs=epochs, watch_cells=[accuracy])
    assert result.history[str(accuracy)].iloc[0] == pytest.approx(0.52)
    best = int(result.history["objective"].argmin())
    assert result.history[str(accuracy)].iloc[best] >= 0.78


@pytest.mark.parametrize("name", NAMES)
def test_cached_values_are_complete(name: str) -> None:
    total = xl2torch.verify(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))["total"]
    assert total["compared"] == total["matched"] > 0
    assert total["cells"] - total["compared"] == total["volatile"]
    assert (total["volatile"] > 0) == (name in RANDOM)


@pytest.mark.slow
@requires_libreoffice
def test_cached_values_are_libreoffices(tmp_path: Path) -> None:
    paths = [WORKBOOKS / f"{name}.xlsx" for name in NAMES if name not in RANDOM]
    outputs = recalculate_many(paths, tmp_path)
    for path in paths:
        check_values(outputs[path], path, rel=1e-9, abs=1e-12)


def check_values(found: Path, expected: Path, rel: float, abs: float) -> None:
    """Two workbooks hold the same values; numbers within a tolerance."""
    ours, theirs = cached_values(expected), cached_values(found)
    assert ours.keys() == theirs.keys()
    for cell, value in ours.items():
        if isinstance(value, float):
            assert theirs[cell] == pytest.approx(value, rel=rel, abs=abs), cell
        else:
            assert theirs[cell] == value


@pytest.mark.parametrize("name", NAMES)
def test_scripts_build_the_workbooks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed file is what its script writes today, cell by cell; numbers to the rounding of
    another processor."""
    monkeypatch.syspath_prepend(WORKBOOKS)
    importlib.import_module(f"build_{name}").build(tmp_path / "built.xlsx")
    check_values(tmp_path / "built.xlsx", WORKBOOKS / f"{name}.xlsx", rel=1e-14, abs=1e-15)


def test_seeded_starts_repeat() -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    runs = [xl2torch.fit(model, init="normal", seed=3, epochs=5) for _ in range(2)]
    assert runs[0].final == runs[1].final
    assert all(torch.equal(runs[0].weights[key], runs[1].weights[key]) for key in runs[0].weights)
    other = xl2torch.fit(model, init="uniform", seed=4, epochs=5)
    assert other.final != runs[0].final
