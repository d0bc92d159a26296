"""The Training Report: history, settings, before and after, charts, frozen headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from corpus import WORKBOOKS
from grids import write_grid
from packages import parts, read, write
from solver_books import shown

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.reports import training_sheet
from xl2torch.training.result import Result
from xl2torch.workbook.write.styles import significant

TITLE = "Training Report 1"
SHEET = "xl/worksheets/sheet2.xml"


def survival(epochs: int) -> Result:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    return xl2torch.fit(model, epochs=epochs, watch_cells=["C7"])


def column(rows: list[list[Any]], place: int) -> dict[Any, int]:
    """Row by content of a column."""
    return {row[place]: n for n, row in enumerate(rows) if len(row) > place}


def test_content(tmp_path: Path) -> None:
    result = survival(7)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert rows[0] == ["Training"]
    heads = rows[2]
    assert heads[:6] == ["Iteration", "Objective", "Gradient norm", "Learning rate", "Seconds",
                         "Accuracy"]  # fmt: skip
    for row, item in zip(rows[3:], result.iterations, strict=False):
        assert row[:4] == [item.iteration, item.objective, item.gradient_norm, item.learning_rate]
        assert row[5] == item.watched[0]
    side = heads.index("Setting")
    settings = {row[side]: row[side + 1] for row in rows[3:] if len(row) > side + 1}
    assert settings["Goal"] == "minimise Model!C6"
    assert settings["By changing"] == "F6:I8, M6:P6"
    assert settings["Iterations"] == 7
    assert settings["Seed"] == "none"
    assert str(settings["Made with"]).startswith(f"xl2torch {xl2torch.__version__}, torch ")
    head = column(rows, side)["Cell"]
    assert rows[head][side : side + 4] == ["Cell", "Name", "Before", "After"]
    assert rows[head + 1][side : side + 4] == [
        "C6", "Loss (MSE)", pytest.approx(result.start), result.final,
    ]  # fmt: skip
    assert rows[head + 2][side : side + 4] == [
        "C7", "Accuracy", pytest.approx(0.52), pytest.approx(result.iterations[-1].watched[0]),
    ]  # fmt: skip


def test_the_first_variable_cells_are_followed(tmp_path: Path) -> None:
    result = survival(5)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    first = rows[2].index("Iteration", 1)
    assert rows[2][first + 1] == "F6 Unit 1 Age/80" and len(rows[2]) == first + 1 + 12
    ways = result.trajectories
    assert list(ways.columns) == [str(cell) for cell in result.followed] and len(ways) == 6
    for number, row in enumerate(rows[3:9]):
        assert row[first + 1 :] == ways.iloc[number].tolist()
    assert ways.iloc[0, 0] == 0.3 and len(set(ways.iloc[:, 0])) == 6
    assert ways.iloc[-1, 0] == result.weights["unit_1"][0, 0].item()


def test_charts_and_frozen_headings(tmp_path: Path) -> None:
    model = xl2torch.compile(WORKBOOKS / "survival.xlsx")
    result = xl2torch.fit(model, "adam", lr=0.1, schedule="step,step_size=2", epochs=7)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    after = read(tmp_path / "out.xlsx")
    charts = [after[f"xl/charts/chart{number}.xml"].decode() for number in (1, 2, 3)]
    titles = [re.findall(r"<a:t>([^<]*)</a:t>", text)[0] for text in charts]
    assert titles == [
        "Loss (MSE) per iteration", "Learning rate per iteration",
        "The first 12 of 16 variable cells",
    ]  # fmt: skip
    assert [text.count("<ser>") for text in charts] == [1, 1, 12]
    assert "'Training Report 1'!$B$4:$B$11" in charts[0]
    assert "'Training Report 1'!$D$4:$D$11" in charts[1]
    assert "<legend>" in charts[2] and "<legend>" not in charts[0]
    for text in charts:
        for area in re.findall(r"<f>'Training Report 1'!\$([A-Z]+)\$4:\$\1\$11</f>", text):
            assert re.search(
                rf'<c r="{area}4"[^>]*><v>', after["xl/worksheets/sheet3.xml"].decode()
            )
    sheet = after["xl/worksheets/sheet3.xml"].decode()
    assert '<pane ySplit="3" topLeftCell="A4" activePane="bottomLeft" state="frozen"/>' in sheet


def test_a_rate_that_never_changes_has_no_chart(tmp_path: Path) -> None:
    xl2torch.save(survival(7), tmp_path / "out.xlsx", reports="training")
    after = read(tmp_path / "out.xlsx")
    charts = [data.decode() for name, data in after.items() if name.startswith("xl/charts/chart")]
    assert len(charts) == 2 and not any("Learning rate per" in text for text in charts)


def test_header_colour_is_the_themes(tmp_path: Path) -> None:
    xl2torch.save(survival(1), tmp_path / "out.xlsx", reports="training")
    styles = read(tmp_path / "out.xlsx")["xl/styles.xml"].decode()
    assert '<fgColor theme="4" tint="0.79998168889431442"/>' in styles


@pytest.mark.parametrize(
    ("every", "kept"), [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (3, [0, 3, 6, 7]), (7, [0, 7]), (50, [0, 7])]
)
def test_a_thinned_history_keeps_the_last(tmp_path: Path, every: int, kept: list[int]) -> None:
    xl2torch.save(survival(7), tmp_path / "out.xlsx", history_every=every)
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert [row[0] for row in rows[3:] if row and isinstance(row[0], float)] == kept
    side = rows[2].index("Setting")
    settings = {row[side]: row[side + 1] for row in rows[3:] if len(row) > side + 1}
    words = {3: "every 3rd of 8 iterations", 7: "every 7th of 8 iterations"}
    assert settings.get("History") == words.get(
        every, "every 50th of 8 iterations" * (every > 1) or None
    )


def test_more_iterations_than_a_sheet_has_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_sheet, "MAX_ROW", 8)
    xl2torch.save(survival(9), tmp_path / "out.xlsx", reports="training")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert [row[0] for row in rows[3:] if row and isinstance(row[0], float)] == [0, 3, 6, 9]
    side = rows[2].index("Setting")
    settings = {row[side]: row[side + 1] for row in rows[3:] if len(row) > side + 1}
    assert settings["History"] == "every 3rd of 10 iterations: a sheet holds no more rows"


def test_a_history_of_no_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="every 0 iterations"):
        xl2torch.save(survival(1), tmp_path / "out.xlsx", history_every=0)


def test_the_axis_is_logarithmic_where_the_loss_spans_decades(tmp_path: Path) -> None:
    for name, text, expected in (("a", "9 =A1^2+1E-9", True), ("b", "9 =A1^2+100", False)):
        book = write_grid(tmp_path / f"{name}.xlsx", text)
        model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
        xl2torch.save(xl2torch.fit(model), tmp_path / f"{name}-out.xlsx")
        chart = read(tmp_path / f"{name}-out.xlsx")["xl/charts/chart1.xml"]
        assert (b"logBase" in chart) is expected


def test_no_iteration_at_all(tmp_path: Path) -> None:
    """One row of history; the charts have one point."""
    book = write(tmp_path / "b.xlsx", parts())
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(book)), epochs=0)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert rows[3][:2] == [0.0, 55.0]
    assert "$B$4:$B$4" in read(tmp_path / "out.xlsx")["xl/charts/chart1.xml"].decode()
    assert SHEET in read(tmp_path / "out.xlsx")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0.0, ""), (1979.0, ""), (0.51, ""), (-2.5e-9, ""), (1979.428717, "0.00"),
        (-0.123456789, "0.000000"), (0.00123456789, "0.00000000"), (1234567.8, "0.00000E+00"),
        (123456.7, "0"), (9.9999999, "0.0000"), (1.23456789e-9, "0.00000E+00"),
    ],
)  # fmt: skip
def test_six_digits_are_shown(number: float, code: str) -> None:
    assert significant(number) == code


def test_numbers_are_written_in_full_behind_six_digits(tmp_path: Path) -> None:
    result = survival(3)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")[TITLE]
    for row, item in zip(range(4, 8), result.iterations, strict=True):
        assert sheet.cell(row, 2).value == item.objective
        assert sheet.cell(row, 2).number_format == significant(item.objective) != ""


def test_a_long_history_is_printed_on_few_pages(tmp_path: Path) -> None:
    model = xl2torch.compile(WORKBOOKS / "survival.xlsx")
    result = xl2torch.fit(model, "sgd", lr=1e-3, epochs=400, convergence=0.0)
    xl2torch.save(result, tmp_path / "out.xlsx", reports="training")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")[TITLE]
    assert sheet.max_row == 404
    front, end = (area.replace("$", "") for area in sheet.print_area.split(","))
    assert re.fullmatch(rf"'{TITLE}'!A1:J\d+", front), "without the way of 16 variable cells"
    assert end == f"'{TITLE}'!A355:J404"
    assert sheet.print_title_rows == "$1:$3" and "last 50 iterations" in sheet["A2"].value
    xl2torch.save(survival(20), tmp_path / "short.xlsx", reports="training")
    assert not openpyxl.load_workbook(tmp_path / "short.xlsx")[TITLE].print_area
