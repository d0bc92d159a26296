"""Pictures: what they are made of, the files, and a copy of the workbook with one in it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from corpus import CORPUS, WORKBOOKS, requires_corpus
from generated_books import make_book, make_variant
from grids import grid
from judges import ooxml_validator, validation_errors

import xl2torch
from xl2torch.cli import main
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.plots.draw import View, draw
from xl2torch.plots.figures import as_bytes
from xl2torch.plots.fitted import fitted
from xl2torch.plots.insert import insert_picture
from xl2torch.plots.kinds import KINDS
from xl2torch.plots.landscape import landscape, two_cells

KINDS_OF_MODELS = [(name, kind) for name in ("line", "quadratic", "survival") for kind in KINDS]


def sample(name: str) -> SheetModel:
    return xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))


def picture(model: SheetModel, kind: str, form: str = "png") -> bytes:
    return as_bytes(draw(model, kind, None, lambda: xl2torch.fit(model, "adam", epochs=5)), form)


@pytest.mark.parametrize(("name", "kind"), KINDS_OF_MODELS)
def test_every_kind(name: str, kind: str) -> None:
    first = picture(sample(name), kind)
    assert first.startswith(b"\x89PNG") and len(first) > 4_000
    assert picture(sample(name), kind) == first  # the same each time


def test_svg_has_no_time_of_day() -> None:
    drawn = picture(sample("line"), "contour", "svg")
    assert b"<svg" in drawn and b"dc:date" not in drawn
    assert picture(sample("line"), "contour", "svg") == drawn


def test_landscape_is_the_objective() -> None:
    model = sample("line")
    land = landscape(model, two_cells(model, None), (), ((-3.0, 3.0), (0.0, 6.0)))
    m, b = land.x[40], land.y[7]
    expected = ((m + b - 3) ** 2 + (2 * m + b - 5) ** 2) / 2
    assert float(land.values[7, 40]) == pytest.approx(float(expected), rel=1e-12)
    assert land.way.tolist() == [[-1.0, 5.0]]
    swapped = landscape(model, two_cells(model, "B6,B5"), (), ((0.0, 6.0), (-3.0, 3.0)))
    assert torch.allclose(swapped.values, land.values.T)


def test_other_cells_are_held_and_errors_left_blank(tmp_path: Path) -> None:
    book = grid(tmp_path, "=LN(A2)+B2^2+C2 .\n1 2 7")
    model = xl2torch.compile(book, objective="A1", variables="A2:C2", sense="min")
    land = landscape(model, two_cells(model, None), (), ((-1.0, 1.0), (0.0, 1.0)))
    assert bool(torch.isnan(land.values[:, 0]).all())
    assert float(land.values[0, -1]) == pytest.approx(7.0)


def test_maximise_is_drawn_as_it_is(tmp_path: Path) -> None:
    book = grid(tmp_path, "=5-A2^2-B2^2 .\n1 2")
    model = xl2torch.compile(book, objective="A1", variables="A2:B2", sense="max")
    land = landscape(model, two_cells(model, None), (), ((0.0, 1.0), (0.0, 1.0)))
    assert float(land.values[0, 0]) == 5.0 and float(land.values[-1, -1]) == 3.0


def test_fit_has_what_was_observed() -> None:
    model = sample("quadratic")
    cells = model.compiled.workbook.sheet("Model").cells.block(12, 1, 32, 3).numbers
    found = fitted(model)
    assert found.inputs is not None and np.array_equal(found.inputs, cells[:, 0])
    assert np.array_equal(found.observed, cells[:, 1])
    assert np.allclose(found.predicted, cells[:, 2], rtol=1e-12)
    assert found.names == ("x", "observed", "Prediction")


@requires_corpus
def test_a_fit_over_decades_is_smooth_on_a_logarithmic_axis(tmp_path: Path) -> None:
    doses = (0.5, 1, 2, 5, 10, 20, 50, 100)
    rows = [f"{dose} {dose / (dose + 8)} =A{n}/(A{n}+$B$1) =(B{n}-C{n})^2"
            for n, dose in enumerate(doses, 4)]  # fmt: skip
    text = "\n".join(["half 5", "loss =SUM(D4:D11)", "dose OD fit sq", *rows])
    model = xl2torch.compile(grid(tmp_path, text), objective="B2", variables="B1")
    axes = xl2torch.plot(model, "fit")
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "dose" and axes.get_ylabel()
    line = axes.get_lines()[1]
    assert np.asarray(line.get_xdata()).shape == (200,)
    assert np.asarray(line.get_ydata())[-1] == pytest.approx(100 / 105)
    even = "\n".join(
        text.splitlines()[:3]
        + [f"{n} {n / 9} =A{n + 3}/(A{n + 3}+$B$1) =(B{n + 3}-C{n + 3})^2" for n in range(1, 9)]
    )
    model = xl2torch.compile(grid(tmp_path, even), objective="B2", variables="B1")
    assert xl2torch.plot(model, "fit").get_xscale() == "linear"


@requires_corpus
def test_fit_of_a_table_of_many_columns() -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "fastai-2022" / "titanic.xlsx"), "nnet")
    found = fitted(model)
    assert found.inputs is None and set(found.observed) == {0.0, 1.0}
    errors = (found.predicted - found.observed) ** 2
    assert errors.mean() == pytest.approx(model().item(), rel=1e-12)


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    model = sample("survival")
    with pytest.raises(SelectionError, match="is no variable cell"):
        draw(model, "contour", View("F6,A1"))
    with pytest.raises(SelectionError, match="F6:I8 holds 12"):
        draw(model, "contour", View("F6:I8"))
    with pytest.raises(SelectionError, match="no `kind='pie'`"):
        draw(model, "pie")
    with pytest.raises(SelectionError, match="need a run of training"):
        draw(model, "loss")
    with pytest.raises(SelectionError, match="is not kept"):
        draw(model, "path", View("M6,P6"), lambda: xl2torch.fit(model, epochs=1))
    book = grid(tmp_path, "=EXP(A2) .\n1")
    one = xl2torch.compile(book, objective="A1", variables="A2", sense="min")
    with pytest.raises(SelectionError, match="has only one"):
        draw(one, "surface")
    with pytest.raises(ModelError, match="there is no fit to draw"):
        draw(one, "fit")


@pytest.mark.parametrize("name", ["charts", "pictures", "formats"])
def test_a_copy_holds_the_picture_and_all_else_as_it_was(name: str, tmp_path: Path) -> None:
    book = make_book(name, tmp_path)
    png = picture(sample("line"), "contour")
    target = tmp_path / "copy.xlsx"
    assert insert_picture(xl2torch.load(book), target, png, "=A1 <&>") == "Plot 1"
    with zipfile.ZipFile(book) as before, zipfile.ZipFile(target) as after:
        (image,) = [
            part for part in after.namelist()
            if part.startswith("xl/media/") and part not in before.namelist()
        ]  # fmt: skip
        assert after.read(image) == png
        changed = {part for part in before.namelist() if after.read(part) != before.read(part)}
        assert changed <= {
            "[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml",
            "docProps/app.xml",
        }  # fmt: skip
    again = xl2torch.load(target)
    sheet = again.sheets[-1]
    assert sheet.name == "Plot 1" and sheet.cells.value(1, 1) == "=A1 <&>"
    assert not sheet.formulas
    if ooxml_validator():
        assert validation_errors([target])[target] == validation_errors([book])[book]


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_command_line(tmp_path: Path) -> None:
    book, out, copy = WORKBOOKS / "line.xlsx", tmp_path / "p.svg", tmp_path / "c.xlsx"
    before = book.read_bytes()
    code, text, _ = run(
        "plot", book, "--kind", "path", "-o", out, "--insert-as", copy, "--optimizer", "sgd",
        "--lr", "0.1", "--epochs", "20", "--x", "-2:3", "--json",
    )  # fmt: skip
    assert code == 0 and book.read_bytes() == before
    assert json.loads(text)["sheet"] == "Plot 1" and out.exists() and copy.exists()
    assert run("plot", book, "--kind", "path", "-o", out)[0] == 1  # it exists already
    for wrong in (("-o", tmp_path / "p.gif"), ("--x", "3:1"), ("--x", "a")):
        assert run("plot", book, "--kind", "contour", *wrong)[0] == 2
    code, text, _ = run("plot", book, "--kind", "loss", "-o", out, "--force", "--epochs", "3")
    assert (code, text) == (0, f"wrote {out}\n")


def test_strict_workbooks_and_unknown_parts(tmp_path: Path) -> None:
    png = picture(sample("line"), "weights")
    for name in ("unknown_parts", "unusual_order"):
        book = make_variant(name, tmp_path)
        target = tmp_path / f"{name}-copy{book.suffix}"
        insert_picture(xl2torch.load(book), target, png, "Weights")
        assert xl2torch.load(target).sheets[-1].name == "Plot 1"


def test_value_of_is_drawn_as_it_is(tmp_path: Path) -> None:
    book = grid(tmp_path, "=A2^2+B2 .\n1 2")
    model = xl2torch.compile(book, objective="A1", variables="A2:B2", sense="value=7")
    land = landscape(model, two_cells(model, None), (), ((0.0, 1.0), (0.0, 1.0)))
    assert float(land.values[-1, -1]) == 2.0


@pytest.mark.parametrize("error", ["=(B{r}-C{r})^2", "=(C{r}-B{r})^2", "=($B$1*A{r}-B{r})^2"])
def test_fit_knows_which_way_a_residual_goes(error: str, tmp_path: Path) -> None:
    lines = ["=SUM(D3:D8) 2", "x y"]
    lines += [f"{r} {r % 3} =$B$1*A{r} {error.format(r=r)}" for r in range(3, 9)]
    model = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1", sense="min"
    )
    found = fitted(model)
    x = np.arange(3.0, 9.0)
    assert np.array_equal(found.observed, x % 3)
    assert np.allclose(found.predicted, 2 * x)


def test_a_protected_workbook_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    import openpyxl
    from openpyxl.workbook.protection import WorkbookProtection

    book = openpyxl.load_workbook(WORKBOOKS / "line.xlsx")
    book.security = WorkbookProtection(lockStructure=True)
    path, out = tmp_path / "locked.xlsx", tmp_path / "p.png"
    book.save(path)
    code, _, error = run("plot", path, "--kind", "contour", "-o", out, "--insert")
    assert code == 1 and "is protected" in error and not out.exists()
