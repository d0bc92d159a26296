"""What notebooks show: a table of epochs, results and reports as HTML, and Axes."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from corpus import WORKBOOKS
from grids import write_grid

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.notebook import Report, html_table
from xl2torch.training.epoch_table import EpochTable, in_notebook, line_svg
from xl2torch.training.result import Iteration

SURVIVAL = WORKBOOKS / "survival.xlsx"
HOSTILE = "<script>alert(1)</script>\x1b[31m"


class Tags(HTMLParser):
    """Tags of a page, which have to be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# ---------------------------------------------------------------- progress


def test_a_table_of_epochs_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The columns that one knows from training networks."""
    xl2torch.fit(SURVIVAL, "adam", epochs=5, validation=0.2, metric="accuracy", batch_size=32,
                 seed=1, progress=True)  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].split() == ["epoch", "train", "valid", "accuracy", "valid", "accuracy", "time"]
    assert len(lines) == 7 and re.fullmatch(r"( +[\d.]+){5} +00:0\d", lines[-1])


def test_nothing_is_shown_where_nobody_asks(capsys: pytest.CaptureFixture[str]) -> None:
    assert not in_notebook()
    xl2torch.fit(SURVIVAL, "adam", epochs=3)
    assert capsys.readouterr() == ("", "")


def test_a_long_run_has_few_lines_and_the_last() -> None:
    table = EpochTable(1000, "iteration", False, [], notebook=False)
    for number in range(778):
        table(Iteration(number, 1.0 / (number + 1), 0.0, 0.1, 61.0, ()))
    table.finish()
    assert len(table.rows) <= 22 and table.rows[-1] == ["777", "0.001285", "01:01"]


def test_a_page_of_a_run() -> None:
    table = EpochTable(50, "epoch", True, [HOSTILE, "valid"], notebook=False)
    for number in range(20):
        table(Iteration(number, 2.0**-number, 0.0, 0.1, 1.0, (), validation=1.0, metric=(0.5, 0.4)))
    page = table.as_html()
    assert Tags(page.replace("<br>", "")).seen == {
        "div", "progress", "table", "tr", "th", "td", "svg", "polyline"
    } - ({"polyline"} if "polyline" not in page else set())  # fmt: skip
    assert "<script>" not in page and "\x1b" not in page and 'value="19" max="50"' in page


def test_the_line_of_losses() -> None:
    assert line_svg([1.0]) == "" and line_svg([float("nan")] * 5) == ""
    logarithmic = line_svg([1.0, 0.1, 0.01])
    assert re.findall(r"[\d.]+,([\d.]+)", logarithmic) == ["2.0", "45.0", "88.0"]
    assert "polyline" in line_svg([1.0, -1.0])


# ---------------------------------------------------------------- HTML of what is returned


def test_results_and_reports_as_html(tmp_path: Path) -> None:
    result = xl2torch.fit(SURVIVAL, epochs=3)
    page = result._repr_html_()
    assert Tags(page).seen == {"table", "tr", "th", "td"} and "Model!F6" in page
    assert "0.29790555 -&gt; " in page
    for report in (xl2torch.inspect(SURVIVAL), xl2torch.verify(xl2torch.load(SURVIVAL))):
        assert isinstance(report, Report) and isinstance(report, dict)
        assert "3602" in report._repr_html_() or "Model" in report._repr_html_()
        Tags(report._repr_html_())
    saved = xl2torch.save(result, tmp_path / "out.xlsx")
    assert len(repr(saved)) < 100 and len(repr(result)) < 200


def test_text_of_a_workbook_is_text_in_html(tmp_path: Path) -> None:
    assert "<script>" not in html_table([HOSTILE], [[HOSTILE], [{"a": 1}], [None]])
    book = write_grid(tmp_path / "b.xlsx", {"<i>x": "1 =(A1-3)^2"})
    page = xl2torch.inspect(book)._repr_html_()
    assert "&lt;i&gt;x" in page and "<i>" not in page


@pytest.mark.parametrize("kind", ["loss", "path", "contour", "surface", "fit", "weights"])
def test_pictures_are_axes(kind: str) -> None:
    from matplotlib.axes import Axes

    result = xl2torch.fit(WORKBOOKS / "line.xlsx", "sgd", lr=0.05, epochs=5)
    axes = xl2torch.plot(result, kind)
    assert isinstance(axes, Axes) and axes.figure is not None
    if kind in ("loss", "path"):
        with pytest.raises(SelectionError, match=r"the result of xl2torch\.fit"):
            xl2torch.plot(result.model, kind)
    with pytest.raises(SelectionError, match="not str"):
        xl2torch.plot("line.xlsx", kind)  # type: ignore[arg-type]
