"""CONTRIBUTING shows files that exist and code that runs, and the passes it names are in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xl2torch
from xl2torch.ir import ops
from xl2torch.training.solvers import protocol

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:xl2torch|tests|docs)/[\w/.]+)`", TEXT)))
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("file", FILES)
def test_files_exist(file: str) -> None:
    assert (ROOT / file).is_file()


@pytest.fixture(autouse=True)
def _fresh_table() -> Iterator[None]:
    yield
    protocol.solvers.cache_clear()


@pytest.mark.parametrize("code", CODE)
def test_code_runs(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_OPERATORS", dict(ops._OPERATORS))  # the examples add a row
    monkeypatch.setattr(protocol, "_SOLVERS", dict(protocol.solvers()))
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    if "PatientSolver" in code:
        model = xl2torch.compile(ROOT / "workbooks" / "line.xlsx")
        protocol.solvers.cache_clear()
        assert xl2torch.fit(model, "patient").final < 1e-12


def test_commands_stand_in_the_justfile() -> None:
    recipes = (ROOT / "justfile").read_text(encoding="utf-8")
    for command in re.findall(r"`just (\w+)`", TEXT):
        assert re.search(rf"^{command}[ :]", recipes, re.MULTILINE)
