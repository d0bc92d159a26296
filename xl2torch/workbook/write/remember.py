"""What a workbook remembers of a model beyond Solver's names, written."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from xl2torch.workbook.ooxml import appended, ascii_bytes
from xl2torch.workbook.package import Changes, relationships_part
from xl2torch.workbook.read.remembered import NAMESPACE, Options, remembered_part
from xl2torch.workbook.write.workbook_part import add_content_types

_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/customXml"


def remember(options: Options, changes: Changes) -> None:
    """Keep options in the workbook, in the place of those that it has."""
    package = changes.package
    lines = [
        f"<option name={quoteattr(name)}>{escape(text)}</option>"
        for name, texts in options.items() for text in texts
    ]  # fmt: skip
    data = ascii_bytes(f'<xl2torch xmlns="{NAMESPACE}">{"".join(lines)}</xl2torch>')
    part = remembered_part(package)
    if part is not None:
        changes.parts[part] = data
        return
    if not options:
        return
    part = changes.free_name("customXml/item{}.xml")
    changes.parts[part] = data
    rels = relationships_part(package.main)
    known = changes.part(rels)
    number = 1
    while f'"rIdXl2torch{number}"'.encode() in known:
        number += 1
    entry = f'Relationship Id="rIdXl2torch{number}" Type="{_TYPE}" Target="/{part}"/>'
    changes.parts[rels] = appended(known, [entry], rels)
    add_content_types({part: "application/xml"}, changes)
