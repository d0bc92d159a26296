"""Every public name says its arguments, what it gives and raises, with an example that runs."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
from pathlib import Path

import matplotlib
import pytest

import xl2torch

ROOT = Path(__file__).resolve().parent.parent
CLASSES = {"FitOptions", "Result", "SheetClassifier", "SheetModel", "SheetRegressor", "Workbook"}


def documentation(name: str) -> str:
    return inspect.getdoc(getattr(xl2torch, name)) or ""


@pytest.mark.parametrize("name", xl2torch.__all__)
def test_arguments_are_told(name: str) -> None:
    text = documentation(name)
    args = re.search(r"^Args:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert args is not None
    told = set(re.findall(r"^    (\w+): ", args[1], re.MULTILINE))
    assert told == set(inspect.signature(getattr(xl2torch, name)).parameters) - {"self"}
    sections = ["Raises:", "Example:"] + ["Returns:"] * (name not in CLASSES)
    assert all(f"\n{section}\n" in text for section in sections)


@pytest.mark.parametrize("name", xl2torch.__all__)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "workbooks", tmp_path / "workbooks")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    test = doctest.DocTestParser().get_doctest(
        documentation(name), {"xl2torch": xl2torch}, name, None, 0
    )
    assert test.examples
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test, out=told.append).failed == 0, "".join(told)
