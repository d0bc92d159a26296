"""Tags and elements found by their byte offset."""

from __future__ import annotations

import gc
import weakref

import pytest

from xl2torch.workbook.ooxml import (
    element_end,
    name_at,
    parse_xml,
    prefix_at,
    tag_end,
    top_elements,
    without_attributes,
    xml_text,
)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"<a><b/><c x='1' /><d>t<e/></d></a>", ["<b/>", "<c x='1' />", "<d>t<e/></d>"]),
        (b"<?xml version='1.0'?>\r\n<a>\n <!-- <b/> --><b>1</b >\n</a>", ["<b>1</b >"]),
        (b'<x:a xmlns:x="u"><x:b y="/>"/><x:b></x:b></x:a>', ['<x:b y="/>"/>', "<x:b></x:b>"]),
        (b"\xef\xbb\xbf<a><b/></a>", ["<b/>"]),
        (b"<a/>", []),
    ],
)
def test_top_elements(data: bytes, names: list[str]) -> None:
    found = top_elements(data, "a test")
    assert [data[e.start : e.end].decode() for e in found] == names
    assert [e.name for e in found] == [name.strip("<>/ ").split(":")[-1][0] for name in names]


def test_tags() -> None:
    data = b'<x:c r="A>1" s=\'"\'><v>1</v></x:c ><x:c/>'
    assert data[: tag_end(data, 0)] == b'<x:c r="A>1" s=\'"\'>'
    assert data[element_end(data, 0) :] == b"<x:c/>"
    assert (name_at(data, 0), prefix_at(data, 0), prefix_at(b"<c/>", 0)) == (b"x:c", b"x:", b"")
    assert without_attributes(b'<c t="s"  r="A1"\n t2="x"', b"t") == b'<c  r="A1"\n t2="x"'


def test_texts_are_escaped() -> None:
    assert xml_text("a<b & \x07 _x0041_") == "a&lt;b &amp; _x0007_ _x005F_x0041_"


def test_a_parser_does_not_outlive_its_parse() -> None:
    """Handlers and parser know each other; without the cut only the collector would free them."""

    class Note:
        pass

    note = Note()
    held = weakref.ref(note)
    parsers: list[object] = []

    def start(tag: str, attributes: dict[str, str], note: object = note) -> None:
        assert parsers and note

    gc.disable()
    try:
        parse_xml(b"<a/>", start=start, where="a test", parser_out=parsers)
        del start, note
        assert held() is None
    finally:
        gc.enable()
