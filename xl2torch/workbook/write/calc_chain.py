"""The calculation chain: the formula cells in the order in which Excel last computed them.

Excel refuses a chain that names a cell without a formula. The opposite does no harm: a formula that
the chain lacks is put into it when Excel computes the workbook.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from xl2torch.cells.address import CellAddress
from xl2torch.workbook.ooxml import ATTRIBUTE
from xl2torch.workbook.package import Changes
from xl2torch.workbook.write.workbook_part import remove_part, sheet_ids


def drop_from_chain(cells: Sequence[CellAddress], changes: Changes) -> None:
    """Take cells that lost their formula out of the chain; an empty chain goes as a whole."""
    main = changes.package.main
    part = changes.package.related(main, "calcChain")
    if part is None or part not in changes.package.parts:
        return
    ids = sheet_ids(changes.package.part(main))
    gone = {(ids[cell.sheet], cell.a1) for cell in cells}
    data = changes.part(part)
    sheet_id = ""
    pending = ""
    kept = 0

    def keep(match: re.Match[bytes]) -> bytes:
        nonlocal sheet_id, pending, kept
        entry = match[0]
        attributes = {key: value[1:-1].decode() for key, value in ATTRIBUTE.findall(entry)}
        explicit = attributes.get(b"i")
        sheet_id = explicit or sheet_id
        if (sheet_id, attributes.get(b"r", "")) in gone:
            pending = sheet_id
            return b""
        kept += 1
        if pending and explicit is None:
            entry = re.sub(rb"\s*(/?>)", rb' i="%s"\1' % sheet_id.encode(), entry, count=1)
        pending = ""
        return entry

    patched = re.sub(rb"<(?:[\w.-]+:)?c\s[^>]*?(?:/>|>\s*</(?:[\w.-]+:)?c\s*>)", keep, data)
    if kept:
        changes.parts[part] = patched
        return
    remove_part(part, main, changes)
