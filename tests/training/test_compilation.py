"""--compile: used where it is there, right and faster, and said in any case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch
from corpus import WORKBOOKS

import xl2torch
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training import compilation


def remark(monkeypatch: pytest.MonkeyPatch, compiled: Any, ratio: float) -> tuple[int, str]:
    """How often the compiled program ran in training, and what was said of it."""
    calls = 0

    def compile_(program: Any, **_: Any) -> Any:
        def run(*parameters: torch.Tensor) -> Any:
            nonlocal calls
            calls += 1
            return compiled(program, parameters)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compilation, "_ratio", lambda *_: ratio)
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    result = xl2torch.fit(model, "adam", epochs=20, compile=True)
    (found,) = (text for text in result.remarks if text.startswith("`compile`"))
    return calls, found


def as_is(program: Any, parameters: Sequence[torch.Tensor]) -> Any:
    return program(*parameters)


def another_objective(program: Any, parameters: Sequence[torch.Tensor]) -> Any:
    gradients, (loss, objective) = program(*parameters)
    return gradients, (loss, objective * (1 + 1e-6))


def another_gradient(program: Any, parameters: Sequence[torch.Tensor]) -> Any:
    gradients, values = program(*parameters)
    return [gradient * (1 + 1e-6) for gradient in gradients], values


def frozen(program: Any, parameters: Sequence[torch.Tensor]) -> Any:
    """A program that has the parameters' values of its making in it."""
    start = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    return program(*(variable.start for variable in start.variables))


def test_a_faster_program_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, text = remark(monkeypatch, as_is, 0.5)
    assert calls >= 20 and "a step takes 0.50 of a plain one's time" in text


@pytest.mark.parametrize(
    ("compiled", "ratio", "message"),
    [
        (as_is, 1.2, "takes 1.20 of a plain one's time, so it is not used"),
        (another_objective, 0.5, "gives other numbers, so it is not used"),
        (another_gradient, 0.5, "gives other numbers, so it is not used"),
        (frozen, 0.5, "gives other numbers, so it is not used"),
        (lambda program, _: program.nonsense, 0.5, "does not work here"),
    ],
)
def test_what_does_not_pay_is_not_used(
    compiled: Any, ratio: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, text = remark(monkeypatch, compiled, ratio)
    assert calls < 20 and message in text


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("sense", ["min", "max", "value=2"])
def test_the_program_is_the_model(
    sense: str, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objective, loss and gradients, products turned or not; only the compiler is left out."""
    monkeypatch.setattr(torch, "compile", lambda program, **_: program)
    monkeypatch.setattr(compilation, "_turning_pays", lambda *_: turned)
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"), sense=sense)
    program, plain = compilation.compile_program(model), compilation.plain_program(model)
    for shift in (0.0, 0.3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(shift)
        found, wanted = program(), plain()
        torch.testing.assert_close(found.objective, wanted.objective, rtol=1e-14, atol=0)
        torch.testing.assert_close(found.loss, wanted.loss, rtol=1e-14, atol=0)
        for ours, theirs in zip(found.gradients, wanted.gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("turned", [False, True])
def test_training_goes_the_same_way(turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients that lie turned in memory are no others to a fused optimizer."""
    monkeypatch.setattr(torch, "compile", lambda program, **_: program)
    monkeypatch.setattr(compilation, "_ratio", lambda *_: 0.5)
    monkeypatch.setattr(compilation, "_turning_pays", lambda *_: turned)
    ways = []
    for compile in (False, True):
        model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
        result = xl2torch.fit(model, "adam", lr=0.05, epochs=50, clip_norm=0.1, compile=compile)
        ways.append(torch.tensor(result.history["objective"].to_numpy()))
    torch.testing.assert_close(ways[1], ways[0], rtol=1e-9, atol=0)


def made(folder: Path, formula: str, variables: str, **cells: Any) -> SheetModel:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    numbers = {"A1": 0.5, "A2": -1.5, "C1": 2.0, "C2": 1.0}
    for place, value in {**numbers, "E1": formula, **cells}.items():
        sheet[place] = value
    book.save(folder / "made.xlsx")
    workbook = xl2torch.load(folder / "made.xlsx")
    return xl2torch.compile(workbook, objective="E1", variables=variables)


@pytest.mark.parametrize("formula", ["=SUMSQ(A1:A2+C1:C2-5)", "=SUMPRODUCT(A1:A2,C1:C2)"])
def test_gradients_are_tensors_of_their_own(
    formula: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one for two parameters, nor a parameter itself: clipping changes them in place."""

    def compile_(program: Any, **_: Any) -> Any:
        def run(*parameters: torch.Tensor) -> Any:
            gradients, values = program(*parameters)
            known = [*parameters, *gradients]
            same = (next(k for k in known if torch.equal(k, g)) for g in gradients)
            return list(same), values

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compilation, "_ratio", lambda *_: 0.5)
    ways = []
    for compiled in (False, True):
        model = made(tmp_path, formula, "A1:A2,C1:C2")
        result = xl2torch.fit(model, "sgd", lr=0.01, epochs=8, clip_norm=0.7, compile=compiled)
        ways.append(result.history["objective"].tolist())
    assert ways[1] == pytest.approx(ways[0], rel=1e-12)


def test_weights_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the program fails at the second of the points that are compared."""
    calls = 0

    def compile_(program: Any, **_: Any) -> Any:
        def run(*parameters: torch.Tensor) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise RuntimeError("no")
            return program(*parameters)

        return run

    monkeypatch.setattr(torch, "compile", compile_)
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    program, text = compilation.compiled_program(model, torch.float64)
    assert program is None and "does not work here (no)" in text and calls == 3
    for variable in model.variables:
        torch.testing.assert_close(model.parameter(variable), variable.start, rtol=0, atol=0)


def test_a_copy_that_a_view_needs_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda program, **_: program)
    numbers = {f"G{row}": float(row) for row in (1, 2, 3)} | {
        f"H{row}": row / 3 for row in (1, 2, 3)
    }
    formula = "=SUM(TOCOL(TRANSPOSE(G1:H3)*A1)*SEQUENCE(6))+A2^2"
    model = made(tmp_path, formula, "A1:A2", **numbers)
    found = compilation.compile_program(model)()
    torch.testing.assert_close(found.objective, model().detach(), rtol=1e-14, atol=0)


def test_an_interrupt_while_compiling_ends_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "compile", interrupted)
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    result = xl2torch.fit(model, "adam", epochs=20, compile=True)
    assert result.stop.code == 6 and result.final == result.start


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": 2, "optimizer": "adam"}, "no use for many starts"),
        ({"optimizer": "least-squares"}, "least-squares"),
    ],
)
def test_where_it_has_no_use(options: dict[str, Any], message: str) -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
    result = xl2torch.fit(model, epochs=3, seed=1, compile=True, **options)
    assert any("`compile` has no use" in t and message in t for t in result.remarks)
