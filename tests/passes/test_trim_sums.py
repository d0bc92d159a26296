"""Sums over more cells than there are numbers: the same numbers as over these, and no padding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from grids import grid, results
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xl2torch
from xl2torch.model.sheet_model import SheetModel

X = (0.5, -1.25, 2.0, 0.75, -0.5)
Y = (1.0, 0.0, 1.0, 1.0, 0.0)


def book(tmp_path: Path, objective: str, heading: str = "error", below: str = ".") -> SheetModel:
    """x and y in A and B, a·x + b - y squared in D and the same to the third in E, rows 3 to 7."""
    lines = [f"{objective} . . . . . 0.3 -0.2", f"x y . {heading} {heading}"]
    for row, (x, y) in enumerate(zip(X, Y, strict=True), 3):
        lines.append(f"{x} {y} . =($G$1*A{row}+$H$1-B{row})^2 =($G$1*A{row}+$H$1-B{row})^3")
    lines.append(f". . . {below} .")
    return xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="G1:H1", sense="min"
    )


SUMS = [
    # over more cells, over the cells with numbers
    ("=SUM(D:D)", "=SUM(D3:D7)"),
    ("=AVERAGE(D:D)", "=AVERAGE(D3:D7)"),
    ("=SUM(D1:D900)", "=SUM(D3:D7)"),
    ("=SUM(D3:D900)/COUNT(D3:D900)", "=AVERAGE(D3:D7)"),
    ("=SUM(D2:E90)", "=SUM(D3:E7)"),
    ("=AVERAGE(D:E)", "=AVERAGE(D3:E7)"),
    ("=SUMSQ(D:D)", "=SUMSQ(D3:D7)"),
    ("=SUM(D:D,E:E)", "=SUM(D3:E7)"),
    ("=SUMXMY2(D2:D90,B2:B90)", "=SUMXMY2(D3:D7,B3:B7)"),
    ("=SUMPRODUCT(D:D,E:E)", "=SUMPRODUCT(D3:D7,E3:E7)"),
    ("=SUMPRODUCT(D3:D99,B3:B99)/SUM(B3:B99)", "=SUMPRODUCT(D3:D7,B3:B7)/3"),
    ("=SUMPRODUCT((B3:B99=1)*(D3:D99-E3:E99)^2)", "=SUMPRODUCT((B3:B7=1)*(D3:D7-E3:E7)^2)"),
    ("=SUMIF(B:B,1,D:D)", "=SUMIF(B3:B7,1,D3:D7)"),
    ("=SUM(D4:D99)", "=SUM(D4:D7)"),
]


@pytest.mark.parametrize(("wide", "narrow"), SUMS)
def test_only_numbers_are_computed_with(wide: str, narrow: str, tmp_path: Path) -> None:
    model = book(tmp_path, wide)
    assert "pad" not in model.code
    torch.testing.assert_close(
        results(model), results(book(tmp_path, narrow)), rtol=1e-14, atol=1e-14
    )


def test_operands_that_are_used_often(tmp_path: Path) -> None:
    """Twelve columns, each of the one before it twice, over rows most of which are blank."""
    columns = "DEFGHIJKLMNO"
    lines = [f"=SUM({columns[-1]}2:{columns[-1]}40) 0.3"]
    for row in range(2, 41):
        first = f"=$B$1*A{row}" if 3 <= row <= 6 else "."
        others = (f"={before}{row}*{before}{row}*0.1+{before}{row}" for before in columns[:-1])
        lines.append(f"{row / 7} . . {first} {' '.join(others)}")
    model = xl2torch.compile(grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1")
    assert len(model.graph.nodes) < 60
    total = torch.zeros(())
    for row in range(3, 7):
        value = torch.tensor(0.3 * row / 7, dtype=torch.float64)
        for _ in columns[1:]:
            value = value * value * 0.1 + value
        total = total + value
    torch.testing.assert_close(model().detach(), total, rtol=1e-13, atol=0)


def test_a_long_formula(tmp_path: Path) -> None:
    lines = ["=SUM(E2:E40) 0.3"]
    for row in range(2, 41):
        first = f"=$B$1*A{row}" if 3 <= row <= 6 else "."
        lines.append(f"{row} . . {first} =D{row}" + "".join(f"+D{row}*{k}" for k in range(1, 320)))
    model = xl2torch.compile(grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1")
    expected = 0.3 * (3 + 4 + 5 + 6) * (1 + sum(range(1, 320)))
    assert model().item() == pytest.approx(expected, rel=1e-13)


def test_a_line_keeps_its_cells_and_formula(tmp_path: Path) -> None:
    lines = ["=SUM(E2:E40)+MAX(E2:E40) 0.3"]
    for row in range(2, 41):
        first = f"=$B$1*A{row}" if 4 <= row <= 6 else "."
        lines.append(f"{row} . . {first} =D{row}*2*D{row}")
    model = xl2torch.compile(grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1")
    assert "=D2*2*D2  S!E2:E40" in repr(model)  # of the largest
    assert "=D4*2*D4  S!E4:E6" in repr(model)
    values = [2 * (0.3 * row) ** 2 for row in (4, 5, 6)]
    assert model().item() == pytest.approx(sum(values) + max(values), rel=1e-13)


WHOLE = [
    # what is not 0 in the cells beside the numbers counts
    ("=MAX(D3:D9)", ".", "=MAX(D3:D7)"),
    ("=SUMPRODUCT((D3:D9-1)^2)", ".", "=SUMPRODUCT((D3:D7-1)^2)+2"),
    ("=SUMPRODUCT(EXP(-D3:D9))", ".", "=SUMPRODUCT(EXP(-D3:D7))+2"),
    ("=SUM(D:D)", "12", "=SUM(D3:D7)+12"),
    ("=AVERAGE(D3:D9)", "12", "=(SUM(D3:D7)+12)/6"),
    ("=SUM(D3:D9)", "=G1^2", "=SUM(D3:D7)+G1^2"),
]


@pytest.mark.parametrize(("wide", "below", "narrow"), WHOLE)
def test_what_counts_is_kept(wide: str, below: str, narrow: str, tmp_path: Path) -> None:
    torch.testing.assert_close(
        results(book(tmp_path, wide, below=below)), results(book(tmp_path, narrow)),
        rtol=1e-13, atol=1e-13,
    )  # fmt: skip


CELLS = st.lists(st.sampled_from(["=$G$1*A{r}^2", "=$H$1-A{r}", "text", ".", "2.5"]), min_size=2)
FORMS = st.sampled_from([
    "=SUM({area})", "=SUMSQ({area})", "=SUM({area})/COUNT({area})", "=SUMPRODUCT({area},{other})",
])  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=CELLS, form=FORMS, above=st.integers(0, 5), below=st.integers(0, 30))
def test_whatever_stands_in_the_cells(
    cells: list[str], form: str, above: int, below: int, tmp_path: Path
) -> None:
    """Beside the sum that is written out cell by cell."""
    lines = ["=1 . . . . . 0.3 -0.2", *["."] * above]
    first, last = len(lines) + 1, len(lines) + len(cells)
    lines += [
        f"{row % 7 - 3} {row} . {cell.format(r=row)}" for row, cell in enumerate(cells, first)
    ]
    area, other = f"D{max(1, first - 3)}:D{last + below}", f"B{max(1, first - 3)}:B{last + below}"
    term = {"=SUMS": "N(D{r})^2", "=SUMP": "N(D{r})*B{r}"}.get(form[:5], "N(D{r})")
    plain = "=" + "+".join(term.format(r=row) for row in range(first, last + 1))
    if "COUNT" in form:
        plain = f"=({plain[1:]})/COUNT(D{first}:D{last})"
    if not any("$" in cell for cell in cells):
        return
    lines[0] = lines[0].replace("=1", form.format(area=area, other=other), 1)
    wide = xl2torch.compile(grid(tmp_path, "\n".join(lines)), objective="A1", variables="G1:H1")
    lines[0] = lines[0].replace(form.format(area=area, other=other), plain, 1)
    written_out = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="G1:H1"
    )
    torch.testing.assert_close(results(wide), results(written_out), rtol=1e-12, atol=1e-12)
