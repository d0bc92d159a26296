"""The OOXML package: a zip of parts, read with limits and saved atomically.

A part that is not replaced is carried over byte for byte. Workbooks are untrusted input: the
unpacked size is bounded, and a DOCTYPE (the door to entity expansion) is refused.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

from xl2torch.errors import OutputError, WorkbookError

MAX_UNPACKED = 2**30
MAX_RATIO = 200
_HARMLESS = 2**25
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = {
    MAIN: "http://purl.oclc.org/ooxml/spreadsheetml/main",
    RELATIONSHIPS: "http://purl.oclc.org/ooxml/officeDocument/relationships",
    "http://schemas.openxmlformats.org/drawingml/2006/main":
        "http://purl.oclc.org/ooxml/drawingml/main",
    "http://schemas.openxmlformats.org/drawingml/2006/chart":
        "http://purl.oclc.org/ooxml/drawingml/chart",
    "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing":
        "http://purl.oclc.org/ooxml/drawingml/spreadsheetDrawing",
}  # fmt: skip
"""Namespaces of Strict Open XML (ISO/IEC 29500 part 1) for those of the usual Transitional form."""
_SIGNATURES = "_xmlsignatures/"


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
                    name = target.lstrip("/")
                else:
                    name = posixpath.normpath(posixpath.join(posixpath.dirname(part), target))
                name = self.stored_name(name) or name
                found.append(Relationship(attributes["Id"], attributes["Type"], name))

        parse_xml(self.parts[rels], start=start, where=f"{self.path.name}: {rels}")
        return found

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


def parse_xml(
    data: bytes,
    *,
    start: Any = None,
    end: Any = None,
    text: Any = None,
    where: str,
    parser_out: list[Any] | None = None,
) -> None:
    """Feed XML to handlers ``start(tag, attributes)``, ``end(tag)``, ``text(data)``.

    Tags keep their prefix off. ``parser_out`` receives the parser before it starts, for its
    ``CurrentByteIndex``. Raises WorkbookError on malformed XML and on any DOCTYPE.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.ordered_attributes = False
    if parser_out is not None:
        parser_out.append(parser)

    def doctype(*_: Any) -> None:
        raise WorkbookError(f"{where} holds a DOCTYPE, which no workbook needs: refused")

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except KeyError as error:
        raise WorkbookError(f"{where} is damaged: {error} is missing") from None
    except (expat.ExpatError, ValueError, TypeError, StopIteration, LookupError) as error:
        raise WorkbookError(f"{where} is damaged: {error}") from None


def local(tag: str) -> str:
    """Tag or attribute name without its namespace."""
    return tag.rpartition(" ")[2]


def read_package(path: Path) -> Package:
    """Read all parts of a workbook file.

    Raises WorkbookError when the file is missing, locked, not a zip, an old .xls, encrypted,
    or unpacks to more than a workbook plausibly holds.
    """
    name = path.name
    try:
        with path.open("rb") as file:
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
            if not zipfile.is_zipfile(file):
                raise WorkbookError(f"{name} is not an .xlsx or .xlsm workbook (not a zip file)")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return _unpack(path, archive)
    except FileNotFoundError:
        raise WorkbookError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise WorkbookError(f"{path} is a folder, not a workbook") from None
    except PermissionError:
        if path.is_dir():
            raise WorkbookError(f"{path} is a folder, not a workbook") from None
        raise WorkbookError(
            f"{name} cannot be opened: it is locked by another program or not yours to read. "
            "Close it there, or copy it"
        ) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError) as error:
        raise WorkbookError(f"{name} is damaged: {error}") from None
    except OSError as error:
        raise WorkbookError(f"{name} cannot be read: {error.strerror}") from None


def _unpack(path: Path, archive: zipfile.ZipFile) -> Package:
    infos = tuple(archive.infolist())
    unpacked = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    dense = unpacked > _HARMLESS and unpacked > MAX_RATIO * packed
    if unpacked > MAX_UNPACKED or dense:
        raise WorkbookError(
            f"{path.name} would unpack to {unpacked:,} bytes: refused as a zip bomb"
        )
    parts: dict[str, bytes] = {}
    for info in infos:
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
    if "[Content_Types].xml" not in parts:
        raise WorkbookError(f"{path.name} is a zip file, but not an .xlsx or .xlsm workbook")
    return Package(path, parts, infos)


def save_package(
    package: Package, changed: Mapping[str, bytes], removed: Collection[str], target: Path
) -> None:
    """Write the package with some parts replaced, added or left out, atomically.

    The file appears under its name only when it is complete. Raises OutputError.
    """
    folder = target.parent
    try:
        handle, temporary = tempfile.mkstemp(prefix=".xl2torch-", suffix=target.suffix, dir=folder)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
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
        mode = target.stat().st_mode if target.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode & 0o777)
        os.replace(temporary, target)
    except PermissionError:
        Path(temporary).unlink(missing_ok=True)
        raise OutputError(
            f"{target} cannot be written: it is open in another program or write-protected"
        ) from None
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{target} cannot be written: {error.strerror}") from None
        raise


def _like(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    copy = zipfile.ZipInfo(info.filename, info.date_time)
    copy.compress_type = info.compress_type
    copy.external_attr = info.external_attr
    copy.create_system = info.create_system
    return copy


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def lock_file(path: Path) -> Path | None:
    """The lock file that Excel or LibreOffice keeps beside a workbook that is open, if any."""
    for candidate in (path.with_name("~$" + path.name), path.with_name(f".~lock.{path.name}#")):
        if candidate.exists():
            return candidate
    return None


_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def unescape(text: str) -> str:
    """Undo OOXML's ``_x000D_`` escapes (ECMA-376 part 1, 22.9.2.19)."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text
