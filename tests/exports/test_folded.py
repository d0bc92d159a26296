"""The written program reads cells, or refuses a workbook in which they differ."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import openpyxl
import pytest
import torch
from click.testing import CliRunner
from corpus import WORKBOOKS
from grids import write_grid

import xl2torch
from xl2torch.cli import main
from xl2torch.errors import ModelError
from xl2torch.reports.save import fill_cached_values

ROWS = "{0} {1} male {2}\n"
CASES = {
    # formulas of a row: what of the data has to be code, and whether the file may be another's
    "a scale": ("=$A$1*A{r}/30+$B$1", True),
    "a square": ("=$A$1*A{r}^2+$B$1", True),
    "a cell's number": ("=$A$1*A{r}*$D$1+$B$1", True),
    "a mean of all": ("=$A$1*(A{r}-AVERAGE(A$3:A$8))+$B$1", True),
    "a text": ('=IF(C{r}="male",$A$1,$B$1)*A{r}', True),
    "a place in a list": ("=INDEX($A$1:$B$1,E{r})", False),
    "a text in a list": ('=IF(OR(C{r}="male",C{r}="x"),$A$1,$B$1)*A{r}', False),
}


def book(path: Path, formula: str, seed: int = 0) -> Path:
    lines = [f"0.5 0.25 . {3 + seed} =AVERAGE(G3:G8)", "x y sex z k p e"]
    for row in range(3, 9):
        number = (row * 7 + 3 * seed) % 11 + 0.5
        sex = "male" if (row + seed) % 3 else "female"
        cells = [f"{number}", f"{number * 2 + 1}", sex, ".", f"{1 + (row + seed) % 2}"]
        lines.append(" ".join([*cells, formula.format(r=row), f"=(F{row}-B{row})^2"]))
    write_grid(path, "\n".join(lines))
    fill_cached_values(path)
    return path


def compiled(path: Path) -> xl2torch.SheetModel:
    return xl2torch.compile(path, objective="E1", variables="A1:B1", sense="min")


def program(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(path: Path) -> openpyxl.Workbook:
    return openpyxl.load_workbook(path, read_only=True, data_only=True)


@pytest.mark.parametrize("case", CASES)
def test_another_workbook_is_read_or_refused(case: str, tmp_path: Path) -> None:
    formula, is_open = CASES[case]
    own, other = book(tmp_path / "own.xlsx", formula), book(tmp_path / "b.xlsx", formula, seed=1)
    xl2torch.export(compiled(own), tmp_path / "model.py")
    module = program(tmp_path / "model.py")
    found = module.S(opened(own))
    assert found().item() == pytest.approx(compiled(own)().item(), rel=1e-12)
    if is_open:
        there = module.S(opened(other))
        assert there().item() == pytest.approx(compiled(other)().item(), rel=1e-12)
        assert compiled(own)().item() != pytest.approx(compiled(other)().item())
    else:
        with pytest.raises(ValueError, match="numbers in it were computed from them"):
            module.S(opened(other))


@pytest.mark.parametrize(
    "formula",
    [
        "=IF(A{r}>6,$A$1*A{r},$B$1)",
        "=$A$1*MIN(A{r},$D$1)+$B$1",
        '=$A$1*SUMIF(C$3:C$8,C{r},A$3:A$8)+$B$1',
        '=IFERROR($A$1*MATCH("female",C{r}:C$8,0),$B$1)',
        "=$A$1*SUM(A$3:A{r})+$B$1",
        "=$A$1*MATCH(A{r},A$3:A$8,0)+$B$1",
        "=IF(AND(A{r}>2,B{r}<20),$A$1,$B$1)*A{r}",
        '=$A$1*COUNTIF(A$3:A$8,">5")*A{r}+$B$1',
        "=$A$1*RANK(A{r},A$3:A$8)+$B$1",
    ],
)  # fmt: skip
def test_never_another_number(formula: str, tmp_path: Path) -> None:
    """Whatever of another workbook decides something: its own number, or a refusal."""
    own = book(tmp_path / "own.xlsx", formula)
    xl2torch.export(compiled(own), tmp_path / "model.py")
    module = program(tmp_path / "model.py")
    assert module.S(opened(own))().item() == pytest.approx(compiled(own)().item(), rel=1e-12)
    for seed in (1, 2, 3):
        other = book(tmp_path / f"b{seed}.xlsx", formula, seed)
        try:
            found = module.S(opened(other))().item()
        except ValueError as error:
            assert "export the model of this workbook anew" in str(error)
        else:
            assert found == pytest.approx(compiled(other)().item(), rel=1e-12)


def test_two_ranges_that_hold_the_same_are_read_once(tmp_path: Path) -> None:
    def twin(name: str, scale: float, other: float) -> Path:
        lines = ["0.5 0.25 . . =AVERAGE(G3:G8)", "x y z k p q e"]
        for r in range(3, 9):
            x = (r * 7 % 11 + 0.5) * scale
            lines.append(f"{x} {r} {x * other} . . =$A$1*A{r}+$B$1*C{r} =(F{r}-B{r})^2")
        write_grid(tmp_path / name, "\n".join(lines))
        fill_cached_values(tmp_path / name)
        return tmp_path / name

    xl2torch.export(compiled(twin("own.xlsx", 1.0, 1.0)), tmp_path / "model.py")
    (note,) = xl2torch.export(compiled(tmp_path / "own.xlsx"), tmp_path / "two.py").notes
    assert note == "in another workbook S!A3:A8 and S!C3:C8 have to hold the same"
    module = program(tmp_path / "model.py")
    alike = twin("alike.xlsx", 3.0, 1.0)
    assert module.S(opened(alike))().item() == pytest.approx(compiled(alike)().item(), rel=1e-12)
    unlike = twin("unlike.xlsx", 1.0, 2.0)
    with pytest.raises(ValueError, match="held the same where this file was written"):
        module.S(opened(unlike))


def test_a_logical_among_the_data_is_no_number(tmp_path: Path) -> None:
    own = book(tmp_path / "own.xlsx", CASES["a scale"][0])
    xl2torch.export(compiled(own), tmp_path / "model.py")
    edited = openpyxl.load_workbook(own, data_only=True)
    edited["S"]["A5"] = True
    edited.save(tmp_path / "logical.xlsx")
    with pytest.raises(ValueError, match="that are no numbers"):
        program(tmp_path / "model.py").S(opened(tmp_path / "logical.xlsx"))


def test_a_workbook_that_openpyxl_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program would not run either: it is told before it is written."""
    model = compiled(book(tmp_path / "own.xlsx", CASES["a place in a list"][0]))

    def refuses(*_: object, **__: object) -> None:
        raise TypeError("BookView.__init__() got an unexpected keyword argument 'x'")

    monkeypatch.setattr(openpyxl, "load_workbook", refuses)
    with pytest.raises(ModelError, match="save it in Excel or LibreOffice first"):
        xl2torch.export(model, tmp_path / "model.py")
    assert not (tmp_path / "model.py").exists()


def test_cells_that_are_no_numbers_any_more(tmp_path: Path) -> None:
    own = book(tmp_path / "own.xlsx", CASES["a scale"][0])
    xl2torch.export(compiled(own), tmp_path / "model.py")
    edited = openpyxl.load_workbook(own, data_only=True)
    edited["S"]["A5"] = None
    edited.save(tmp_path / "blank.xlsx")
    with pytest.raises(ValueError, match=re.escape("cells of S!A3:A8 that are no numbers: 1, ")):
        program(tmp_path / "model.py").S(opened(tmp_path / "blank.xlsx"))


def test_training_keeps_the_best(tmp_path: Path) -> None:
    """A rate at which Adam ends worse than it began."""
    own = book(tmp_path / "own.xlsx", CASES["a scale"][0])
    xl2torch.export(compiled(own), tmp_path / "model.py")
    module = program(tmp_path / "model.py")
    for steps, rate in ((3, 500.0), (200, 0.1), (0, 0.1)):
        model = module.S(opened(own))
        before = model().item()
        module.train(model, steps, rate)
        assert model().item() <= before
    assert steps == 0 and model().item() == before


def test_new_rows_are_predicted(tmp_path: Path) -> None:
    path = WORKBOOKS / "survival.xlsx"
    model = xl2torch.compile(path)
    xl2torch.export(model, tmp_path / "model.py")
    module = program(tmp_path / "model.py")
    written = module.Model(opened(path))
    found = written.predict(written.age_80[:3])
    assert "age_80 F12:I311" in module.Model.predict.__doc__
    with torch.no_grad():
        wanted = model.predictor()(**{k: v[:3] for k, v in model.predictor().sheet().items()})
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-12)


def test_new_rows_are_predicted_from_raw_columns(tmp_path: Path) -> None:
    """Where the program has no column of predictions, as with a cross entropy of logits."""
    path = WORKBOOKS / "softmax.xlsx"
    model = xl2torch.compile(path)
    xl2torch.export(model, tmp_path / "model.py")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    predictor = model.predictor()
    assert "def predict(self, rows):" in text
    rows = {predictor.headers[name]: value[:3] for name, value in predictor.sheet().items()}
    found = program(tmp_path / "model.py").Model(opened(path)).predict(rows)
    wanted = predictor(**{name: value[:3] for name, value in predictor.sheet().items()})
    found, wanted = (item if isinstance(item, tuple) else (item,) for item in (found, wanted))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_the_program_says_what_it_does(tmp_path: Path) -> None:
    import subprocess
    import sys

    own = book(tmp_path / "own.xlsx", CASES["a text in a list"][0])
    other = book(tmp_path / "other.xlsx", CASES["a text in a list"][0], seed=1)
    done = CliRunner().invoke(
        main, ["export", str(own), "--objective", "E1", "--variables", "A1:B1", "--to", "python",
               "-o", str(tmp_path / "model.py")]
    )  # fmt: skip
    assert done.exit_code == 0, done.output

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tmp_path / "model.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    told = run("--help").stdout
    assert "Train the model of a workbook" in told and "--steps" in told
    assert "after training" in run("--steps", "2").stdout
    refused = run(str(other))
    assert refused.returncode == 1 and "export the model of this workbook anew" in refused.stderr
    assert "Traceback" not in refused.stderr
