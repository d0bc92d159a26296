"""The OOXML package: a zip of parts, read with limits and saved atomically.

A part that is not replaced is carried over byte for byte. Workbooks are untrusted input: the
unpacked size is bounded, and a DOCTYPE (the door to entity expansion) is refused.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote
from xml.parsers import expat

from xl2torch.errors import OutputError, WorkbookError
from xl2torch.safety.limits import HARMLESS_PART, MOST_RATIO, beyond, most_unpacked
from xl2torch.safety.output_file import complete_file
from xl2torch.safety.plain_text import meant
from xl2torch.workbook.ooxml import (
    CONTENT_TYPES,
    RELATIONSHIPS,
    STRICT,
    in_bytes,
    parse_xml,
)  # fmt: skip

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SIGNATURES = "_xmlsignatures/"
_XML = (".xml", ".rels", ".vml")


@dataclass(frozen=True)
class Relationship:
    """One entry of a .rels part; ``target`` is a part name without a leading slash."""

    id: str
    type: str
    target: str


@dataclass(frozen=True)
class Package:
    """The parts of an .xlsx or .xlsm file, in the order of the zip."""

    path: Path
    parts: Mapping[str, bytes] = field(repr=False)
    infos: tuple[zipfile.ZipInfo, ...] = field(repr=False)
    stream: bytes | None = field(default=None, repr=False)
    """All of it, where it came from an open file and not from a path."""

    def packed(self) -> bytes:
        """The bytes of the file, as they are now."""
        return self.path.read_bytes() if self.stream is None else self.stream

    def part(self, name: str) -> bytes:
        """Content of a part; part names are compared without regard to case, as OPC says."""
        stored = self.stored_name(name)
        if stored is None:
            raise WorkbookError(f"{self.path.name} is damaged: its part {name} is missing")
        return self.parts[stored]

    def stored_name(self, name: str) -> str | None:
        """The name of a part as the zip spells it; None when there is no such part."""
        if name in self.parts:
            return name
        return next((stored for stored in self.parts if stored.lower() == name.lower()), None)

    def relationships(self, part: str) -> list[Relationship]:
        """Relationships of a part ('' for the package itself); external ones are left out."""
        rels = relationships_part(part)
        if rels not in self.parts:
            return []
        found: list[Relationship] = []

        def start(tag: str, attributes: dict[str, str]) -> None:
            if tag.endswith("Relationship") and attributes.get("TargetMode") != "External":
                target = unquote(attributes["Target"])
                if target.startswith("/"):
                    name = posixpath.normpath(target.lstrip("/"))
                else:
                    name = posixpath.normpath(posixpath.join(posixpath.dirname(part), target))
                name = self.stored_name(name) or name
                found.append(Relationship(attributes["Id"], attributes["Type"], name))

        parse_xml(self.parts[rels], start=start, where=f"{self.path.name}: {rels}")
        return found

    @cached_property
    def main(self) -> str:
        """Name of the workbook part; '' when there is none."""
        return self.related("", "officeDocument") or ""

    @cached_property
    def is_strict(self) -> bool:
        """Whether it is Strict Open XML, an option of Excel's Save As."""
        return any(relationship.type.startswith(STRICT[RELATIONSHIPS])
                   for relationship in self.relationships(""))  # fmt: skip

    @property
    def is_signed(self) -> bool:
        """Whether a digital signature vouches for the content."""
        return any(name.lower().startswith(_SIGNATURES) for name in self.parts)

    def related(self, part: str, kind: str) -> str | None:
        """Target of the first relationship whose type ends in ``/kind``."""
        for relationship in self.relationships(part):
            if relationship.type.endswith("/" + kind):
                return relationship.target
        return None


def relationships_part(part: str) -> str:
    """Name of the .rels part of ``part``."""
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", name + ".rels")


def read_package(path: Path) -> Package:
    """Read all parts of a workbook file.

    Raises WorkbookError when the file is missing, locked, not a zip, an old .xls, encrypted,
    or unpacks to more than a workbook plausibly holds.
    """
    name = path.name
    try:
        with path.open("rb") as file:
            return _read(path, file)
    except FileNotFoundError:
        raise WorkbookError(f"{path} does not exist{_near(path)}") from None
    except IsADirectoryError:
        raise WorkbookError(f"{path} is a folder, not a workbook") from None
    except PermissionError:
        if path.is_dir():
            raise WorkbookError(f"{path} is a folder, not a workbook") from None
        raise WorkbookError(
            f"{name} cannot be opened: it is locked by another program or not yours to read. "
            "Close it there, or copy it"
        ) from None
    except OSError as error:
        raise WorkbookError(f"{name} cannot be read: {error.strerror}") from None


def _near(path: Path) -> str:
    """A workbook of a like name in the folder, as a question."""
    try:
        names = [item.name for item in path.parent.iterdir() if item.suffix.startswith(".xl")]
    except OSError:
        return ""
    return meant(path.name, names)


def read_stream(stream: BinaryIO) -> Package:
    """Read all parts of a workbook from an open file, such as io.BytesIO. Raises WorkbookError.

    It is called what the file is called, or ``workbook.xlsx``. Where the file can be wound back, it
    is read from its beginning.
    """
    if stream.seekable():
        stream.seek(0)
    data = stream.read()
    if not isinstance(data, bytes):
        raise WorkbookError("a workbook is read from a file that is open in binary mode, 'rb'")
    name = getattr(stream, "name", None)
    path = Path(name if isinstance(name, str) else "workbook.xlsx")
    return replace(_read(path, BytesIO(data)), stream=data)


def _read(path: Path, file: BinaryIO) -> Package:
    """The package in an open file. Raises WorkbookError, OSError."""
    name = path.name
    magic = file.read(8)
    file.seek(0)
    if magic == _OLE_MAGIC:
        if b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e" in file.read(2**22):
            raise WorkbookError(
                f"{name} is encrypted: open it in Excel, remove the password "
                "(File > Info > Protect Workbook) and save a copy"
            )
        raise WorkbookError(
            f"{name} is an old .xls workbook: save it as .xlsx in Excel or LibreOffice"
        )
    try:
        if not zipfile.is_zipfile(file):
            what = _what_it_is(path, magic)
            raise WorkbookError(f"{name} is not an .xlsx or .xlsm workbook: {what}")
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            return _unpack(path, archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise WorkbookError(f"{name} is damaged: {error}") from None


def _what_it_is(path: Path, magic: bytes) -> str:
    """What a file is that is no zip, and what to do, as far as it can be told."""
    if not magic:
        return "it is empty"
    if path.suffix.lower() in (".csv", ".txt", ".tsv"):
        return "it is a table of text: open it in Excel, add the model's formulas, save it as .xlsx"
    if magic.lstrip()[:1] == b"<":
        return "it is XML or HTML: open it in Excel and save it as .xlsx"
    if magic.startswith(b"%PDF"):
        return "it is a PDF, which has no formulas"
    return "it is not a zip file"


def _unpack(path: Path, archive: zipfile.ZipFile) -> Package:
    infos = tuple(archive.infolist())
    unpacked = sum(info.file_size for info in infos)
    dense = any(
        info.file_size > HARMLESS_PART and info.file_size > MOST_RATIO * info.compress_size
        for info in infos
    )
    if dense:
        raise WorkbookError(
            f"{path.name} would unpack to {unpacked:,} bytes: refused as a zip bomb"
        )
    if unpacked > most_unpacked():
        size = beyond(unpacked, most_unpacked(), "bytes when it is unpacked")
        raise WorkbookError(f"{path.name} has {size} with this machine's memory")
    parts: dict[str, bytes] = {}
    for info in infos:
        if not info.filename:
            raise WorkbookError(f"{path.name} is damaged: a part has no name")
        if info.flag_bits & 1:
            raise WorkbookError(f"{path.name} is a zip with a password: save it without one")
        if info.filename in parts:
            raise WorkbookError(f"{path.name} is damaged: its part {info.filename} is there twice")
        if not info.is_dir():
            try:
                parts[info.filename] = archive.read(info)
            except Exception as error:  # zlib.error and kin: the archive itself is broken
                raise WorkbookError(
                    f"{path.name} is damaged: part {info.filename}: {error}"
                ) from None
    if parts.get("mimetype", b"").startswith(b"application/vnd.oasis.opendocument"):
        raise WorkbookError(
            f"{path.name} is an OpenDocument file: save it as .xlsx in LibreOffice, "
            f"soffice --convert-to xlsx {path.name}"
        )
    if any(name.startswith("Index/") and name.endswith(".iwa") for name in parts):
        raise WorkbookError(f"{path.name} is of Apple's Numbers: export it to Excel there")
    if CONTENT_TYPES not in parts:
        raise WorkbookError(f"{path.name} is a zip file, but not an .xlsx or .xlsm workbook")
    return Package(path, parts, infos)


@dataclass
class Changes:
    """What will differ from a package: parts replaced or added, and parts left out."""

    package: Package
    parts: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def part(self, name: str) -> bytes:
        """Content of a part as it will be; in UTF-8 where it is in UTF-16, which nobody patches."""
        return self.parts[name] if name in self.parts else in_bytes(self.package.part(name), name)

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the parts that the package does not have."""
        return tuple(sorted(set(self.parts) - set(self.package.parts)))

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of the package's parts that are replaced or left out."""
        return tuple(sorted(set(self.parts) & set(self.package.parts) | self.removed))

    def free_name(self, pattern: str) -> str:
        """The first part name of a pattern, ``xl/charts/chart{}.xml``, that is not taken."""
        taken = {name.lower() for name in (*self.package.parts, *self.parts)}
        number = 1
        while pattern.format(number).lower() in taken:
            number += 1
        return pattern.format(number)

    def save(self, target: Path) -> None:
        """Write the package with the changes, atomically. Raises OutputError."""
        save_package(self.package, self.parts, self.removed, target)


def save_package(
    package: Package, changed: Mapping[str, bytes], removed: Collection[str], target: Path
) -> None:
    """Write the package with some parts replaced, added or left out, atomically.

    The file appears under its name only when it is complete, and when all XML that is new in it
    can be read again. Raises OutputError.
    """
    for name, data in changed.items():
        if name.lower().endswith(_XML):
            try:
                expat.ParserCreate().Parse(data, True)
            except expat.ExpatError as error:
                raise OutputError(
                    f"{target} was not written: {name} would be damaged ({error}), a fault of "
                    "xl2torch, please report it"
                ) from None
    with (
        complete_file(target) as temporary,
        temporary.open("wb") as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        for info in package.infos:
            if info.filename in removed:
                continue
            if info.is_dir():
                archive.writestr(_like(info), b"")
            else:
                archive.writestr(
                    _like(info), changed.get(info.filename, package.parts[info.filename])
                )
        for name, data in changed.items():
            if name not in package.parts:
                fresh = zipfile.ZipInfo(name)
                fresh.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(fresh, data)


def _like(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    copy = zipfile.ZipInfo(info.filename, info.date_time)
    copy.compress_type = info.compress_type
    copy.external_attr = info.external_attr
    copy.create_system = info.create_system
    return copy


def lock_file(path: Path) -> Path | None:
    """The lock file that Excel or LibreOffice keeps beside a workbook that is open, if any."""
    for candidate in (path.with_name("~$" + path.name), path.with_name(f".~lock.{path.name}#")):
        if candidate.exists():
            return candidate
    return None
