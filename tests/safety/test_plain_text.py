"""Text of a workbook stays text: in programs, pictures, tables, Markdown and on a terminal."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from xml.dom import minidom
from xml.sax.saxutils import escape, quoteattr

import openpyxl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.workbook.defined_name import DefinedName

import xl2torch
from xl2torch.cli import main
from xl2torch.exports.drawing import drawing
from xl2torch.exports.explanation import explanation
from xl2torch.exports.python_source import python_source
from xl2torch.exports.tables import as_csv
from xl2torch.model.sheet_model import SheetModel
from xl2torch.plots.draw import draw
from xl2torch.plots.figures import as_bytes
from xl2torch.safety.plain_text import harmless_cell, plain, quoted
from xl2torch.workbook.ooxml import xml_text

LABELS = [
    '"""', '""_xlfn."', '"""\nimport os\n"""', "'''", "\\", '\\"""', "# x\nraise SystemExit",
    "{0}", "{os.system('x')}", "%s", "$x^$", r"$\frac$", "_under", "`<img src=x>`", "<b>&amp;</b>",
    "]]>", "--> <script>", "|a|", "[a](javascript:b)", "\x1b[31mred", "\x1b]0;title\x07", "a\rb",
    "\u202eleft", "\u2028", "\x7f", "\ud800", "\U0001f600", "=1+1", "+1", "-cmd|'/C calc'!A0",
    "@SUM(1)", "None", "True", "class", "self", "forward", "train", "torch", "WORKBOOK", "Path",
    "print", "super", "nn", "x" * 300, "\u0000", "parameters", "book", "model", "values", "T",
]  # fmt: skip
SHEETS = [
    '"""', '""_xlfn."";open("pwned","w");""_xlfn."', "None", "True", "WORKBOOK", "Path", "F", "nn",
    "class", "__main__", "a\tb", "\u202eabc", "`x`", "$x$", "<x>", "=1", "9", "ValueError", "Print",
    "Torch", "'a'b", "{x}", "%d", "\U0001f600",
]  # fmt: skip


def book(folder: Path, sheet: str = "S", label: str = "Loss", name: str = "") -> Path:
    """A line through five points; the label stands everywhere a name is looked for."""
    made = openpyxl.Workbook()
    page = made.active
    assert page is not None
    rows = [[f"=$E$1*A{n}+$E$2", f"=(C{n}-B{n})^2"] for n in range(2, 7)]
    for n, (predicted, error) in enumerate(rows, 2):
        page[f"A{n}"], page[f"B{n}"], page[f"C{n}"], page[f"D{n}"] = n, 2 * n, predicted, error
    page["E1"], page["E2"], page["F1"] = 0.5, 0.25, "=AVERAGE(D2:D6)"
    page["G1"] = "LABEL"
    for cell in ("A1", "B1", "C1"):
        page[cell] = f"LABEL{cell}"
    page["D1"] = "LABEL"
    if name:
        made.defined_names[name] = DefinedName(name, attr_text="S!$E$1")
    path = folder / "plain.xlsx"
    made.save(path)
    return spoiled(path, folder / "book.xlsx", sheet, label)


def spoiled(source: Path, target: Path, sheet: str, label: str) -> Path:
    """The workbook with another sheet name and label, as Excel escapes what XML cannot hold."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.namelist():
            text = old.read(part).decode()
            if part == "xl/workbook.xml":
                text = text.replace('name="Sheet"', f"name={quoteattr(sheet)}")
                text = text.replace("S!$E$1", escape("'" + sheet.replace("'", "''") + "'!$E$1"))
            if part == "xl/sharedStrings.xml":
                text = text.replace("LABEL", xml_text(label))
            new.writestr(part, text)
    return target


def compiled(path: Path) -> SheetModel:
    workbook = xl2torch.load(path)
    return xl2torch.compile(workbook, workbook.sheets[0].name, objective="F1", variables="E1:E2")


def shape(source: str) -> list[str]:
    """What kinds of statements and expressions a program has, in order; no names, no texts."""
    tree = ast.parse(source)
    return [type(node).__name__ for node in ast.walk(tree)]


def exports(model: SheetModel, folder: Path) -> None:
    """All that text of the workbook goes into, and what is true of each."""
    python_source(model, folder)  # it looks at its own statements
    minidom.parseString(drawing(model))
    Markup.check(explanation(model))
    assert model._repr_html_().count("<script") == 0


class Markup(HTMLParser):
    """Finds tags in what is outside of code spans."""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        raise AssertionError(f"a tag: {tag}")

    @staticmethod
    def check(markdown: str) -> None:
        spans = re.sub(r"\\.", "", markdown)
        outside = re.sub(r"`[^`]*`", "", spans)
        assert "`" not in outside
        Markup().feed(outside)


@pytest.mark.parametrize("label", LABELS)
def test_labels(label: str, tmp_path: Path) -> None:
    model = compiled(book(tmp_path, label=label))
    exports(model, tmp_path)
    harmless = compiled(book(tmp_path, label="a label"))
    assert shape(python_source(model, tmp_path)[0]) == shape(python_source(harmless, tmp_path)[0])


@pytest.mark.parametrize(
    "label", ["$x^$", r"$\frac$", "_under", "x" * 300, "\x1b[31m\ud800", "a$b"]
)
def test_labels_in_pictures(label: str, tmp_path: Path) -> None:
    model = compiled(book(tmp_path, label=label))
    for kind in ("contour", "weights", "fit"):
        minidom.parseString(as_bytes(draw(model, kind), "svg"))


@pytest.mark.parametrize("sheet", SHEETS)
def test_sheet_names(sheet: str, tmp_path: Path) -> None:
    path = book(tmp_path, sheet)
    model = compiled(path)
    exports(model, tmp_path)
    source, _ = python_source(model, tmp_path)
    harmless = compiled(book(tmp_path, "S"))
    assert shape(source) == shape(python_source(harmless, tmp_path)[0])


@pytest.mark.slow
@pytest.mark.parametrize("sheet", ["WORKBOOK", "Path", '""_xlfn."";open("pwned","w");""_xlfn."'])
def test_the_program_runs_and_does_no_more(sheet: str, tmp_path: Path) -> None:
    path = book(tmp_path, sheet)
    source, _ = python_source(compiled(path), tmp_path)
    (tmp_path / "m.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "m.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(item.name for item in tmp_path.iterdir()) == ["book.xlsx", "m.py", "plain.xlsx"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(label=st.text(max_size=40), sheet=st.text(min_size=1, max_size=31))
def test_any_text(label: str, sheet: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    sheet = re.sub(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff\[\]:*?/\\]", "_", sheet)
    exports(compiled(book(folder, sheet, label)), folder)


@pytest.mark.parametrize("label", [text for text in LABELS if "\x1b" in text or "\r" in text])
def test_a_terminal_obeys_nothing(label: str, tmp_path: Path) -> None:
    path = str(book(tmp_path, label=label))
    model = ["--objective", "F1", "--variables", "E1:E2"]
    for command in (
        ["inspect", path, *model], ["gradcheck", path, *model],
        ["train", path, *model, "--epochs", "2", "-o", str(tmp_path / "o.xlsx")],
        ["export", path, *model, "--explain"], ["train", path, "--objective", label],
        ["verify", path], ["inspect", path, "--json"], ["replay", path],
    ):  # fmt: skip
        done = CliRunner().invoke(main, command)
        assert done.exit_code in (0, 1, 2)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", done.output), command
    openpyxl.load_workbook(tmp_path / "o.xlsx")


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "=cmd|'/C calc'!A0"])
def test_csv_holds_no_formulas(text: str) -> None:
    table: dict[str, list[object]] = {text: [text, 1.0], "given": [text, text]}
    lines = as_csv(table, given=["given"]).splitlines()
    assert harmless_cell(text) == f"'{text}" and f"'{text}" in as_csv(table)
    assert not lines[0].lstrip('"').startswith(text[0])
    assert harmless_cell("-1.5") == "-1.5" and harmless_cell("+1e5") == "+1e5"


@given(st.text())
def test_a_quoted_text_is_that_text(text: str) -> None:
    assert ast.literal_eval(quoted(text)) == text
    assert plain(text).isprintable() and plain(plain(text)) == plain(text)
