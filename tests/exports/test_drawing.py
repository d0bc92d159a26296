"""The program as a picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner
from corpus import WORKBOOKS
from grids import grid

import xl2torch
from xl2torch.cli import main
from xl2torch.exports.drawing import drawing

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [item.text or "" for item in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_line_has_its_box_and_its_arrows() -> None:
    picture = drawing(xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx")))
    found = texts(picture)
    assert "lin1 = linear(age_80, unit_1)" in found and "=MAX(0,J12)" in found
    assert "=(P12-E12)^2" in found  # a line within the objective
    root = ElementTree.fromstring(picture)
    boxes = [item for item in root.iter(f"{SVG}rect") if item.get("rx")]
    arrows = [item for item in root.iter(f"{SVG}path") if item.get("marker-end")]
    assert len(boxes) == 8 and len(arrows) == 7
    places = [(float(b.get("x", 0)), float(b.get("y", 0))) for b in boxes]
    assert len(set(places)) == 8 and min(min(place) for place in places) > 0


def test_text_of_the_sheet_cannot_leave_its_box(tmp_path: Path) -> None:
    book = grid(tmp_path, '0.5 =A1^2+LEN("<script>&")')
    assert '=A1^2+LEN("<script>&")' in texts(
        drawing(xl2torch.compile(book, objective="B1", variables="A1"))
    )


def test_the_command_draws(tmp_path: Path) -> None:
    book, target = str(WORKBOOKS / "line.xlsx"), tmp_path / "line.svg"
    result = CliRunner().invoke(main, ["inspect", book, "--graph", str(target)])
    assert result.exit_code == 0 and result.stdout == f"wrote {target}\n"
    again = CliRunner().invoke(main, ["inspect", book, "--graph", str(target)])
    assert again.exit_code == 1 and "exists already" in again.stderr
    wrong = CliRunner().invoke(main, ["inspect", book, "--graph", str(tmp_path / "line.png")])
    assert wrong.exit_code == 2 and ".svg" in wrong.stderr
