"""The gradients of real workbooks: ours against differences, their authors' against ours."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from corpus import CORPUS, ROOT, SAMPLES, requires_corpus
from packages import Parts, rewritten

import xl2torch
from xl2torch.errors import Xl2TorchError
from xl2torch.gradients.check import check
from xl2torch.teach.derivatives.sheet_derivatives import WrittenCheck, check_written
from xl2torch.workbook.read.reader import Workbook, load
from xl2torch.workbook.read.solver_model import solver_models

GRADDESC = CORPUS / "fastai-2017" / "graddesc.xlsm"
LAYERS = CORPUS / "fastai-2017" / "layers_example.xlsx"
BOOKS = sorted([*SAMPLES, *CORPUS.glob("fastai-*/*.xls[xm]"), *CORPUS.glob("nist/*.xlsx")])
LARGEST = 1e-6


def stored_models(book: Workbook) -> Iterator[xl2torch.SheetModel]:
    for stored in solver_models(book):
        try:
            yield xl2torch.compile(book, stored.sheet)
        except Xl2TorchError:
            continue  # test_corpus.py tells which models are trainable


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.name)
def test_numeric_and_analytic_gradients_agree(path: Path) -> None:
    for model in stored_models(load(path)):
        found = check(model)
        wrong = [f"{row.cell}: {row.reason}" for row in found.rows if not row.ok]
        assert found.max_rel_diff <= LARGEST and not wrong, (str(model.problem.objective), wrong)


@requires_corpus
def test_layers_example_agrees() -> None:
    model = xl2torch.compile(load(LAYERS), "fixed", "E32", ["B5:E7", "B14:D17", "B24:C26"])
    found = check(model)
    assert found.ok and len(found.rows) == 30 and found.max_rel_diff <= 1e-9
    flat = [row.cell.a1 for row in found.rows if row.reason.startswith("plateau")]
    assert flat[:3] == ["B5", "D5", "B6"]  # behind ReLU units that are off


@requires_corpus
def test_layers_example_takes_log_for_ln() -> None:
    found = check_written(load(LAYERS), "E32", "B24:C26", "H24:I26", sheet="fixed")
    (line,) = found.lines
    assert not line.ok and line.reason.startswith("factor: ln 10 = 2.302585 times the derivative")


def basic_sgd(change: dict[str, str], folder: Path) -> WrittenCheck:
    """A copy of the sheet with other formulas in some cells, checked."""
    part = load(GRADDESC).sheet("basic SGD").part

    def changed(book: Parts) -> Parts:
        text = book[part].decode("utf-8")
        for cell, formula in change.items():
            pattern = rf'(<c r="{cell}"[^>]*?)(?: t="\w+")?>.*?</c>'
            text, count = re.subn(pattern, rf"\1><f>{formula}</f></c>", text)
            assert count == 1, cell
        return {**book, part: text.encode("utf-8")}

    copy = rewritten(GRADDESC, folder / GRADDESC.name, changed)
    return check_written(load(copy), "F4:F32", "C4:D32", "K4:L32", sheet="basic SGD")


ROWS = range(4, 33)


@requires_corpus
@pytest.mark.parametrize(
    ("change", "line", "reason", "other"),
    [
        ({}, None, "", ""),
        ({f"K{r}": f"-2*(E{r}-B{r})" for r in ROWS}, 0, "factor: the sign is wrong", "inherited"),
        ({f"L{r}": f"-K{r}*A{r}" for r in ROWS}, 1, "factor: the sign is wrong", ""),
        ({f"K{r}": f"4*(E{r}-B{r})" for r in ROWS}, 0, "factor: 2 times", "inherited"),
        ({f"L{r}": f"2*K{r}*A{r}" for r in ROWS}, 1, "factor: 2 times", ""),
        (
            {f"L{r}": f"K{r - 1}*A{r - 1}" for r in ROWS[1:]}, 1,
            "L5:L32: shift: they hold the derivatives of the row above", "",
        ),
        (
            {f"K{r}": f"2*(E{r - 1}-B{r - 1})" for r in ROWS[1:]}, 0,
            "K5:K32: shift: they hold the derivatives of the row above", "L5:L32: inherited",
        ),
        ({"L17": "-K17*A17"}, 1, "L17: factor: the sign is wrong", ""),
    ],
    ids=["right", "sign K", "sign L", "2 K", "2 L", "shift L", "shift K", "one row"],
)  # fmt: skip
def test_planted_faults(
    change: dict[str, str], line: int | None, reason: str, other: str, tmp_path: Path
) -> None:
    found = basic_sgd(change, tmp_path)
    if line is None:
        assert found.ok and found.max_rel_diff <= 1e-9
        return
    assert found.lines[line].reason.startswith(reason), found.lines[line].reason
    assert not found.lines[line].ok
    second = found.lines[1 - line]
    assert second.ok is not bool(other) and second.reason.startswith(other), second


@requires_corpus
def test_estimated_columns_are_explained_by_their_step() -> None:
    found = check_written(
        load(GRADDESC), "F4:F32", "C4:C32,D4:D32", "H4:H32,J4:J32", sheet="basic SGD"
    )
    for line, most in zip(found.lines, ("0.01,", "98.01,"), strict=True):
        assert line.ok and line.agreeing == 0
        assert f"a forward difference with the step 0.01; its step explains up to {most}" in (
            line.reason
        )
    assert found.ok


@requires_corpus
def test_the_page_tells_what_is_found() -> None:
    """docs/gradients.md is made by docs/make_gradients.py; run that after a change."""
    page = runpy.run_path(str(ROOT / "docs" / "make_gradients.py"))["page"](CORPUS)
    assert (ROOT / "docs" / "gradients.md").read_text(encoding="utf-8") == page
