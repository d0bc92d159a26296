"""Texts of the user's workbook land in report sheets as texts, whatever they begin with."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import hypothesis
import pytest
from hypothesis import strategies
from judges import cached_values
from packages import parts, read, rows, sheet, solver, write

import xl2torch
from xl2torch.gradients.check import check
from xl2torch.reports.gradient_sheet import save_gradient_check
from xl2torch.workbook.ooxml import xml_text
from xl2torch.workbook.read.reader import load

HOSTILE = strategies.sampled_from(
    ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"http://x\",\"y\")", "'=1",
     "_x0041_", "</t><f>1</f>", "&amp;", "\t=1", "<![CDATA[=1]]>", "'", '"']
)  # fmt: skip
WORDS = HOSTILE | strategies.text(
    strategies.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0x2FFF), min_size=1
)
SHEET = re.compile(r"[\[\]:*?/\\]")


def book(folder: Path, label: str, title: str) -> Path:
    """The quadratic with another label and sheet name."""
    text = rows("A1 'LABEL\nB1 5\nA2 'y\nB2 -4\nA3 'LABEL\nB3 =(B1-1)^2+(B2-2)^2+3 | 55")
    text = text.replace("LABEL", xml_text(label))
    quoted = "'" + title.replace("'", "''") + "'"
    names = solver().replace("Model!", escape(quoted) + "!")
    contents = parts({"Model": sheet(text)}, names)
    workbook = contents["xl/workbook.xml"].decode()
    contents["xl/workbook.xml"] = workbook.replace(
        'name="Model"', f"name={quoteattr(title)}"
    ).encode()
    return write(folder / "=book.xlsx", contents)


@pytest.mark.slow
@hypothesis.given(
    WORDS, WORDS.map(lambda text: SHEET.sub("", text).strip("'")[:31]).filter(str.strip)
)
@hypothesis.settings(max_examples=40)
def test_texts_stay_texts(label: str, title: str) -> None:
    hypothesis.assume(
        title.lower() not in ("training report 1", "answer report 1", "gradient check 1")
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = xl2torch.compile(xl2torch.load(book(folder, label, title)))
        found = check(model)
        trained = folder / "trained.xlsx"
        xl2torch.save(xl2torch.fit(model, epochs=2), trained, reports="all", store_model=True)
        save_gradient_check(found, folder / "checked.xlsx")
        for kind in ("Training", "Answer", "Sensitivity", "Limits"):
            assert not _formula_columns(trained, f"{kind} Report 1")
        for path in (trained, folder / "checked.xlsx"):
            assert _formula_columns(path, "Gradient Check 1") == {"E", "G", "H"}
        answer = {v for (sheet, _), v in cached_values(trained).items() if sheet[:6] == "Answer"}
        assert f"Worksheet: [=book.xlsx]{model.problem.sheet}" in answer
        xl2torch.restore(trained, folder / "restored.xlsx")
        assert cached_values(folder / "restored.xlsx")[model.problem.sheet, "B1"] == 5.0
        shown = {v for v in cached_values(folder / "checked.xlsx").values() if isinstance(v, str)}
        if label.split():
            assert " ".join(label.split()) in shown


def _formula_columns(path: Path, title: str) -> set[str]:
    """Columns of a report sheet that hold formulas."""
    part = read(path)[load(path).sheet(title).part].decode()
    return set(re.findall(r'<c r="([A-Z]+)\d+"[^>]*><f', part))
