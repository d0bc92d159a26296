"""The package: parts, relationships, limits, lock files."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from judges import cached_values
from packages import CONTENT_TYPES, SHEET1, WORKBOOK, edited, parts, read, relationships, write

import xl2torch
from xl2torch.errors import OutputError, WorkbookError
from xl2torch.safety.limits import most_unpacked
from xl2torch.workbook.ooxml import STRICT, parse_xml
from xl2torch.workbook.package import (
    Package,
    lock_file,
    read_package,
    relationships_part,
    save_package,
)


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A small workbook's package."""
    return read_package(write(tmp_path / "book.xlsx", parts()))


def test_parts_are_found_in_any_case(package: Package) -> None:
    assert package.part("XL/Workbook.xml") == package.parts[WORKBOOK]
    with pytest.raises(WorkbookError, match=r"damaged: its part xl/x\.xml is missing"):
        package.part("xl/x.xml")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("", "_rels/.rels"),
        ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"),
        ("data.xml", "_rels/data.xml.rels"),
    ],
)
def test_relationship_parts(part: str, expected: str) -> None:
    assert relationships_part(part) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("../tables/table1.xml", "xl/tables/table1.xml"),
        ("/xl/tables/table1.xml", "xl/tables/table1.xml"),
        ("table1.xml", "xl/worksheets/table1.xml"),
        ("./a/../table1.xml", "xl/worksheets/table1.xml"),
    ],
)
def test_relationship_targets(tmp_path: Path, target: str, expected: str) -> None:
    rels = relationships([("rId1", "table", target)])
    contents = parts(extra={"xl/worksheets/_rels/sheet1.xml.rels": rels})
    package = read_package(write(tmp_path / "book.xlsx", contents))
    assert [item.target for item in package.relationships(SHEET1)] == [expected]
    assert package.related(SHEET1, "table") == expected
    assert package.related(SHEET1, "drawing") is None


def test_external_relationships_are_left_out(tmp_path: Path) -> None:
    rels = relationships([("rId1", "hyperlink", "https://example.com/")]).replace(
        "/></", ' TargetMode="External"/></'
    )
    contents = parts(extra={"xl/worksheets/_rels/sheet1.xml.rels": rels})
    package = read_package(write(tmp_path / "book.xlsx", contents))
    assert package.relationships(SHEET1) == []
    assert package.relationships("xl/styles.xml") == []


def test_a_plain_but_repetitive_workbook_is_no_bomb(tmp_path: Path) -> None:
    """Ten thousand equal rows compress well, and are honest."""
    row = "".join(f'<c r="{letter}1"><v>0</v></c>' for letter in "ABCDEFGH")
    text = "".join(f'<row r="{n}">{row.replace("1", str(n))}</row>' for n in range(1, 10_001))
    contents = edited(parts(), SHEET1, ("<sheetData>", f"<sheetData>{text}"))
    assert read_package(write(tmp_path / "book.xlsx", contents)).parts == contents


@pytest.mark.parametrize(("size", "refused"), [(9_000_000, False), (50_000_000, True)])
def test_the_ratio_that_is_a_bomb(tmp_path: Path, size: int, refused: bool) -> None:
    contents = {**parts(), "xl/media/zeros.bin": bytes(size)}
    path = write(tmp_path / "book.xlsx", contents, zipfile.ZIP_BZIP2)
    if refused:
        with pytest.raises(WorkbookError, match="zip bomb"):
            read_package(path)
    else:
        assert len(read_package(path).parts["xl/media/zeros.bin"]) == size


def test_what_this_machine_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small machine, or a container with little memory, takes smaller workbooks."""
    path = write(tmp_path / "book.xlsx", {**parts(), "xl/media/noise.bin": bytes(2_000_000)})
    assert read_package(path).parts
    monkeypatch.setattr(os, "sysconf", lambda name: 2**10, raising=False)
    most_unpacked.cache_clear()
    try:
        with pytest.raises(WorkbookError, match="with this machine's memory"):
            read_package(path)
    finally:
        most_unpacked.cache_clear()


def test_a_size_that_lies(tmp_path: Path) -> None:
    """A header that names too small a size does not unpack more than it says."""
    path = write(tmp_path / "book.xlsx", {**parts(), "xl/media/zeros.bin": bytes(50_000_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((50_000_000).to_bytes(4, "little"), (99).to_bytes(4, "little")))
    with pytest.raises(WorkbookError, match=r"damaged: part xl/media/zeros\.bin"):
        read_package(path)


def test_saving_nothing_new_is_a_copy(package: Package, tmp_path: Path) -> None:
    save_package(package, {}, set(), tmp_path / "copy.xlsx")
    assert read(tmp_path / "copy.xlsx") == package.parts
    assert list(read(tmp_path / "copy.xlsx")) == list(package.parts)


def test_saving_changes(package: Package, tmp_path: Path) -> None:
    """Changed parts stay in their place, new ones come last, removed ones are gone."""
    target = tmp_path / "new.xlsx"
    save_package(package, {SHEET1: b"<a/>", "new.xml": b"<b/>"}, {"xl/styles.xml"}, target)
    expected = {name: data for name, data in package.parts.items() if name != "xl/styles.xml"}
    assert read(target) == expected | {SHEET1: b"<a/>", "new.xml": b"<b/>"}
    assert list(read(target)) == [*expected, "new.xml"]
    assert next(iter(read(target))) == CONTENT_TYPES


def test_saving_into_no_folder(package: Package, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        save_package(package, {}, set(), tmp_path / "none" / "new.xlsx")


def test_folders_and_odd_names_in_the_zip(tmp_path: Path) -> None:
    path = write(tmp_path / "book.xlsx", parts())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo("xl/bilder/"), b"")
        archive.writestr("xl/bilder/größe 😀.bin", b"\0")
    package = read_package(path)
    assert "xl/bilder/" not in package.parts
    save_package(package, {}, set(), tmp_path / "new.xlsx")
    assert list(read(tmp_path / "new.xlsx")) == list(read(path))


@pytest.mark.parametrize("name", ["~$book.xlsx", ".~lock.book.xlsx#"])
def test_lock_files(tmp_path: Path, name: str) -> None:
    assert lock_file(tmp_path / "book.xlsx") is None
    (tmp_path / name).touch()
    assert lock_file(tmp_path / "book.xlsx") == tmp_path / name
    assert lock_file(tmp_path / "other.xlsx") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<a>", "here is damaged: no element found"),
        (b"", "here is damaged"),
        (b"<a>&b;</a>", "here is damaged: undefined entity"),
        (b"<!DOCTYPE a><a/>", "here holds a DOCTYPE"),
        (b"<?xml version='1.0' encoding='klingon'?><a/>", "here is damaged: unknown encoding"),
    ],
)
def test_xml_that_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(WorkbookError, match=words):
        parse_xml(data, where="here")


def strict(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """A package as Excel's "Strict Open XML Spreadsheet" has it."""
    for usual, other in STRICT.items():
        contents = {n: d.replace(usual.encode(), other.encode()) for n, d in contents.items()}
    return dict(contents)


def test_strict_open_xml_stays_strict(tmp_path: Path) -> None:
    path = write(tmp_path / "b.xlsx", strict(parts()))
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(path)))
    xl2torch.save(result, tmp_path / "out.xlsx")
    after = read(tmp_path / "out.xlsx")
    assert len(after) > len(parts())
    for name, data in after.items():
        for usual in STRICT:
            assert usual.encode() not in data, name
    assert cached_values(tmp_path / "out.xlsx")["Model", "B3"] == pytest.approx(3.0)
    assert xl2torch.load(tmp_path / "out.xlsx").find_sheet("Training Report 1")


def test_zip64_is_read_and_written(tmp_path: Path) -> None:
    """The form of zip for large files, which some programs write for small ones too."""
    path = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts().items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(path)))
    xl2torch.save(result, tmp_path / "out.xlsx")
    assert cached_values(tmp_path / "out.xlsx")["Model", "B3"] == pytest.approx(3.0)


@pytest.mark.parametrize("data", [b"<a>", b"<a>&#0;</a>", b"<a b=c/>", b"", b"<a/><b/>"])
def test_xml_that_cannot_be_read_is_not_written(
    data: bytes, package: Package, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="please report"):
        save_package(package, {SHEET1: data}, set(), tmp_path / "new.xlsx")
    assert not (tmp_path / "new.xlsx").exists()
