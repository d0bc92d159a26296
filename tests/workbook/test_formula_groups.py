"""Formulas are grouped by their R1C1 form, however the forms are found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xl2torch.cells.address import MAX_ROW, moved, relative_form, split_at_rows
from xl2torch.workbook.formula_groups import FormulaCell, grouped

PIECES = (
    "A1", "$B$2", "C$3", "$D4", "A1:B9", "Sheet2!A1", "'a b 1'!C7", "3:5", "$3:5", "A:C", '"A1"',
    "YTD2024", "Table1[[#This Row],[A1]]", "LOG10(A5)", "XFD1048576", "A0", "ZZZZ1", "1.5E3", "B12",
    "#REF!", "[1]S!A1", "A1048576",
)  # fmt: skip
FORMULAS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(
    lambda pieces: "=" + "+".join(pieces)
)


@given(FORMULAS)
def test_a_formula_is_its_parts(formula: str) -> None:
    texts, rows = split_at_rows(formula)
    assert len(texts) == len(rows) + 1
    assert "".join(a + str(b) for a, b in zip(texts, rows, strict=False)) + texts[-1] == formula


def cells(formulas: list[tuple[int, int, str]]) -> list[FormulaCell]:
    return [FormulaCell(row, column, text, row, column, None) for row, column, text in formulas]


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 3), FORMULAS), max_size=20),
       FORMULAS, st.integers(2, 40))  # fmt: skip
def test_groups_are_those_of_the_forms(
    others: list[tuple[int, int, str]], copied: str, count: int
) -> None:
    """Copies down a column, with other formulas between them."""
    copies = [(row, 2, moved(copied, row - 1, 0)) for row in range(1, count)]
    places = {(row, column): text for row, column, text in [*copies, *others]}
    every = sorted((row, column, text) for (row, column), text in places.items())
    forms: dict[str, list[tuple[int, int]]] = {}
    for row, column, text in every:
        forms.setdefault(relative_form(text, row, column), []).append((row, column))
    found = [
        list(zip(group.rows.tolist(), group.columns.tolist(), strict=True))
        for group in grouped(cells(every))
    ]
    assert found == list(forms.values())


def test_rows_at_the_end_of_the_sheet() -> None:
    every = cells([(MAX_ROW - 1, 1, f"=B{MAX_ROW}"), (MAX_ROW, 1, "=B1048577")])
    assert len(grouped(every)) == 2  # the second is a name
