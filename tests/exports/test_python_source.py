"""The Python file is the sheet's model: it runs by itself and says what the sheet says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch
from corpus import CORPUS, ROOT, SAMPLES, WORKBOOKS, requires_corpus

import xl2torch
from xl2torch.errors import ModelError, OutputError, SelectionError
from xl2torch.ir.facts import note
from xl2torch.ir.printing import function_name
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.solver_model import solver_models

TITANIC = CORPUS / "fastai-2022" / "titanic.xlsx"
FILTERS = "AD11:AF13,AD38:AF40,BI11:BK13,BI15:BK17,BI38:BK40,BI42:BK44"
BOOKS = [
    *SAMPLES,
    *sorted(CORPUS.glob("fastai*/*.xls?")),
    *sorted(CORPUS.glob("nist/*_start1.xlsx")),
]


def loaded(path: Path) -> Any:
    """The model of a written file, as running it would make it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (kind,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, torch.nn.Module)
        and value.__module__ == path.stem
    )
    book = openpyxl.load_workbook(module.WORKBOOK, read_only=True, data_only=True)
    try:
        return kind(book)
    finally:
        book.close()


def slopes(module: torch.nn.Module) -> list[torch.Tensor]:
    parameters = [value for _, value in sorted(module.named_parameters())]
    return list(torch.autograd.grad(module(), parameters, allow_unused=True))


def check(model: SheetModel, path: Path) -> None:
    """The file gives the model's objective to 1e-12 and its gradient."""
    xl2torch.export(model, path)
    written = loaded(path)
    ours, theirs = model().detach(), written().detach()
    torch.testing.assert_close(theirs, ours, rtol=1e-12, atol=0)
    for first, second in zip(slopes(written), slopes(model), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-12)


def ruff(folder: Path) -> str:
    """What ruff has against the files of a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--config", ROOT / "pyproject.toml", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout if done.returncode else ""


@pytest.mark.slow
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_trainable_model(path: Path, tmp_path: Path) -> None:
    workbook = xl2torch.load(path)
    stored = solver_models(workbook)
    for number, item in enumerate(stored):
        check(xl2torch.compile(workbook, item.sheet), tmp_path / f"model_{number}.py")
    if not stored:
        assert path.parent.parent == CORPUS  # a workbook to look at, without a Solver model
    assert ruff(tmp_path) == ""


@pytest.mark.slow
@requires_corpus
@pytest.mark.parametrize("year", ["fastai-2017", "fastai-2022"])
def test_a_convolution(year: str, tmp_path: Path) -> None:
    workbook = xl2torch.load(CORPUS / year / "conv-example.xlsx")
    model = xl2torch.compile(workbook, "conv-example", "EN4", FILTERS.split(","))
    check(model, tmp_path / "conv.py")


@requires_corpus
def test_titanic_is_short_and_stands_in_the_readme(tmp_path: Path) -> None:
    path = tmp_path / "titanic_nnet.py"
    xl2torch.export(xl2torch.compile(xl2torch.load(TITANIC), "nnet"), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130 and max(map(len, lines)) <= 100
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    start = lines.index("class Nnet(nn.Module):")
    end = lines.index("def main():")
    assert "\n".join(lines[start:end]).rstrip() in readme


@pytest.mark.slow
def test_the_file_trains(tmp_path: Path) -> None:
    path = tmp_path / "survival.py"
    xl2torch.export(xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx")), path)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    before, after = (float(line.rpartition(" ")[2]) for line in done.stdout.splitlines())
    assert before == pytest.approx(0.29790555203125, rel=1e-12) and after < 0.14


def made(tmp_path: Path, cells: dict[str, Any], title: str = "Sheet") -> SheetModel:
    """A model with variables A1:A2 and objective B1."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for place, value in {"A1": 0.5, "A2": -1.5, **cells}.items():
        sheet[place] = value
    path = tmp_path / "made.xlsx"
    book.save(path)
    workbook = xl2torch.load(path)
    return xl2torch.compile(workbook, objective="B1", variables="A1:A2", constraints=["A1 <= 3"])


FORMULAS = [
    "=SUMPRODUCT(C1:C3,D1:D3)*A1+A2",
    "=SUM((C1:C3-A1)^2)+IF(A2<0,-A2^3,1)",
    "=A1^A2+SUM(EXP(C1:C3*A1))",
    "=MOD(A1,3)+ATAN2(A1,A2)+SEC(A1)",
    "=SUMPRODUCT((C1:C3>4)*(C1:C3-A1)^2)+MAX(A1,A2,C1)",
    "=GAMMALN(A1+2)+ERF(A2)+ASINH(A1)",
    "=ABS(A1-A2)/SQRT(A1+4)+LN(A1^2+1)+A1%",
    "=NORM.S.DIST(A1,TRUE)+NORM.DIST(A2,A1,2,FALSE)+NORM.INV(A1,A2,3)",
    "=GAMMA.DIST(A1,A2+4,1,TRUE)+GAMMA(A1)+GAMMA.INV(A1,2,A2+3)",
    "=T.DIST(A1,3,TRUE)+T.INV(A1,5)*A2+CONFIDENCE.T(0.05,A1,9)",
    "=BETA.DIST(A1,2,A2+3,TRUE)+BETA.INV(A1,A2+3,2)+F.DIST(A1,2,3,TRUE)",
    "=BINOM.DIST(2,5,A1,FALSE)+POISSON.DIST(3,A1,TRUE)+CHISQ.DIST(A1,3,TRUE)*A2",
    "=FACTDOUBLE(5)*A1+GAUSS(A2)+PHI(A1)+LOGNORM.DIST(A1,A2,1,TRUE)",
    "=PMT(A1,12,100)+NPV(A1,1,2,3)+FV(A1,3,A2)+MEDIAN(A1:A2,3)+LARGE(A1:A2,1)",
]


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas(formula: str, tmp_path: Path) -> None:
    cells = {f"C{row}": 2.5 * row for row in (1, 2, 3)} | {f"D{row}": row / 3 for row in (1, 2, 3)}
    check(made(tmp_path, {**cells, "B1": formula}), tmp_path / "formula.py")
    assert ruff(tmp_path) == ""


def test_text_of_the_workbook_stays_text(tmp_path: Path) -> None:
    """Titles and formulas cannot leave the comments and strings that they stand in."""
    title = 'x"); boom() #'
    model = made(
        tmp_path,
        {"B1": '=A1^2+A2^2+LEN("\n""""""\nboom()")*0', "D1": '"""\nboom()\n"""', "A3": "boom()"},
        title,
    )
    check(model, tmp_path / "hostile.py")


@pytest.mark.skipif(sys.platform == "win32", reason="a path of 260 characters at most")
def test_a_long_path_is_wrapped(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a folder with a long name"] * 3, "x" * 70)
    folder.mkdir(parents=True)
    check(made(folder, {"B1": "=A1^2+A2^2"}), tmp_path / "model.py")
    (folder / "made.xlsx").rename(folder / f"{'y' * 120}.xlsx")
    model = xl2torch.compile(
        xl2torch.load(folder / f"{'y' * 120}.xlsx"), objective="B1", variables="A1:A2"
    )
    check(model, tmp_path / "other.py")
    for name in ("model.py", "other.py"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", ["print", "filter", "input", "sum", "max", "class", "self", "F"])
def test_labels_that_python_knows(name: str, tmp_path: Path) -> None:
    cells: dict[str, Any] = {"B1": "=SUMSQ(C2:C9)", "D1": name, "A1": name}
    cells |= {f"D{row}": row / 2 for row in range(2, 10)}
    cells |= {"A2": name, "A3": name, "B2": 0.5, "B3": 0.1, "C1": name}
    cells |= {f"C{row}": f"=D{row}*$B$2-$B$3" for row in range(2, 10)}
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for place, value in cells.items():
        sheet[place] = value
    book.save(tmp_path / "made.xlsx")
    workbook = xl2torch.load(tmp_path / "made.xlsx")
    check(xl2torch.compile(workbook, objective="B1", variables="B2,B3"), tmp_path / "names.py")
    assert ruff(tmp_path) == ""


def test_long_lists_are_broken(tmp_path: Path) -> None:
    """Constants, and a value for each of many single cells."""
    cells: dict[str, Any] = {"B1": "=SUM(C1:C24)+SUMPRODUCT(D1:D12*LN(D1:D12+A1+9))"}
    for row in range(1, 25):
        cells[f"C{row}"] = f"={'SIN' if row % 2 else 'COS'}(A{1 + row % 2}*{row}.123)"
    cells |= {f"D{row}": row / 7 for row in range(1, 13)}
    check(made(tmp_path, cells), tmp_path / "long.py")
    assert ruff(tmp_path) == ""


def test_a_loop_that_starts_with_a_copy(tmp_path: Path) -> None:
    cells = {f"D{row}": row * 1.37 % 2 for row in range(2, 20)} | {"C2": "=D2"}
    cells |= {f"C{row}": f"=$A$1*D{row - 1}+(1-$A$1)*C{row - 1}" for row in range(3, 20)}
    check(made(tmp_path, {**cells, "B1": "=SUMXMY2(C3:C19,D3:D19)+A2^2"}), tmp_path / "start.py")
    assert ruff(tmp_path) == ""


@pytest.mark.slow
def test_bounds_are_kept_in_its_training(tmp_path: Path) -> None:
    xl2torch.export(made(tmp_path, {"B1": "=-A1+A2^2"}), tmp_path / "bounded.py")
    done = subprocess.run(
        [sys.executable, tmp_path / "bounded.py"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout.splitlines()[1].rpartition(" ")[2]) == pytest.approx(-3, abs=1e-3)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    model = made(tmp_path, {"B1": "=A1^2+A2^2"})
    path = tmp_path / "model.py"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="exists already"):
        xl2torch.export(model, path)
    with pytest.raises(OutputError, match="does not exist"):
        xl2torch.export(model, tmp_path / "nowhere" / "model.py")
    with pytest.raises(SelectionError, match="no export to 'matlab'"):
        xl2torch.export(model, path, "matlab")
    with pytest.raises(SelectionError, match="say what to export to"):
        xl2torch.export(model, tmp_path / "model.txt")
    xl2torch.fit(model, epochs=3)
    with pytest.raises(SelectionError, match="save the result"):
        xl2torch.export(model, path, force=True)
    assert path.read_text(encoding="utf-8") == "mine" and len(list(tmp_path.iterdir())) == 2


def test_a_function_without_source_of_its_own_is_refused(tmp_path: Path) -> None:
    model = made(tmp_path, {"B1": "=A1^2+A2"})

    def inner(tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 1

    inner.__module__ = "xl2torch.excel"
    (output,) = model.graph.find_nodes(op="output")
    with model.graph.inserting_before(output):
        node = model.graph.call_function(inner, (output.args[0],))
    note(node, value=torch.zeros(()))
    output.args = (node,)
    with pytest.raises(ModelError, match=r"inner .* cannot be written as Python source"):
        xl2torch.export(model, tmp_path / "model.py")


ROWS = range(3, 60)
LOOPS = {
    "a running value": {"C{r}": "=C{p}*$A$1+$A$2"},
    "from below": {"C{r}": "=C{n}*$A$1+$A$2"},
    "two rows before": {"C{r}": "=C{p}*$A$1-C{pp}*0.5+$A$2"},
    "columns that read each other": {"C{r}": "=TANH(C{p}*$A$1+D{p})", "D{r}": "=D{p}*$A$2+C{r}"},
    "data of the row": {"C{r}": "=C{p}*$A$1+E{r}*$A$2", "E{r}": "={r}/7"},
    "errors of rows before": {"C{r}": "=IFERROR(LN(C{p}+1),C{p}*$A$1+0.1)+$A$1*$A$2"},
    "many rows before": {"C{r}": "=C{far}*$A$1+$A$2"},
    "one loop reads another": {"C{r}": "=C{p}*$A$1+$A$2", "D{r}": "=D{n}*$A$1*0.5+C{r}"},
    "blocks of columns": {
        "C{r}": "=TANH(SUMPRODUCT($C{p}:$D{p},$F$1:$G$1)*$A$1)",
        "D{r}": "=TANH(SUMPRODUCT($C{p}:$D{p},$F$2:$G$2)*$A$2)",
    },
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop(name: str, tmp_path: Path) -> None:
    """Formulas that read the rows before them are a loop of Python."""
    cells: dict[str, Any] = {"F1": 0.3, "G1": -0.2, "F2": 0.1, "G2": 0.4}
    first = 13 if "far" in str(LOOPS[name]) else 3
    cells |= {f"{column}{row}": 0.5 for column in "CD" for row in (*range(1, first), 60)}
    for row in ROWS[first - 3 :]:
        names = {"r": row, "p": row - 1, "pp": row - 2, "n": row + 1, "far": row - 12}
        cells |= {c.format(**names): text.format(**names) for c, text in LOOPS[name].items()}
    model = made(tmp_path, {**cells, "B1": "=SUMSQ(C1:C60)+SUM(D1:D60)"})
    assert model.graph.find_nodes(op="call_module"), model.code
    path = tmp_path / "loop.py"
    check(model, path)
    assert f"for row in range({60 - first}):" in path.read_text(encoding="utf-8")
    assert ruff(tmp_path) == ""


def test_torch_functions_are_called_by_names_that_torch_knows() -> None:
    """F.logsigmoid calls itself log_sigmoid, torch.linalg.inv linalg_inv."""
    names = {"torch": torch, "F": torch.nn.functional}
    functions = [
        torch.nn.functional.logsigmoid, torch.linalg.inv, torch.linalg.det, torch.linalg.qr,
        torch.linalg.vector_norm, torch.special.ndtr, torch.special.gammaln, torch.relu, torch.exp,
        torch.nn.functional.conv2d, torch.nn.functional.pad, torch.linalg.matrix_rank,
    ]  # fmt: skip
    for function in functions:
        assert eval(function_name(function), names) is function


@pytest.mark.parametrize(
    ("weights", "cells"), [("A1:A2", {"A1": 0.0}), ("A1:B2", {}), ("A1:C1", {"A1": 0.0, "C1": 0.0})]
)
def test_blank_weights_at_the_end_of_a_sheet_are_read(
    tmp_path: Path, weights: str, cells: dict[str, float]
) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "S"
    other = book.create_sheet("W")
    for address, value in cells.items():
        other[address] = value
    for row in range(1, 4):
        sheet[f"A{row}"], sheet[f"B{row}"] = row, f"=A{row}*SUM(W!{weights})"
    sheet["C1"] = "=SUMXMY2(A1:A3,B1:B3)"
    book.save(tmp_path / "b.xlsx")
    model = xl2torch.compile(
        xl2torch.load(tmp_path / "b.xlsx"), objective="S!C1", variables=f"W!{weights}"
    )
    xl2torch.export(model, tmp_path / "m.py", to="python")
    assert loaded(tmp_path / "m.py")().item() == 14.0
