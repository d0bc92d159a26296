"""Residuals found in real programs give the objective back."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import grid

import xl2torch
from xl2torch.analysis.residuals import find_residuals
from xl2torch.model.jacobian import present_point

REAL = [
    ("fastai-2022/titanic.xlsx", "mmult", "mean of squares", 712),
    ("fastai-2022/titanic.xlsx", "nnet", "mean of squares", 712),
    ("fastai-2022/titanic.xlsx", "linear", "mean of squares", 712),
    ("fastai-2022/collab_filter.xlsx", "dotprod", "root of the mean of squares", 206),
    ("fastai-2022/collab_filter.xlsx", "movielens_emb", "root of the mean of squares", 206),
    ("fastai-2022/collab_filter.xlsx", "bias", "root of the mean of squares", 206),
    ("fastai-2017/collab_filter.xlsx", "bias", "root of the sum of squares", 206),
    ("fastai-2017/layers_example.xlsx", "random", "root of the sum of squares", 2),
]


def check(model: xl2torch.SheetModel, form: str, count: int) -> None:
    """The objective is their sum, mean or root at the start and elsewhere; so is its gradient."""
    residuals = find_residuals(model)
    assert residuals is not None
    generator = torch.Generator().manual_seed(0)
    start = present_point(model)
    for size in (0.0, 0.1):
        move = torch.randn(len(start), generator=generator, dtype=torch.float64)
        point = start + size * move
        errors = residuals.function(point)
        assert (len(errors), residuals.form(len(errors))) == (count, form)
        value = residuals.factor * (errors**2).sum()
        value = value.sqrt() if residuals.root else value
        place = 0
        with torch.no_grad():
            for variable in model.variables:
                parameter = model.parameter(variable)
                parameter.copy_(point[place : place + parameter.numel()].reshape(parameter.shape))
                place += parameter.numel()
        assert float(value) == pytest.approx(float(model().detach()), rel=1e-12)


@requires_corpus
@pytest.mark.parametrize(("book", "sheet", "form", "count"), REAL)
def test_real_objectives(book: str, sheet: str, form: str, count: int) -> None:
    check(xl2torch.compile(xl2torch.load(CORPUS / book), sheet), form, count)


@requires_corpus
@pytest.mark.parametrize("path", sorted(CORPUS.glob("nist/*_start1.xlsx")), ids=lambda p: p.stem)
def test_nist(path: str) -> None:
    model = xl2torch.compile(xl2torch.load(path))
    residuals = find_residuals(model)
    assert residuals is not None and residuals.observed is not None
    check(model, "sum of squares", len(residuals.observed))


@pytest.mark.parametrize(("name", "count"), [("line", 2), ("quadratic", 21), ("survival", 300)])
def test_samples(name: str, count: int) -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
    check(model, "mean of squares", count)


def test_residuals_of_a_loop(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet["H1"], sheet["B1"], sheet["F1"] = 0.4, 0.0, "=AVERAGE(C2:C31)"
    for row in range(2, 32):
        sheet[f"A{row}"] = row * 1.7 % 3
        sheet[f"B{row}"] = f"=$H$1*B{row - 1}+A{row}"
        sheet[f"C{row}"] = f"=(B{row}-1)^2"
    book.save(tmp_path / "loop.xlsx")
    workbook = xl2torch.load(tmp_path / "loop.xlsx")
    check(xl2torch.compile(workbook, objective="F1", variables="H1"), "mean of squares", 30)


@pytest.mark.parametrize(
    ("formula", "smooth"),
    [
        ("=MAX($A$1:A{r})", False), ("=MAX(A{r},0.5)", False), ("=SMALL($A$1:$A$6,{r})", False),
        ("=MEDIAN($A$1:$A$6)+A{r}", False), ("=LARGE($A$1:$A$6,2)*A{r}", False),
        ("=ABS(A{r})", False), ("=IF(A{r}>0.5,A{r},2*A{r})", False), ("=ROUND(A{r},1)+A{r}", False),
        ("=(A{r}>0.4)*A{r}", False), ("=MOD(A{r},1)", False), ("=MIN(A$1:A{r})", False),
        ("=SQRT(A{r})", True), ("=LN(A{r})+1/A{r}", True), ("=A{r}^0.5", True),
        ("=IF({r}>2,A{r},3*A{r})", True), ("=EXP(A{r})*A{r}", True),
    ],
)  # fmt: skip
def test_kinks_on_the_way_are_told(tmp_path: Path, formula: str, smooth: bool) -> None:
    rows = [f"{0.15 * row} {formula.format(r=row)} {0.3 * row}" for row in range(1, 7)]
    rows[0] += " =SUMXMY2(B1:B6,C1:C6)"
    model = xl2torch.compile(grid(tmp_path, "\n".join(rows)), objective="D1", variables="A1:A6")
    residuals = find_residuals(model)
    assert residuals is not None and residuals.smooth is smooth


def test_kinks_in_a_loop_are_told(tmp_path: Path) -> None:
    rows = [f"=MAX(A{row - 1}*$D$1,0.3) {0.2 * row}" for row in range(2, 14)]
    rows = ["1 0 =SUMXMY2(A1:A13,B1:B13) 0.9", *rows]
    model = xl2torch.compile(grid(tmp_path, "\n".join(rows)), objective="C1", variables="D1")
    residuals = find_residuals(model)
    assert residuals is not None and not residuals.smooth
