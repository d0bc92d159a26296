"""--compile: used where it is there, right and faster, and said in any case."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from corpus import WORKBOOKS

import xl2torch
from xl2torch.training import compilation


def remark(monkeypatch: pytest.MonkeyPatch, compiled: Any, ratio: float) -> tuple[int, str]:
    """How often the compiled program ran in training, and what was said of it."""
    calls = 0

    def compile_(model: Any, **_: Any) -> Any:
        def forward() -> torch.Tensor:
            nonlocal calls
            calls += 1
            result: torch.Tensor = compiled(model)
            return result

        return forward

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(compilation, "_ratio", lambda *_: ratio)
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    result = xl2torch.fit(model, "adam", epochs=20, compile=True)
    (found,) = (text for text in result.remarks if text.startswith("--compile"))
    return calls, found


def test_a_faster_program_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, text = remark(monkeypatch, lambda model: model(), 0.5)
    assert calls >= 20 and "a step takes 0.50 of a plain one's time" in text


@pytest.mark.parametrize(
    ("compiled", "ratio", "message"),
    [
        (lambda model: model(), 1.2, "takes 1.20 of a plain one's time, so it is not used"),
        (lambda model: model() + 1e-6, 0.5, "gives another objective, so it is not used"),
        (lambda model: model().nonsense, 0.5, "does not work here"),
    ],
)
def test_what_does_not_pay_is_not_used(
    compiled: Any, ratio: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, text = remark(monkeypatch, compiled, ratio)
    assert calls < 20 and message in text


def test_engines_of_scipy_have_no_use_for_it() -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
    result = xl2torch.fit(model, "least-squares", compile=True)
    assert any("--compile has no use for least-squares" in text for text in result.remarks)
