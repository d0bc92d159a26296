"""Mutations of a workbook's XML and of the zip that holds it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from fuzz_books import Case

HOSTILE = (
    "", " ", "0", "-1", "1", "2", "²", "1e999", "-1e999", "1e400", "99999999999", "4294967296",
    "NaN", "nan", "inf", "-0", "0x10", "1_000", "١٢", "1,5", "TRUE", "A1:B", "$$A$1", "XFE1", "A0",
    "A1048577", "A1048576", "XFD1048576", "A1:XFD1048576", "B1:A1", "A:A", "1:1", "a1", "A1 B2",
    "AAAA1", "#REF!", "#N/A", "=1", "array", "shared", "dataTable", "s", "b", "e", "d", "str",
    "inlineStr", "../../etc/passwd", "/", "http://x/", "&#xD800;", "&#x1B;", "&#0;", "&#10;",
    "&lt;b&gt;", "&nope;", "_x001B_[31m", "_xD800_", "\x1b[31m", "\x00", "\x9b31m", "\u202e", "😀",
    "rId1", "rId9", "x" * 300, "9" * 400, "A" * 40_000,
)  # fmt: skip
"""Values that hold no valid content, or more of it than a reader may think of."""

_TAG = re.compile(r"<(/?)([A-Za-z_][\w:.\-]*)([^<>]*?)(/?)>")
_ATTRIBUTE = re.compile(r'\s([\w:]+)="([^"]*)"')
_TEXT = re.compile(r">([^<>]+)<")


@dataclass(frozen=True)
class Element:
    """Where an element begins and ends in the text of a part."""

    name: str
    start: int
    end: int


def elements(text: str) -> list[Element]:
    """All elements but the root; what is not well-formed is passed over."""
    found: list[Element] = []
    open_tags: list[tuple[str, int]] = []
    for match in _TAG.finditer(text):
        closing, name, _, empty = match.groups()
        if empty:
            found.append(Element(name, match.start(), match.end()))
        elif not closing:
            open_tags.append((name, match.start()))
        elif open_tags and open_tags[-1][0] == name:
            found.append(Element(name, open_tags.pop()[1], match.end()))
    return [element for element in found if element.start > 0]


# ---------------------------------------------------------------- XML

_Edit = Callable[[Random, str], tuple[str, str]]


def _delete(random: Random, text: str) -> tuple[str, str]:
    chosen = random.choice(elements(text))
    return text[: chosen.start] + text[chosen.end :], f"deleted <{chosen.name}>"


def _duplicate(random: Random, text: str) -> tuple[str, str]:
    chosen = random.choice(elements(text))
    count = random.choice([1, 1, 3, 60])
    copies = text[chosen.start : chosen.end] * count
    return text[: chosen.end] + copies + text[chosen.end :], f"{count} more <{chosen.name}>"


def _swap(random: Random, text: str) -> tuple[str, str]:
    first, second = sorted(random.choices(elements(text), k=2), key=lambda item: item.start)
    if first.end > second.start:
        return _move(random, text)
    one, two = text[first.start : first.end], text[second.start : second.end]
    swapped = text[: first.start] + two + text[first.end : second.start] + one + text[second.end :]
    return swapped, f"swapped <{first.name}> and <{second.name}>"


def _move(random: Random, text: str) -> tuple[str, str]:
    chosen = random.choice(elements(text))
    piece, rest = text[chosen.start : chosen.end], text[: chosen.start] + text[chosen.end :]
    left = elements(rest)
    place = random.choice(left).start if left else len(rest)
    return rest[:place] + piece + rest[place:], f"moved <{chosen.name}>"


def _rename(random: Random, text: str) -> tuple[str, str]:
    names = sorted({element.name for element in elements(text)})
    old, new = random.choice(names), random.choice([*names, "x", "x:y", "c", "v", "f", "row"])
    return re.sub(rf"(</?){re.escape(old)}(?=[\s/>])", rf"\1{new}", text), f"<{old}> is <{new}>"


def _attribute(random: Random, text: str) -> tuple[str, str]:
    found = list(_ATTRIBUTE.finditer(text))
    if not found:
        return _delete(random, text)
    chosen = random.choice(found)
    name, value = chosen.groups()
    action = random.choice(["value", "value", "value", "value", "drop", "rename", "other"])
    if action == "drop":
        new = ""
    elif action == "rename":
        new = f' {random.choice(["x", "r", "t", "ref", "name", "id"])}="{value}"'
    elif action == "other":
        new = f' {name}="{random.choice(found)[2]}"'
    else:
        new = f' {name}="{random.choice(HOSTILE)}"'
    return text[: chosen.start()] + new + text[chosen.end() :], f"{name}={value!r} is{new[:60]}"


def _content(random: Random, text: str) -> tuple[str, str]:
    found = list(_TEXT.finditer(text))
    if not found:
        return _attribute(random, text)
    chosen = random.choice(found)
    new = random.choice(HOSTILE)
    return text[: chosen.start(1)] + new + text[chosen.end(1) :], f"{chosen[1]!r} is {new[:60]!r}"


def _insert(random: Random, text: str) -> tuple[str, str]:
    reference = random.choice(["A1", "B1", "B3", "C6", "XFD1048576", "A1048577", "Z99", ""])
    piece = random.choice([
        f'<c r="{reference}"><v>1</v></c>', f'<c r="{reference}" t="s"><v>{1e9}</v></c>',
        f'<c r="{reference}"><f t="shared" si="0" ref="A1:XFD9">B1</f></c>',
        f'<c r="{reference}"><f t="array" ref="A1:XFD1048576">B1:B2*2</f></c>',
        f'<c r="{reference}"><f t="dataTable" ref="A1:B2" r1="Z1"/></c>',
        '<row r="1048576"><c><v>1</v></c></row>', '<row r="5"/>', "<mergeCell ref='A1:B2'/>",
        '<sheetProtection sheet="1"/>', "<extLst><ext uri='x'><a/></ext></extLst>",
        "<!-- -- -->", "<?x y?>", "<![CDATA[=1]]>", "<!DOCTYPE a>", "<a><b></a></b>",
        "<a>" * 3000 + "</a>" * 3000,
    ])  # fmt: skip
    place = random.choice(elements(text))
    spot = random.choice([place.start, place.end])
    return text[:spot] + piece + text[spot:], f"inserted {piece[:60]} near <{place.name}>"


_EDITS: tuple[_Edit, ...] = (
    _delete, _duplicate, _swap, _move, _rename, _attribute, _attribute, _attribute, _attribute,
    _content, _content, _content, _insert,
)  # fmt: skip


def _broken(random: Random, data: bytes) -> tuple[bytes, str]:
    """Truncated, with bytes flipped, or in another encoding."""
    place = random.randrange(len(data) + 1)
    action = random.choice(["cut", "flip", "flip", "noise", "utf-16", "latin-1", "bom"])
    if action == "cut":
        return data[:place], f"cut at {place}"
    if action == "flip":
        changed = bytearray(data)
        for _ in range(random.randint(1, 6)):
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(changed), "flipped bits"
    if action == "noise":
        return data[:place] + random.randbytes(random.randint(1, 9)) + data[place:], "noise"
    if action == "bom":
        return b"\xef\xbb\xbf" + data, "byte order mark"
    return data.decode("utf-8", "replace").encode(action, "replace"), f"in {action}"


def _part_weight(name: str) -> int:
    if "sheet" in name and "_rels" not in name:
        return 12
    return 1 if "theme" in name or "docProps" in name else 5


def spoil_xml(random: Random, case: Case) -> Case:
    """One change within one part."""
    full = [index for index, (_, data) in enumerate(case.parts) if data]
    if not full:
        return case
    weights = [_part_weight(case.parts[index][0]) for index in full]
    (index,) = random.choices(full, weights)
    name, data = case.parts[index]
    text = data.decode("utf-8", "replace")
    if random.random() < 0.1 or not elements(text):
        changed, note = _broken(random, data)
    else:
        edited, note = random.choice(_EDITS)(random, text)
        changed = edited.encode("utf-8", "surrogatepass")
    return case.with_part(index, changed).noted(f"{name}: {note}")


# ---------------------------------------------------------------- the package


def _drop(random: Random, case: Case) -> Case:
    index = random.randrange(len(case.parts))
    parts = case.parts[:index] + case.parts[index + 1 :]
    return replace(case, parts=parts).noted(f"no part {case.parts[index][0]}")


def _twice(random: Random, case: Case) -> Case:
    name, data = random.choice(case.parts)
    again = random.choice([name, name.upper(), "/" + name, "./" + name, name.replace("/", "\\")])
    content = random.choice([data, b"", b"<worksheet/>"])
    return replace(case, parts=(*case.parts, (again, content))).noted(f"{name} again as {again}")


def _renamed(random: Random, case: Case) -> Case:
    index = random.randrange(len(case.parts))
    name, data = case.parts[index]
    new = random.choice([
        "/" + name, "../" + name, name.upper(), name.replace("/", "\\"), "C:/" + name, name + "/",
        "../../../tmp/" + name, name + " ", "\x1b[31m" + name, "", "x" * 3000, "📄.xml",
    ])  # fmt: skip
    parts = (*case.parts[:index], (new, data), *case.parts[index + 1 :])
    return replace(case, parts=parts).noted(f"{name} is named {new[:60]!r}")


def _exchanged(random: Random, case: Case) -> Case:
    one, two = random.choices(range(len(case.parts)), k=2)
    first, second = case.parts[one], case.parts[two]
    changed = case.with_part(one, second[1]).with_part(two, first[1])
    return changed.noted(f"contents of {first[0]} and {second[0]} exchanged")


def _junk(random: Random, case: Case) -> Case:
    index = random.randrange(len(case.parts))
    kind, data = random.choice([
        ("nothing", b""), ("noise", random.randbytes(500)), ("zeros", bytes(3_000_000)),
        ("text", b"hello"), ("blanks", b" " * 100), ("an element", b"<a/>"),
        ("entities", b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]><a>&b;&b;</a>'),
    ])  # fmt: skip
    return case.with_part(index, data).noted(f"{case.parts[index][0]} is {kind}")


def _retargeted(random: Random, case: Case) -> Case:
    rels = [index for index, (name, _) in enumerate(case.parts) if name.endswith(".rels")]
    if not rels:
        return case
    index = random.choice(rels)
    name, data = case.parts[index]
    targets = re.findall(rb'Target="([^"]*)"', data)
    if not targets:
        return case
    old = random.choice(targets)
    new = random.choice([
        b"/xl/workbook.xml", b"../../../etc/passwd", b"", b".", b"/", b"%2e%2e/%00", b"nowhere.xml",
        b"worksheets/sheet1.xml", b"http://x/y.xml", b"sheet1.xml\" TargetMode=\"External",
        b"xl/workbook.bin", *targets,
    ])  # fmt: skip
    changed = data.replace(b'Target="' + old + b'"', b'Target="' + new + b'"')
    return case.with_part(index, changed).noted(f"{name}: {old!r} leads to {new!r}")


def _types(random: Random, case: Case) -> Case:
    index = next((n for n, (name, _) in enumerate(case.parts) if "Content_Types" in name), None)
    if index is None:
        return case
    kinds = re.findall(rb'ContentType="([^"]*)"', case.parts[index][1])
    if not kinds:
        return case
    old = random.choice(kinds)
    new = random.choice([b"", b"text/plain", b"application/vnd.ms-excel.sheet.binary", *kinds])
    data = case.parts[index][1].replace(old, new)
    return case.with_part(index, data).noted(f"content type {old!r} is {new!r}")


def _extra(random: Random, case: Case) -> Case:
    name, count = random.choice([
        ("xl/x{}.bin", 2000), ("_xmlsignatures/sig{}.xml", 1), ("xl/externalLinks/link{}.xml", 1),
        ("xl/calcChain{}.xml", 1), ("xl/vbaProject{}.bin", 1), ("EncryptedPackage{}", 1),
        ("xl/empty{}/", 1), ("xl/worksheets/sheet{}.xml", 9),
    ])  # fmt: skip
    parts = tuple((name.format(number), b"<a/>") for number in range(count))
    return replace(case, parts=case.parts + parts).noted(f"{count} more parts like {name}")


def _wounded(random: Random, case: Case) -> Case:
    share, bit = random.random(), random.randrange(8)
    kind = random.choice(sorted(_WOUNDS))
    wound = _WOUNDS[kind]

    def scar(packed: bytes) -> bytes:
        return wound(packed, int(share * len(packed)), bit)

    return replace(case, scars=(*case.scars, scar)).noted(f"zip: {kind} at {share:.4f}")


def _flip(packed: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(packed)
    changed[place] ^= 1 << bit
    return bytes(changed)


def _in_header(offset: int, size: int, value: int) -> Callable[[bytes, int, int], bytes]:
    """Writes a number into the directory's entry that comes next."""

    def change(packed: bytes, place: int, _: int) -> bytes:
        entry = packed.find(b"PK\1\2", place)
        entry = entry if entry >= 0 else packed.find(b"PK\1\2")
        start = entry + offset
        return packed[:start] + value.to_bytes(size, "little") + packed[start + size :]

    return change


_WOUNDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "truncated": lambda packed, place, _: packed[:place],
    "bit flipped": _flip,
    "bit flipped again": _flip,
    "zeros": lambda packed, place, _: packed[:place] + bytes(200) + packed[place + 200 :],
    "junk before": lambda packed, place, _: b"junk" * 50 + packed,
    "junk behind": lambda packed, place, _: packed + b"junk" * 50,
    "twice": lambda packed, place, _: packed + packed,
    "without a directory": lambda packed, place, _: packed[: packed.find(b"PK\1\2")],
    "wrong CRC": _in_header(16, 4, 12345),
    "wrong method": _in_header(10, 2, 99),
    "password": _in_header(8, 2, 1),
    "huge size": _in_header(24, 4, 0xFFFFFFF0),
    "no size": _in_header(24, 4, 0),
    "small compressed size": _in_header(20, 4, 3),
    "wrong place": _in_header(42, 4, 7),
    "odd time": _in_header(12, 4, 0xFFFFFFFF),
    "odd version": _in_header(6, 2, 99),
    "odd attributes": _in_header(38, 4, 0xFFFFFFFF),
}

_PACKAGE = (
    _drop, _twice, _renamed, _exchanged, _junk, _retargeted, _types, _extra, _wounded, _wounded,
)  # fmt: skip


def spoil_package(random: Random, case: Case) -> Case:
    """One change of the parts, of what leads to them, or of the zip."""
    return random.choice(_PACKAGE)(random, case) if case.parts else case
