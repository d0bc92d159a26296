"""A picture on a sheet of its own, in a copy of the workbook."""

from __future__ import annotations

import struct
from pathlib import Path

from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.write.new_sheet import NewSheet, PlacedPicture, StyledValue, add_sheets
from xl2torch.workbook.write.preflight import check_output, check_protection
from xl2torch.workbook.write.workbook_part import numbered_name

_WIDTH = 640
_NAME = "Plot"


def insert_picture(
    workbook: Workbook, target: Path, png: bytes, title: str, force: bool = False,
    ignore_protection: bool = False,
) -> str:  # fmt: skip
    """Write a copy of the workbook with the picture on a new last sheet; the name of that.

    Everything else is byte for byte the input's. Raises OutputError or SelectionError.
    """
    if target.is_symlink():
        target = target.resolve()
    check_output(workbook.path, target, force, advice="give the copy another name")
    check_protection(workbook, ignore=ignore_protection)
    width, height = struct.unpack(">II", png[16:24])  # the header of a PNG
    picture = PlacedPicture(png, 2, 0, _WIDTH, round(_WIDTH * height / width), title)
    name = numbered_name(workbook, _NAME)
    sheet = NewSheet(name, [[StyledValue(title, "title")]], [10.0], pictures=[picture])
    changes = Changes(workbook.package)
    add_sheets([sheet], changes)
    changes.save(target)
    return name
