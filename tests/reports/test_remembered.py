"""A trained file knows its model: predict, export and a second train need no options."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest
from click.testing import CliRunner
from grids import write_grid
from packages import read

import xl2torch
from xl2torch.cli import main
from xl2torch.reports.save import fill_cached_values
from xl2torch.workbook.read.remembered import read_remembered
from xl2torch.workbook.write.remember import remember

ROWS = "\n".join(f"{x} {2 * x + 1} =$A$1*A{x + 2}+$B$1 =(C{x + 2}-B{x + 2})^2" for x in range(1, 9))
LINE = f"0.5 0.5 =AVERAGE(D3:D10) .\nx y pred error\n{ROWS}"
MODEL = ["--objective", "C1", "--variables", "A1:B1"]


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(item) for item in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = write_grid(tmp_path / "b.xlsx", LINE)
    fill_cached_values(path)
    return path


def test_what_was_given_once_is_known(book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    code, _ = run("train", book, *MODEL, "--constraint", "0 <= A1:B1 <= 1.5", "-o", out)
    assert code == 0
    problem = xl2torch.compile(out).problem
    assert str(problem.objective) == "S!C1" and len(problem.constraints) == 2
    (tmp_path / "new.csv").write_text("x\n20\n", encoding="utf-8")
    assert run("predict", out, tmp_path / "new.csv")[1].startswith("x,pred\n20,")
    assert run("export", out, "--to", "python", "-o", tmp_path / "m.py")[0] == 0
    again = json.loads(run("train", out, "-o", tmp_path / "two.xlsx", "--json")[1])
    assert again["final"] == pytest.approx(again["start"], rel=1e-6)


def test_options_of_the_run_are_kept_and_said(book: Path, tmp_path: Path) -> None:
    out, two, three = (tmp_path / name for name in ("out.xlsx", "two.xlsx", "three.xlsx"))
    code, text = run("train", book, *MODEL, "--optimizer", "adam", "--lr", "0.05", "--set",
                     "weight_decay=0.01", "--batch-size", 4, "--no-shuffle", "--epochs", 3,
                     "-o", out)  # fmt: skip
    assert code == 0 and "as it was trained before" not in text
    code, text = run("train", out, "--epochs", 2, "-o", two)
    assert code == 0 and "Adam" in text
    assert (
        "as it was trained before: --optimizer=adam --lr=0.05 --set=weight_decay=0.01 "
        "--batch-size=4 --shuffle=false (--forget leaves them out)" in text
    )
    code, text = run("train", two, "--optimizer", "sgd", "--epochs", 2, "-o", three)
    assert code == 0 and "SGD" in text and "--lr=0.05" in text
    assert xl2torch.load(three).remembered["--optimizer"] == ("sgd",)
    code, text = run("train", out, "--forget", "-o", tmp_path / "four.xlsx")
    assert code == 0 and "as it was trained before" not in text and "Adam" not in text
    openpyxl.load_workbook(three)


def test_a_model_that_solver_cannot_hold(book: Path, tmp_path: Path) -> None:
    """Variable cells on another sheet: they are kept beside Solver's names."""
    path = write_grid(
        tmp_path / "two.xlsx",
        {"Model": "=(Weights!A1-3)^2+(Weights!B1+1)^2", "Weights": "1 1"},
    )
    out = tmp_path / "out.xlsx"
    code, _ = run("train", path, "--objective", "Model!A1", "--variables", "Weights!A1:B1",
                  "--constraint", "Weights!A1 <= 2", "--non-negative", "-o", out)  # fmt: skip
    assert code == 0
    problem = xl2torch.compile(out).problem
    assert [str(area) for area in problem.variables] == ["Weights!A1:B1"]
    assert [str(item) for item in problem.constraints] == ["Weights!A1 <= 2"]
    assert problem.non_negative
    assert run("train", out, "-o", tmp_path / "again.xlsx")[0] == 0


def test_a_model_of_another_state_of_the_sheet_is_refused(tmp_path: Path) -> None:
    """Rows that were inserted move the cells under the addresses that are remembered."""
    cells = {"Model": "1 =(Weights!B1-3)^2+(Weights!B2+1)^2", "Weights": "a 1\nb 1"}
    path, out = write_grid(tmp_path / "two.xlsx", cells), tmp_path / "out.xlsx"
    code, text = run("setup", path, "--objective", "Model!B1", "--variables", "Weights!B1:B2",
                     "--yes", "-o", out)  # fmt: skip
    assert code == 0 and "but not for Excel's Solver" in text
    assert "by changing Weights!B1:B2" in run("inspect", out)[1]
    held = openpyxl.load_workbook(out)
    held["Weights"].insert_rows(1)
    held["Model"]["B1"] = "=(Weights!B2-3)^2+(Weights!B3+1)^2"
    held.save(tmp_path / "plain.xlsx")  # without the part
    from xl2torch.workbook.package import Changes, read_package

    changes = Changes(read_package(tmp_path / "plain.xlsx"))
    remember(xl2torch.load(out).remembered, changes)
    changes.save(tmp_path / "moved.xlsx")
    code, text = run("train", tmp_path / "moved.xlsx")
    assert code == 1 or code == 2
    assert "has changed since" in text and "Give --objective and --variables" in text
    assert run("inspect", tmp_path / "moved.xlsx")[0] == 0


def test_nothing_is_stored_that_is_there(tmp_path: Path, book: Path) -> None:
    out, two = tmp_path / "out.xlsx", tmp_path / "two.xlsx"
    run("train", book, *MODEL, "-o", out)
    run("train", out, "-o", two, "--report", "none")
    assert "xl/customXml" not in "".join(ZipFile(two).namelist())
    first, second = read(out)["xl/workbook.xml"], read(two)["xl/workbook.xml"]
    assert first == second
    code, _ = run("train", book, *MODEL, "--no-store-model", "-o", tmp_path / "plain.xlsx")
    assert code == 0 and b"solver_" not in read(tmp_path / "plain.xlsx")["xl/workbook.xml"]


def test_a_part_that_is_damaged_is_nothing(tmp_path: Path, book: Path) -> None:
    workbook = xl2torch.load(book)
    from xl2torch.workbook.package import Changes, read_package

    changes = Changes(workbook.package)
    remember({"--lr": ("0.1",), "x": ("<&>\u00e9", "b")}, changes)
    changes.save(tmp_path / "out.xlsx")
    package = read_package(tmp_path / "out.xlsx")
    assert read_remembered(package) == {"--lr": ("0.1",), "x": ("<&>\u00e9", "b")}
    (part,) = [name for name in package.parts if name.startswith("customXml")]
    for data in (package.parts[part][:-5], b"<!DOCTYPE x>" + package.parts[part]):
        broken = Changes(package)
        broken.parts[part] = data
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("xl2torch.workbook.package._XML", ())
            broken.save(tmp_path / "broken.xlsx")
        assert read_remembered(read_package(tmp_path / "broken.xlsx")) == {}


def test_options_that_make_no_sense_are_told(book: Path, tmp_path: Path) -> None:
    from xl2torch.workbook.package import Changes

    changes = Changes(xl2torch.load(book).package)
    remember({"--lr": ("fast",), "variables": ("A1:B1",), "objective": ("C1",)}, changes)
    changes.save(tmp_path / "out.xlsx")
    code, text = run("train", tmp_path / "out.xlsx", "-o", tmp_path / "two.xlsx")
    assert code == 2 and "'fast' is not a valid float" in text
