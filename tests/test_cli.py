"""The command line: what it prints, its JSON, its exit status."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from corpus import CORPUS, ROOT, WORKBOOKS, requires_corpus
from grids import write_grid
from judges import cached_values
from packages import parts, write
from packages import sheet as sheet_xml

import xl2torch
from xl2torch.cli import main
from xl2torch.reports.kinds import REPORTS


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


TRAIN_KEYS = {
    "workbook", "sheet", "objective", "start", "final", "epochs", "seconds", "message", "output",
    "variables", "watched", "changed_cells", "changed_parts", "added_parts",
}  # fmt: skip
VERIFY_KEYS = {
    "cells", "compared", "matched", "mismatched", "volatile", "uncached", "unsupported",
    "functions", "seconds",
}  # fmt: skip


def test_train_json(tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    code, text, _ = run(
        "train", WORKBOOKS / "survival.xlsx", "-o", out, "--watch", "C7", "--epochs", "30", "--json"
    )
    report = json.loads(text)
    assert code == 0 and report.keys() >= TRAIN_KEYS
    assert report["output"] == str(out) and out.exists()
    assert report["final"] < report["start"] and report["epochs"] == 30
    assert report["message"].startswith("Stop chosen when the maximum iteration limit")
    (accuracy,) = report["watched"]
    assert accuracy["cell"] == "Model!C7" and accuracy["label"] == "Accuracy"
    assert accuracy["before"] == pytest.approx(0.52) and accuracy["after"] >= 0.75


def test_train_prints_before_and_after(tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    code, text, _ = run("train", WORKBOOKS / "line.xlsx", "-o", out)
    assert code == 0
    first, second, blank, *rest = text.splitlines()
    assert first == "Loss (MSE) Model!B8: 2.5 -> 0, 100.00% smaller"
    assert second.startswith("Solver found a solution.") and not blank
    assert rest[:3] == [
        "variable cell  before  after",
        "Model!B5 m         -1      2",
        "Model!B6 b          5      1",
    ]  # fmt: skip
    assert f"wrote {out}" in text


def test_the_answer_is_shown_up_to_twenty_of_each(tmp_path: Path) -> None:
    """The cells first that break a constraint; JSON has all of them."""
    numbers = " ".join(["1"] * 30)
    text = f"{numbers}\n=SUMSQ(A1:AD1) =SUM(A1:AD1)"
    book = write_grid(tmp_path / "b.xlsx", text)
    out = str(tmp_path / "out.xlsx")
    model = ["--objective", "A2", "--variables", "A1:AD1", "--constraint", "B2 >= 60",
             "--constraint", "A1:AD1 <= 5", "--force", "-o", out]  # fmt: skip

    code, shown, _ = run("train", book, *model)
    assert code == 0 and "S!T1" in shown and "S!U1" not in shown
    assert "and 10 more (--json lists all)" in shown and "and 11 more" in shown
    assert re.search(r"\$B\$2>=60 +60 +0  Binding", shown)
    report = json.loads(run("train", book, *model, "--json")[1])
    assert len(report["variable_cells"]) == 30 and len(report["constraints"]) == 31
    assert report["variable_cells"][29]["after"] == pytest.approx(2.0, rel=1e-6)
    assert report["improvement"].startswith("S!A2: 30 -> 120, 300.00% larger")


def test_reports_by_name(tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    code, text, _ = run(
        "train", WORKBOOKS / "quadratic.xlsx", "-o", out, "--report", "all", "--json"
    )
    report = json.loads(text)
    assert code == 0 and not report["skipped_reports"]
    assert report["reports"] == {
        "training": "Training Report 1", "answer": "Answer Report 1",
        "sensitivity": "Sensitivity Report 1", "limits": "Limits Report 1",
        "statistics": "Regression Report 1", "gradients": "Gradient Check 1",
    }  # fmt: skip
    names = xl2torch.load(out).sheet_order
    assert names[-7:-1] == tuple(report["reports"].values())
    assert names[-1] == "Gradient Check Copies 1"
    code, text, _ = run("train", out, "-o", tmp_path / "two.xlsx", "--report", "limits,answer")
    assert code == 0 and "added Answer Report 2, Limits Report 2" in text


def test_no_report_at_all(tmp_path: Path) -> None:
    book = WORKBOOKS / "quadratic.xlsx"
    code, text, _ = run("train", book, "-o", tmp_path / "out.xlsx", "--report", "none")
    assert code == 0 and "added" not in text
    assert xl2torch.load(tmp_path / "out.xlsx").sheet_order == xl2torch.load(book).sheet_order


def test_reports_that_make_no_sense(tmp_path: Path) -> None:
    """Asked for by name it is an error before training; among all it is left out, and said."""
    book = write(tmp_path / "b.xlsx", parts("B1 5\nB2 1\nB3 =EXP(B1)+EXP(-B1)+B2^4 | 150"))
    out = tmp_path / "out.xlsx"
    code, _, errors = run("train", book, "-o", out, "--report", "statistics")
    assert code == 1 and "no sum, mean or root mean of squared residuals" in errors
    assert not out.exists()
    code, text, errors = run("train", book, "-o", out, "--report", "all")
    assert code == 0 and "no statistics report: the objective" in errors
    assert "Sensitivity Report 1" in text and "Regression" not in text
    code, _, errors = run("train", book, "-o", out, "--report", "answer,profit", "--force")
    assert code == 2 and "no report 'profit': there are training, answer, " in errors


def test_constraints_by_flags_are_stored(tmp_path: Path) -> None:
    book = write(tmp_path / "b.xlsx", parts(names=""))
    code, text, _ = run(
        "train", book, "--objective", "B3", "--variables", "B1:B2", "--constraint", "B1 >= 2",
        "--constraint", "B2 <= 1", "--non-negative", "--store-model", "--json",
    )  # fmt: skip
    report = json.loads(text)
    assert code == 0 and report["final"] == pytest.approx(5.0)
    model = xl2torch.compile(xl2torch.load(report["output"]))
    assert [str(item) for item in model.problem.constraints] == [
        "Model!B1 >= 2", "Model!B2 <= 1",
    ]  # fmt: skip
    assert model.problem.non_negative
    code, _, errors = run("train", book, "--variables", "B1", "--objective", "B3", "--constraint",
                          "B1 > 2", "--force")  # fmt: skip
    assert code == 2 and "CELLS <= LIMIT" in errors


def test_too_many_cells_for_excels_solver_are_told(tmp_path: Path) -> None:
    table = "".join(f"A{row} 1\n" for row in range(1, 202)) + "B3 =SUMSQ(A1:A201) | 201"
    book = write(tmp_path / "b.xlsx", parts(table, names=""))
    code, _, errors = run("train", book, "--objective", "B3", "--variables", "A1:A201",
                          "--store-model")  # fmt: skip
    assert code == 0 and "Excel's Solver takes at most 200 variable cells" in errors


def test_what_solver_cannot_hold_may_be_left_out(tmp_path: Path) -> None:
    tables = {"Model": "B1 1\nB3 =(B1-Other!B1)^2 | 4", "Other": "B1 3"}
    book = write(tmp_path / "b.xlsx", parts(tables, names=""))
    given = ("train", book, "--objective", "B3", "--variables", "B1,Other!B1")
    code, _, errors = run(*given, "--store-model")
    assert code == 2 and "on one sheet" in errors and "leave out --store-model" in errors
    assert run(*given)[0] == 0


def test_restore(tmp_path: Path) -> None:
    book = tmp_path / "line.xlsx"
    shutil.copy(WORKBOOKS / "line.xlsx", book)
    assert run("train", book)[0] == 0
    code, text, _ = run("restore", tmp_path / "line-trained.xlsx")
    assert code == 0 and "put back 2 variable cells from 'Answer Report 1'" in text
    before, after = (
        {place: value for place, value in cached_values(path).items() if place[0] == "Model"}
        for path in (book, tmp_path / "line-trained-restored.xlsx")
    )
    assert before == after
    assert run("restore", tmp_path / "line-trained.xlsx")[0] == 1  # it is there already
    code, text, _ = run("restore", tmp_path / "line-trained.xlsx", "--force", "--json")
    assert code == 0 and json.loads(text)["variables"] == 2
    code, _, errors = run("restore", book)
    assert code == 2 and "has no Answer Report" in errors
    assert run("restore", book, "--in-place", "-o", book)[0] == 2


def test_default_output_and_force(tmp_path: Path) -> None:
    book = tmp_path / "line.xlsx"
    book.write_bytes((WORKBOOKS / "line.xlsx").read_bytes())
    assert run("train", book)[0] == 0
    assert (tmp_path / "line-trained.xlsx").exists()
    code, _, error = run("train", book)
    assert code == 1 and "--force" in error
    assert run("train", book, "--force")[0] == 0


def test_in_place(tmp_path: Path) -> None:
    book = tmp_path / "line.xlsx"
    book.write_bytes((WORKBOOKS / "line.xlsx").read_bytes())
    assert run("train", book, "--in-place")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["line.xlsx"]
    assert xl2torch.load(book).sheet_order[-1] == "Answer Report 1"


@pytest.mark.parametrize(("sense", "expected"), [("min", 0.0), ("max", 3.0), ("value=2", 2.0)])
def test_flags_instead_of_a_stored_model(sense: str, expected: float, tmp_path: Path) -> None:
    """3 - x² and x²: a goal of each kind."""
    formula = "=3-A1^2" if sense == "max" else "=A1^2"
    book = write_grid(tmp_path / "b.xlsx", f"1.5 {formula}", names={"x": "S!$A$1"})
    code, text, _ = run(
        "train", book, "--objective", "B1", "--variables", "x", "--sense", sense, "--json"
    )
    assert code == 0
    assert json.loads(text)["final"] == pytest.approx(expected, abs=1e-9)


def test_several_variable_ranges(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "1 2 3 =(A1-4)^2+(B1-5)^2+(C1-6)^2")
    code, text, _ = run(
        "train", book, "--objective", "D1", "--variables", "A1,B1", "--variables", "C1", "--json"
    )
    assert code == 0
    values = [item["values"] for item in json.loads(text)["variables"]]
    assert values == pytest.approx([4.0, 5.0, 6.0])


def test_a_variable_cell_with_a_formula_is_cut(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "7 =A1*2 =(B1-4)^2")
    code, _, _ = run("train", book, "--objective", "C1", "--variables", "B1")
    assert code == 0
    written = xl2torch.load(tmp_path / "b-trained.xlsx").sheet("S")
    assert (1, 2) not in written.formula_at
    assert written.cells.value(1, 2) == pytest.approx(4.0)


def test_bounds_of_the_stored_model(tmp_path: Path) -> None:
    solver = {
        "opt": "S!$C$1", "adj": "S!$A$1:$B$1", "typ": "2", "neg": "2", "num": "2",
        "lhs1": "S!$A$1", "rel1": "1", "rhs1": "3", "lhs2": "S!$B$1", "rel2": "3", "rhs2": "6",
    }  # fmt: skip
    book = write_grid(tmp_path / "b.xlsx", "0 9 =(A1-4)^2+(B1-5)^2", solver=solver)
    for optimizer in ("lbfgs", "sgd", "adam"):
        code, text, _ = run(
            "train", book, "--optimizer", optimizer, "--json", "--force", "--epochs", "3000",
        )  # fmt: skip
        assert code == 0
        (values,) = [item["values"] for item in json.loads(text)["variables"]]
        assert values == pytest.approx([3.0, 6.0], abs=1e-3), optimizer


def test_verify_json() -> None:
    code, text, _ = run("verify", WORKBOOKS / "survival.xlsx", "--json")
    report = json.loads(text)
    assert code == 0 and report["total"].keys() >= VERIFY_KEYS
    assert report["sheets"]["Model"].keys() >= VERIFY_KEYS - {"seconds"}


def test_verify_fails_on_a_wrong_value(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(WORKBOOKS / "line.xlsx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    part = "xl/worksheets/sheet1.xml"
    parts[part] = parts[part].replace(b"<v>2.5</v>", b"<v>2.6</v>")
    with zipfile.ZipFile(tmp_path / "wrong.xlsx", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    code, text, _ = run("verify", tmp_path / "wrong.xlsx")
    assert code == 1
    assert "Model!B8: =AVERAGE(D11:D12)\n  computed 2.5, stored 2.6" in text
    code, text, _ = run("verify", tmp_path / "wrong.xlsx", "--json")
    assert code == 1 and json.loads(text)["total"]["mismatched"] == 1


def test_inspect_shows_the_program() -> None:
    code, text, _ = run("inspect", WORKBOOKS / "survival.xlsx")
    assert code == 0
    assert "linear(age_80, unit_1)" in text and "relu(lin1)" in text
    code, text, _ = run("inspect", WORKBOOKS / "survival.xlsx", "--json")
    (model,) = json.loads(text)["models"]
    assert [line["name"] for line in model["program"]] == [
        "lin1", "relu1", "pred", "error2", "loss_mse",
    ]  # fmt: skip
    assert model["parameters"][0]["shape"] == [3, 4]


def test_inspect_shows_a_model_that_is_not_stored(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "1 2 =A1*B1 =SQRT(C1)")
    code, text, _ = run("inspect", book, "--objective", "D1", "--variables", "A1", "--json")
    (model,) = json.loads(text)["models"]
    assert code == 0 and model["value"] == pytest.approx(2**0.5)
    assert [line["torch"] for line in model["program"]] == ["a1 * 2", "sqrt(c1)"]


@pytest.mark.parametrize("options", [(), ("--objective", "B1", "--variables", "A1")])
def test_another_optimizer_takes_the_place_of_the_evolutionary_engine(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    solver = {"opt": "S!$B$1", "adj": "S!$A$1", "typ": "2", "eng": "3", "neg": "2"}
    book = write_grid(tmp_path / "b.xlsx", "1 =A1^2", solver=solver)
    code, output, _ = run("train", book, *options)
    assert code == 0 and "asks for the Evolutionary engine" in output


def test_functions_of_vba_are_one_line(tmp_path: Path) -> None:
    """Their cells do not crowd out a mismatch either."""
    rows = [f"{n} =MyUdf(A{n})+{n}^{n % 3} =Other(A{n},{n})" for n in range(1, 41)]
    book = write_grid(tmp_path / "b.xlsx", "\n".join(rows))
    for command in ("verify", "inspect"):
        _, output, _ = run(command, book)
        assert len([line for line in output.splitlines() if "MYUDF" in line.upper()]) <= 2
        assert "OTHER (40 cells, first S!C1): functions that Excel does not have" in output


def test_functions_page_is_made_from_the_code() -> None:
    import runpy

    page = runpy.run_path(str(ROOT / "docs" / "make_functions.py"))["table"]()
    assert (ROOT / "docs" / "functions.md").read_text(encoding="utf-8") == page


def test_verify_says_what_it_could_not_compare(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "1 =A1+1")
    code, text, _ = run("verify", book)
    assert code == 0 and "1 formula cells hold no stored value" in text


@requires_corpus
def test_several_models_are_listed() -> None:
    code, text, error = run("train", CORPUS / "fastai-2022" / "titanic.xlsx")
    assert code == 2 and not text
    for sheet in ("mmult", "nnet", "linear"):
        assert f"--sheet {sheet}" in error


@requires_corpus
def test_interrupt_writes_the_best_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xl2torch.training.steps.quasi_newton import QuasiNewton

    steps = 0
    step = QuasiNewton.step

    def interrupted(self: QuasiNewton) -> None:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(QuasiNewton, "step", interrupted)
    out = tmp_path / "out.xlsx"
    code, text, _ = run("train", WORKBOOKS / "survival.xlsx", "-o", out, "--json")
    report = json.loads(text)
    assert code == 0 and out.exists() and report["epochs"] == 3
    assert "user's request" in report["message"] and report["final"] < report["start"]


GRADCHECK_KEYS = {
    "objective", "value", "method", "step", "variables", "max_rel_diff", "solver", "ok",
}  # fmt: skip


def test_gradcheck_json(tmp_path: Path) -> None:
    book = WORKBOOKS / "survival.xlsx"
    code, text, _ = run("gradcheck", book, "--json", "-o", tmp_path / "out.xlsx")
    report = json.loads(text)
    assert code == 0 and report.keys() >= GRADCHECK_KEYS
    assert report["objective"] == "Model!C6" and report["method"] == "central"
    assert len(report["variables"]) == 16 and report["max_rel_diff"] < 1e-9
    assert report["variables"][0].keys() >= {
        "cell", "label", "analytic", "numeric", "abs_diff", "rel_diff", "ok", "reason",
    }  # fmt: skip
    worst = [row["rel_diff"] for row in report["variables"]]
    assert worst == sorted(worst, reverse=True)
    assert (report["solver"]["forward"], report["solver"]["central"]) == (16, 32)
    assert report["output_sheet"] == "Gradient Check 1" and (tmp_path / "out.xlsx").exists()


def test_gradcheck_for_people() -> None:
    code, text, _ = run("gradcheck", WORKBOOKS / "line.xlsx")
    assert code == 0
    assert "objective Model!B8 Loss (MSE) = 2.5" in text
    assert re.search(r"Model!B5 +m +-3 +-3 .* ok", text)
    assert "2 of 2 cells agree; largest relative difference" in text
    assert "Solver needs 2 recalculations for one gradient by forward differences, 4 by" in text


def test_gradcheck_exit_status_tells_a_disagreement(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "0 5 =MAX(0,A1)+B1^2")
    model = ("--objective", "C1", "--variables", "A1:B1")
    code, text, _ = run("gradcheck", book, *model)
    assert code == 1
    assert "S!A1: kink: S!C1 =MAX(0,A1)+B1^2 bends within one step" in text
    assert "1 of 2 cells agree" in text
    code, text, _ = run("gradcheck", book, *model, "--sample", "1", "--seed", "1", "--json")
    assert len(json.loads(text)["variables"]) == 1
    code, text, _ = run("gradcheck", book, *model, "--method", "forward", "--step", "0.01")
    assert code == 1 and "forward differences, step 0.01: as asked for" in text


def test_gradcheck_of_the_author(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "3 =A1^2 =2*A1\n4 =A2^2 =-2*A2\n5 =A3^2 =2*A3")
    columns = ("--of", "B1:B3", "--wrt", "A1:A3", "--against", "C1:C3")
    code, text, _ = run("gradcheck", book, *columns)
    assert code == 1 and "C1:C3: C2: factor: the sign is wrong" in text
    assert re.search(r"C1:C3 +B1:B3 +A1:A3 +2 of 3 .*DIFFERS", text)
    code, text, _ = run("gradcheck", book, *columns, "--json", "-o", tmp_path / "out.xlsx")
    report = json.loads(text)
    assert code == 1 and report["columns"][0]["agreeing"] == 2
    assert report["variables"][0]["cell"] == "S!C2" and not report["variables"][0]["ok"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--of", "B1"], 2, "--of, --wrt and --against belong together"),
        (
            ["--of", "B1", "--wrt", "A1", "--against", "C1", "--objective", "B1"], 2,
            "--of takes the place of --objective",
        ),
        (["--objective", "B1", "--variables", "A1", "--step", "0"], 2, "has to be above 0"),
        (["--objective", "B1", "--variables", "A1", "--method", "best"], 2, "best"),
        (["--objective", "B1", "--variables", "C1"], 1, "does not depend on the variable cells"),
        (["--of", "=(A1-", "--wrt", "A1", "--against", "C1"], 2, "=(A1-"),
        (["--of", "B1", "--wrt", "A1", "--against", "C1:D1"], 2, "which fits neither"),
    ],
)  # fmt: skip
def test_gradcheck_mistakes(arguments: list[str], code: int, message: str, tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "3 =A1^2 6")
    found, text, errors = run("gradcheck", book, *arguments)
    assert (found, message in errors, text) == (code, True, "")


def test_help_is_quick_and_has_examples() -> None:
    commands = main.commands
    assert set(commands) == {
        "inspect", "verify", "gradcheck", "train", "export", "predict", "restore", "replay", "plot",
        "setup", "samples",
    }  # fmt: skip
    for command in [main, *commands.values()]:
        assert command.help is not None and "Example: xl2torch" in command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name != "optimizer":
                assert parameter.help, parameter.name
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "xl2torch", "--help"], check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    assert min(times) < 0.3


def test_version_and_module() -> None:
    output = subprocess.run(
        [sys.executable, "-m", "xl2torch", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == f"xl2torch, version {xl2torch.__version__}"


@pytest.mark.slow
def test_readme_is_true(tmp_path: Path) -> None:
    """The README's program listing and its Python example are what the code does."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, text, _ = run("inspect", WORKBOOKS / "survival.xlsx")
    for line in re.findall(r"^  (?:lin1|relu1|pred|error2|loss_mse) .*$", readme, re.MULTILINE):
        assert line in text
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    example = example.replace("workbooks/survival.xlsx", (WORKBOOKS / "survival.xlsx").as_posix())
    subprocess.run([sys.executable, "-c", example], check=True, cwd=tmp_path, capture_output=True)
    assert (tmp_path / "survival-trained.xlsx").exists()
    for command in ("inspect", "verify", "train", "restore"):
        assert f"`xl2torch {command} BOOK`" in readme


def test_the_page_on_reports_names_them_all() -> None:
    page = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    for kind, title in REPORTS.items():
        assert f"| `{kind}` | `{title} 1` |" in page
    for picture in re.findall(r"\((images/\S+)\)", page):
        assert (ROOT / "docs" / picture).exists()


def test_a_value_that_the_formulas_do_not_give_is_told(tmp_path: Path) -> None:
    data = "<row r='1'><c r='A1'><v>5</v></c><c r='B1'><f>(A1-1)^2</f><v>55</v></c></row>"
    path = write(tmp_path / "old.xlsx", parts({"S": sheet_xml(data)}, names=""))
    result = CliRunner().invoke(
        main, ["train", str(path), "--objective", "B1", "--variables", "A1"]
    )
    assert result.exit_code == 0
    assert "the file says 55 for S!B1, its formulas give 16" in result.stderr


def test_train_in_batches(tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    code, text, error = run(
        "train", WORKBOOKS / "survival.xlsx", "-o", out,
        "--batch-size", "50", "--validation", "0.2",
        "--metric", "accuracy", "--patience", "5", "--epochs", "20", "--seed", "1", "--json",
    )  # fmt: skip
    report = json.loads(text)
    assert code == 0 and not error  # quiet in a pipe
    best = report["best"]
    assert report["batch_size"] == 50
    assert best["gap"] == pytest.approx(best["validation"] - best["training"])
    assert {"accuracy", "validation accuracy"} < best.keys()
    sheet = xl2torch.load(out).sheet("Training Report 1").cells
    headings = [sheet.value(3, column) for column in range(1, 10)]
    assert headings[5:9] == ["Validation", "Gap", "Accuracy", "Validation accuracy"]
    assert sheet.value(4 + best["iteration"], 6) == pytest.approx(best["validation"])


def test_train_freeze_and_stages(tmp_path: Path) -> None:
    book, out = WORKBOOKS / "survival.xlsx", tmp_path / "out.xlsx"
    code, text, _ = run(
        "train", book, "-o", out, "--optimizer", "adam", "--stage", "M6:P6=2", "--stage", "all=3",
        "--freeze", "F6:I6", "--json",
    )  # fmt: skip
    assert code == 0 and json.loads(text)["epochs"] == 5
    before, after = cached_values(book), cached_values(out)
    assert all(before[("Model", f"{c}6")] == after[("Model", f"{c}6")] for c in "FGHI")
    assert before[("Model", "F7")] != after[("Model", "F7")]
    code, _, error = run("train", book, "-o", out, "--force", "--freeze", "A1")
    assert code == 2 and "Model!A1 holds no variable cell" in error


@requires_corpus
def test_replay() -> None:
    book = CORPUS / "fastai-2017" / "graddesc.xlsm"
    code, text, _ = run("replay", book)
    assert code == 0 and text.splitlines()[0].split()[:2] == ["sheet", "torch"]
    assert "a slip: J5 holds =J4*$J$1+$K$1*Intro!F5" in text
    code, text, _ = run("replay", book, "--sheet", "adam", "--epochs", "2", "--json")
    (sheet,) = json.loads(text)["sheets"]
    assert sheet["largest_difference"] < 1e-9 and len(sheet["path"]) == 59
    assert sheet["optimizer"] == "torch.optim.Adam(lr=1, betas=(0.7, 0.9), eps=0)"
    code, text, _ = run("replay", book, "--sheet", "momentum", "--epochs", "2")
    assert code == 0 and "b by torch" in text and "epoch" in text
    assert run("replay", book, "--sheet", "data")[0] == 1
    assert run("replay", book, "--sheet", "none")[0] == 2


# ---------------------------------------------------------------- results on standard output


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [
        (["train", "-o", "-"], b"PK\x03\x04"),
        (["plot", "--kind", "contour", "-o", "-"], b"\x89PNG"),
        (["export", "--to", "python", "-o", "-"], b'"""Sheet Model of line.xlsx'),
        (["export", "--to", "safetensors", "-o", "-"], None),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, list) else "",
)  # fmt: skip
def test_a_dash_is_standard_output(arguments: list[str], begins: bytes | None) -> None:
    book = str(WORKBOOKS / "line.xlsx")
    done = CliRunner().invoke(main, [arguments[0], book, *arguments[1:]])
    assert done.exit_code == 0, done.stderr
    assert done.stdout_bytes.startswith(begins or done.stdout_bytes[:4])
    assert b'{"__metadata__"' in done.stdout_bytes[:40] or begins is not None
    if arguments[0] == "train":
        assert "wrote standard output" in done.stderr and "Loss (MSE)" in done.stderr


def test_predictions_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("Age,IsMale,Class\n22,1,3\n", encoding="utf-8")
    arguments = ["predict", str(WORKBOOKS / "survival.xlsx"), str(tmp_path / "new.csv")]
    dashed, plain = (CliRunner().invoke(main, [*arguments, *more]) for more in (["-o", "-"], []))
    assert dashed.stdout == plain.stdout and dashed.exit_code == 0


# ---------------------------------------------------------------- what is said on the way


def test_formulas_in_variable_cells_are_told_before(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "=1+1 =2 =(A1-4)^2+(B1-3)^2")
    _, text, errors = run("train", book, "--objective", "C1", "--variables", "A1:B1")
    assert "the variable cell S!A1 and 1 more holds a formula" in errors and "wrote" in text


def test_non_negative_is_named(tmp_path: Path) -> None:
    """Where it pins all cells at 0, and where a linear model without it ends below."""
    book = write_grid(tmp_path / "b.xlsx", "1 1 =(A1+4)^2+(B1+3)^2")
    model = ["--objective", "C1", "--variables", "A1:B1", "--force"]
    text = run("train", book, *model, "--non-negative")[1]
    assert "Assume Non-Negative keeps all variable cells at 0: --any-sign" in text
    text = run("train", book, *model, "--constraint", "A1+B1 <= 1")[1]
    assert "S!A1 is -4: where that makes no sense, --non-negative" in text
    assert "--non-negative" not in run("train", book, *model)[1]


def test_a_unit_that_dies_on_the_way_is_told(tmp_path: Path) -> None:
    """The first steps close its ReLU; the other unit goes on."""
    book = write_grid(tmp_path / "b.xlsx", "0.5 1 =(MAX(0,A1)+1)^2+(B1-3)^2")
    text = run("train", book, "--objective", "C1", "--variables", "A1:B1", "--optimizer", "sgd",
               "--lr", "0.01", "--epochs", "200")[1]  # fmt: skip
    assert "the objective has not felt S!A1 since iteration" in text


def test_all_cells_have_values_where_the_file_had_none(tmp_path: Path) -> None:
    """As pandas would read it: off the way of the model, too."""
    book = write_grid(tmp_path / "b.xlsx", "1 =(A1-4)^2 5 =C1*2")
    model = ["--objective", "B1", "--variables", "A1"]
    out, all_, reached = (tmp_path / name for name in ("o.xlsx", "a.xlsx", "r.xlsx"))
    run("train", book, *model, "-o", out)
    assert cached_values(out)["S", "D1"] == 10.0
    run("train", book, *model, "-o", reached, "--recalculate", "reached")
    assert ("S", "D1") not in cached_values(reached)
    run("train", reached, *model, "-o", all_, "--recalculate", "all")
    assert cached_values(all_)["S", "D1"] == 10.0


def test_blank_cells_among_the_data_are_said(tmp_path: Path) -> None:
    """One of ten counts as 0, which spoils the line without a word in Excel."""
    rows = [f"{'.' if n == 5 else n} {2 * n} =$A$1*A{n + 2} =(C{n + 2}-B{n + 2})^2"
            for n in range(1, 11)]  # fmt: skip
    book = write_grid(tmp_path / "b.xlsx", "\n".join(["1 =SUM(D3:D12)", "x y p e", *rows]))
    text = run("train", book, "--objective", "B1", "--variables", "A1")[1]
    assert "note: S!A7 is blank among the data, and a blank counts as 0" in text
    full = write_grid(tmp_path / "f.xlsx", "\n".join(["1 =SUM(D3:D12)", "x y p e", *rows]).replace(
        "\n. ", "\n5 "))  # fmt: skip
    assert "blank among" not in run("train", full, "--objective", "B1", "--variables", "A1")[1]
