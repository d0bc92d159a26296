"""LibreOffice judges thousands of generated formulas (``sweep.py``)."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import sweep
from judges import cached_values, libreoffice, recalculate_many, requires_libreoffice

import xl2torch
from xl2torch.cells.values import ERRORS, CellValue, ErrorValue
from xl2torch.evaluate.verification import ABSOLUTE, RELATIVE
from xl2torch.excel.registry import FUNCTIONS, VOLATILE
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.sparse_cells import cell_value

pytestmark = requires_libreoffice

VERSION = "7.4"
"""LibreOffice that the differences below were seen in; others may have some of them repaired."""
LEAST_CELLS, LEAST_PER_FUNCTION = 2000, 8
DIFFERENCES = Path(__file__).parents[2] / "docs" / "libreoffice_differences.md"

UNKNOWN_TO_LIBREOFFICE = """
BYCOL BYROW CHOOSECOLS CHOOSEROWS DROP EXPAND FILTER HSTACK ISOMITTED LAMBDA LET MAKEARRAY MAP
RANDARRAY REDUCE SCAN SEQUENCE SORT SORTBY TAKE TEXTAFTER TEXTBEFORE TEXTSPLIT TOCOL TOROW UNIQUE
VSTACK WRAPCOLS WRAPROWS XLOOKUP XMATCH
"""
NOT_TYPED = {"ANCHORARRAY", "DUMMYFUNCTION", "INTERSECTION", "RANGE", "SINGLE", "UNION"}
"""Operators, and names that only files have."""
WITHOUT_ARGUMENTS = {"PI", "TRUE", "FALSE", "NA"}


@dataclass(frozen=True)
class Difference:
    """Formulas whose value in LibreOffice is not Excel's; ``place`` is its row in the page."""

    place: str
    pattern: str
    why: str


RULES = (
    Difference(
        "logical cells among numbers",
        r"(SUM|SUMSQ|AVERAGE|COUNT|MAX|MIN|PRODUCT|(STDEV|VAR)(P|\.S|\.P)?)\(.*,J1(:J3)?\)",
        "a logical in a cell is the number 1 or 0",
    ),
    Difference(
        "logicals and criteria",
        r"(COUNT|SUM|AVERAGE|MAX|MIN)IFS?\(.*(J1:J10,(C2|\">0\"|\"<>4\"|\"\?{5}\")|B1:B10,TRUE).*\)",
        "a criterion for numbers meets logicals, TRUE meets the number 1",
    ),
    Difference(
        "comparisons with logicals",
        r"J1[<>]=?(3|\"5\"|0\.3)|(A1|C6|0\.1\+0\.2)[<>]=?TRUE|FALSE=0|1=1=1",
        "a logical is compared as a number, not as more than any number or text",
    ),
    Difference(
        "kind of a logical", r"(ISNUMBER|TYPE)\((J1|TRUE)\)", "a logical is a formatted number"
    ),
    Difference(
        "text of a logical",
        r"CONCAT(ENATE)?\(.*(TRUE|J1:J2).*\)|J1&2|(2|D1)&TRUE",
        "the text of TRUE is 1",
    ),
    Difference("text TRUE as a number", r'VALUE\("TRUE"\)', "VALUE reads the names of logicals"),
    Difference(
        "literal texts among numbers",
        r'(SUM|SUMSQ|AVERAGE|MAX|MIN|PRODUCT|(AVERAGE|MAX|MIN|STDEV|STDEVP|VAR|VARP)A)\(.*,"[3x]"\)',
        "a text given as an argument is not converted",
    ),
    Difference(
        "numeric texts and criteria",
        r"COUNTIFS\(C1:C10,5,.*\)",
        "a number as criterion does not meet the text 5",
    ),
    Difference(
        "wildcards and numbers",
        r'COUNTIF\(A1:C10,"\?{5}"\)|HLOOKUP\("\?",A12:F14,.*\)',
        "wildcards meet the digits of numbers",
    ),
    Difference(
        "ISEVEN and ISODD",
        r'IS(EVEN|ODD)\((C2|C6|"5")\)',
        "blank cells and numeric texts are refused",
    ),
    Difference(
        "MROUND with unequal signs",
        r"MROUND\((-[\d.]+|B4),[23]\)|MROUND\([\d.]+,-2\)",
        "the signs may differ",
    ),
    Difference(
        "COMBINA of more than there are",
        r"COMBINA\((5\.9,8|2,3)\)",
        "choosing more than there are is an error, though repetition is allowed",
    ),
    Difference("LCM with a blank cell", r"LCM\(.*,C2\)", "a blank cell alone is 0, not left out"),
    Difference(
        "PERCENTRANK",
        r"PERCENTRANK(\.INC|\.EXC)?\(.*\)",
        "rounds to significant digits where Excel cuts off decimals",
    ),
    Difference(
        "RANK of a number that is not there",
        r"RANK(\.EQ|\.AVG)?\((4,B1:B10|A10,C1:C10|5,[AB]1:[AB]10).*\)",
        "a rank in between, or -1, instead of #N/A",
    ),
    Difference(
        "SUMXMY2 with texts", r"SUMXMY2\(.*C1:C10.*\)", "an error; the pair is not left out"
    ),
    Difference("BETA.INV at 0", r"BETA\.?INV\(0,.*\)", "the lower end instead of #NUM!"),
    Difference(
        "older distributions below their range",
        r"(CHIDIST|EXPON\.?DIST|GAMMADIST|LOGNORM\.?DIST)\((0|-1),.*\)",
        "0 or 1 instead of #NUM!",
    ),
    Difference("F.INV at the ends", r"F\.INV\([01],.*\)", "no value at 0, a large number at 1"),
    Difference(
        "POISSON with mean 0", r"POISSON(\.DIST)?\([^,]+,0,.*\)", "the mean has to be positive"
    ),
    Difference("EFFECT of rate 0", r"EFFECT\(0,.*\)", "0 instead of #NUM!"),
    Difference(
        "DATE at the ends", r"DATE\((124|9999,14),.*\)", "no years below 1900, dates after 9999"
    ),
    Difference("TIME of fractions", r"TIME\(.*\.9.*\)", "fractions of hours and seconds count"),
    Difference(
        "negative dates",
        r"(DAY|MONTH|YEAR|ISOWEEKNUM|WEEKDAY|WEEKNUM)\(-1\)",
        "days before 1900 exist",
    ),
    Difference(
        "WEEKNUM at the end of a year",
        r'WEEKNUM\((E6|45291|"2023-12-31")(,1|,2|,14)?\)',
        "the last days are in week 1 of the next year",
    ),
    Difference("DAYS of fractions", r"DAYS\(44620\.9,.*\)", "the time of day counts"),
    Difference(
        "letters beyond ASCII",
        r'CODE\("Ä.*"\)|CHAR\(233\)',
        "the code page is the system's, not Windows-1252",
    ),
    Difference(
        "empty texts and code 0",
        r'(FIND|SEARCH)\("",.*\)|CODE\((""|C2)\)|(UNI)?CHAR\(0\)',
        "an empty text is not found; the character 0 exists",
    ),
    Difference("NUMBERVALUE with one argument", r"NUMBERVALUE\([^,]*\)", "needs the separators"),
    Difference("ERROR.TYPE of #NUM!", r"ERROR\.TYPE\(SQRT\(-1\)\)", "an error of its own"),
    Difference(
        "ISFORMULA of an error", r"ISFORMULA\(H2\)", "an error constant is read as a formula"
    ),
    Difference(
        "OFFSET of negative size", r"SUM\(OFFSET\(.*,-3,-2\)\)", "the size has to be positive"
    ),
)


@dataclass(frozen=True)
class Outcome:
    """One cell: its formula, and its values here and in LibreOffice."""

    formula: sweep.Formula
    cell: str
    ours: CellValue
    theirs: float | str | bool | None
    borrowed: bool

    @property
    def agrees(self) -> bool:
        """Whether the values are equal; errors need not be the same error."""
        ours, theirs = self.ours, self.theirs
        failed = isinstance(theirs, str) and theirs in ERRORS
        if self.borrowed or failed or isinstance(ours, ErrorValue):
            return not self.borrowed and failed and isinstance(ours, ErrorValue)
        if isinstance(ours, str) or isinstance(theirs, str):
            return ours == ("" if theirs is None else theirs)
        if ours is None or theirs is None:
            return ours is None and not theirs
        # LibreOffice may write a logical as 1 or 0, but no number as a logical.
        if isinstance(ours, bool) or isinstance(theirs, bool):
            return isinstance(ours, bool) and ours == theirs
        return math.isclose(ours, theirs, rel_tol=RELATIVE, abs_tol=ABSOLUTE)

    def __str__(self) -> str:
        return f"{self.cell} ={self.formula.text}: {self.ours!r}, LibreOffice {self.theirs!r}"


def _values(path: Path) -> Mapping[str, tuple[CellValue, bool]]:
    """Each formula cell's computed value, and whether it could not be computed."""
    evaluation = Evaluation(xl2torch.load(path))
    evaluation.compute_all()
    borrowed = {unit for unit in evaluation.all_units() if unit.cached_because}
    borrowed |= evaluation.descendants(borrowed)
    found: dict[str, tuple[CellValue, bool]] = {}
    for unit in evaluation.units(sweep.SHEET):
        if unit.region is None or unit.block is None:
            continue
        array = unit.block.array
        numbers, kinds, texts = array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0]
        for cell in unit.area.cells():
            at = cell.row - unit.area.top, cell.column - unit.area.left
            value = cell_value(float(numbers[at]), int(kinds[at]), str(texts[at]))
            found[cell.a1] = value, unit in borrowed
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Every formula cell of the sweep."""
    folder = tmp_path_factory.mktemp("sweep")
    path = folder / "sweep.xlsx"
    formulas = sweep.write(path)
    judged = cached_values(recalculate_many([path], folder)[path])
    computed = _values(path)
    return [Outcome(formula, cell, computed[cell][0], judged.get((sweep.SHEET, cell)),
                    computed[cell][1])
            for formula in formulas for cell in formula.cells]  # fmt: skip


def _matches(rule: Difference, outcome: Outcome) -> bool:
    return re.fullmatch(rule.pattern, outcome.formula.text) is not None


def test_all_cells_agree(outcomes: list[Outcome]) -> None:
    agreeing = [outcome for outcome in outcomes if outcome.agrees]
    differing = [outcome for outcome in outcomes if not outcome.agrees]
    wrong = [str(each) for each in differing if not any(_matches(rule, each) for rule in RULES)]
    assert not wrong, f"{len(wrong)} of {len(outcomes)} cells differ:\n" + "\n".join(wrong)
    assert sum(not isinstance(each.ours, ErrorValue) for each in agreeing) >= LEAST_CELLS
    assert len(differing) < len(outcomes) / 20


def test_every_rule_is_needed(outcomes: list[Outcome]) -> None:
    version = subprocess.run(
        [str(libreoffice()), "--version"], capture_output=True, text=True, check=True
    ).stdout
    if f" {VERSION}." not in version:
        pytest.skip(f"the rules are LibreOffice {VERSION}'s, this is {version.strip()}")
    differing = [outcome for outcome in outcomes if not outcome.agrees]
    idle = [rule.place for rule in RULES if not any(_matches(rule, each) for each in differing)]
    assert idle == []


def test_every_function_has_cells() -> None:
    formulas = sweep.formulas()
    cells: dict[str, int] = {}
    for formula in formulas:
        cells[formula.function] = cells.get(formula.function, 0) + len(formula.cells)
    wanted = FUNCTIONS.keys() - set(UNKNOWN_TO_LIBREOFFICE.split()) - NOT_TYPED - VOLATILE
    assert wanted <= cells.keys()
    few = {name for name in wanted - WITHOUT_ARGUMENTS if cells[name] < LEAST_PER_FUNCTION}
    assert few == set()


def test_differences_are_explained() -> None:
    lines = DIFFERENCES.read_text(encoding="utf-8").splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert sorted(rows[2:]) == sorted(rule.place for rule in RULES)
