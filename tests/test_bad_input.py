"""Bad input: a short message that says what to do, the right exit status, and nothing written."""

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from packages import (
    CONTENT_TYPES,
    QUADRATIC,
    SHEET1,
    WORKBOOK,
    WORKBOOK_RELS,
    Parts,
    edited,
    parts,
    rows,
    sheet,
    solver,
    write,
)

from xl2torch.cli import main

FAILED, USAGE = 1, 2
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
COMMANDS = ("inspect", "verify", "train")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All files below a folder, with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refused(folder: Path, status: int, words: str, *arguments: str | Path, lines: int = 1) -> str:
    """Run the command; it has to refuse with these words (separated by ``|``) and write nothing."""
    before = snapshot(folder)
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    output = result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(
        result.exception
    )
    assert "Traceback" not in output
    assert result.exit_code == status, output
    message = output[output.index("Error: ") :].strip()
    for word in words.split("|"):
        assert word in message, message
    assert len(message.splitlines()) <= lines, message
    assert snapshot(folder) == before
    return message


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A sound workbook with a Solver model."""
    return write(tmp_path / "book.xlsx", parts())


# ---------------------------------------------------------------- files that are no workbook


def directory_entry(name: str) -> bytes:
    """A name as an OLE file's directory stores it."""
    return OLE + bytes(504) + name.encode("utf-16-le") + bytes(64)


def patched_header(contents: Parts, offset: int, value: int) -> Callable[[Path], None]:
    """A zip whose first local and central headers carry a wrong 16-bit field."""

    def make(path: Path) -> None:
        write(path, contents)
        data = bytearray(path.read_bytes())
        struct.pack_into("<H", data, offset, value)
        struct.pack_into("<H", data, data.index(b"PK\1\2") + offset + 2, value)
        path.write_bytes(data)

    return make


def truncated(path: Path) -> None:
    write(path, parts())
    path.write_bytes(path.read_bytes()[:-200])


def corrupted(path: Path) -> None:
    """One flipped byte inside the compressed sheet."""
    write(path, parts())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(SHEET1)
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(SHEET1) + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)


def twice(path: Path) -> None:
    write(path, parts())
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(SHEET1, b"<worksheet/>")


def bomb(path: Path) -> None:
    """bzip2 packs zeros far more densely than a workbook ever is."""
    write(path, {**parts(), SHEET1: bytes(64_000_000)}, zipfile.ZIP_BZIP2)


def changed(part: str, *changes: tuple[str, str]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, edited(parts(), part, *changes))

    return make


def with_parts(**replaced: bytes | None) -> Callable[[Path], None]:
    """A workbook with parts replaced, or left out; keys are short names."""
    full = {"sheet": SHEET1, "workbook": WORKBOOK, "rels": WORKBOOK_RELS, "types": CONTENT_TYPES}

    def make(path: Path) -> None:
        contents = parts()
        for short, data in replaced.items():
            if data is None:
                del contents[full[short]]
            else:
                contents[full[short]] = data
        write(path, contents)

    return make


def content(data: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(data)

    return make


def zipped(contents: Parts) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, contents)

    return make


def folder(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    pass


ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE worksheet [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9)).replace("&a0;", "&a;")
    + "]>"
)
ENTITY_SHEET = sheet(rows(QUADRATIC)).replace(
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n', ENTITIES
)
EXTERNAL_SHEET = ENTITY_SHEET.replace(
    ENTITIES, '<!DOCTYPE worksheet [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
)
BINARY_RELS = parts()["_rels/.rels"].replace(b"workbook.xml", b"workbook.bin")
DOCUMENT_RELS = parts()["_rels/.rels"].replace(b"xl/workbook.xml", b"word/document.xml")

BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (missing, "does not exist"),
    "folder": (folder, "is a folder"),
    "empty file": (content(b""), "book.xlsx is not an .xlsx"),
    "text": (content(b"a,b\n1,2\n"), "not an .xlsx or .xlsm workbook"),
    "old .xls": (content(directory_entry("Workbook")), ".xls workbook|save it as .xlsx"),
    "encrypted": (content(directory_entry("EncryptedPackage")), "encrypted|password"),
    "other zip": (zipped({"readme.txt": b"hello"}), "zip file, but not an .xlsx"),
    "word document": (
        zipped({CONTENT_TYPES: b"<Types/>", "_rels/.rels": DOCUMENT_RELS,
                "word/document.xml": b"<document/>"}),
        "book.xlsx",
    ),
    ".xlsb": (
        zipped({CONTENT_TYPES: b"<Types/>", "_rels/.rels": BINARY_RELS,
                "xl/workbook.bin": b"\x83\x01\x00"}),
        "book.xlsx|save it as .xlsx",
    ),
    "no relationships": (zipped({CONTENT_TYPES: b"<Types/>"}), "not an Excel workbook"),
    "truncated": (truncated, "book.xlsx"),
    "corrupted": (corrupted, "damaged|sheet1.xml"),
    "part there twice": (twice, "damaged|twice"),
    "zip password": (patched_header(parts(), 6, 1), "password"),
    "unknown compression": (patched_header(parts(), 8, 99), "damaged"),
    "zip bomb": (bomb, "zip bomb"),
    "no content types": (with_parts(types=None), "not an .xlsx or .xlsm workbook"),
    "no workbook part": (with_parts(workbook=None), "damaged|xl/workbook.xml is missing"),
    "no sheet part": (with_parts(sheet=None), "damaged|sheet1.xml is missing"),
    "no workbook relationships": (with_parts(rels=None), "damaged|Model"),
    "no sheets": (changed(WORKBOOK, ('<sheet name="Model" sheetId="1" r:id="rId1"/>', "")),
                  "no worksheet"),
    "only a chart sheet": (changed(WORKBOOK_RELS, ("/worksheet\"", "/chartsheet\"")),
                           "no worksheet"),
    "malformed sheet": (changed(SHEET1, ("</sheetData>", "")), "damaged|Model"),
    "malformed workbook": (changed(WORKBOOK, ("</workbook>", "")), "damaged|xl/workbook.xml"),
    "entity expansion": (with_parts(sheet=ENTITY_SHEET.encode()), "DOCTYPE|Model"),
    "external entity": (with_parts(sheet=EXTERNAL_SHEET.encode()), "DOCTYPE|Model"),
    "DOCTYPE in the workbook part": (
        with_parts(workbook=b"<!DOCTYPE a []>" + parts()[WORKBOOK].partition(b"?>")[2].strip()),
        "DOCTYPE|xl/workbook.xml",
    ),
    "broken number": (changed(SHEET1, ("<v>5</v>", "<v>five</v>")), "damaged|Model"),
    "unknown shared string": (
        changed(SHEET1, ('<c r="B1"><v>5</v>', '<c r="B1" t="s"><v>7</v>')), "damaged|Model"),
    "negative shared string": (
        changed(SHEET1, ('<c r="B1"><v>5</v>', '<c r="B1" t="s"><v>-1</v>')), "damaged|Model"),
    "broken date": (
        changed(SHEET1, ('<c r="B1"><v>5</v>', '<c r="B1" t="d"><v>soon</v>')), "damaged|Model"),
    "shared formula without its first cell": (
        changed(SHEET1, ("<v>-4</v>", '<f t="shared" si="3"/><v>-4</v>')), "damaged|Model"),
    "array formula without a range": (
        changed(SHEET1, ("<v>-4</v>", '<f t="array">1</f><v>-4</v>')), "damaged|Model"),
    "row number of letters": (changed(SHEET1, ('<row r="1">', '<row r="one">')), "damaged|Model"),
    "sheet without a name": (changed(WORKBOOK, ('<sheet name="Model"', "<sheet")), "damaged"),
    "sheet without a relationship": (changed(WORKBOOK, (' r:id="rId1"', "")), "damaged"),
    "relationship without a target": (
        changed(WORKBOOK_RELS, (' Target="worksheets/sheet1.xml"', "")), "damaged"),
    "name with a broken scope": (
        with_parts(workbook=parts()[WORKBOOK].replace(b'localSheetId="0"', b'localSheetId="x"')),
        "damaged"),
    "defined name without a name": (
        changed(WORKBOOK, ('<definedName name="solver_opt"', "<definedName")), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", BAD_FILES)
def test_files(tmp_path: Path, case: str, command: str) -> None:
    make, words = BAD_FILES[case]
    path = tmp_path / "book.xlsx"
    make(path)
    refused(tmp_path, FAILED, words, command, path)


@pytest.mark.parametrize("command", COMMANDS)
def test_broken_table(tmp_path: Path, command: str) -> None:
    table = b'<table id="1" name="T" displayName="T" ref="A1:B9" headerRowCount="many"/>'
    rels = (
        b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        b'<Relationship Id="rId1" Type="x/table" Target="../tables/table1.xml"/></Relationships>'
    )
    extra = {"xl/worksheets/_rels/sheet1.xml.rels": rels, "xl/tables/table1.xml": table}
    path = write(tmp_path / "book.xlsx", parts(extra=extra))
    refused(tmp_path, FAILED, "damaged|table1.xml", command, path)


def test_a_locked_workbook(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", locked)
        result = CliRunner().invoke(main, ["train", str(book)])
    assert result.exit_code == FAILED
    assert "book.xlsx cannot be opened: it is locked by another program" in result.output
    assert "Traceback" not in result.output
    assert [path.name for path in book.parent.iterdir()] == ["book.xlsx"]


def test_an_unreadable_workbook(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    monkeypatch.setattr(Path, "open", locked)
    result = CliRunner().invoke(main, ["train", str(book)])
    assert result.exit_code == FAILED
    assert "not yours to read" in result.output


@pytest.mark.parametrize("name", ["~$book.xlsx", ".~lock.book.xlsx#"])
def test_a_workbook_open_elsewhere(book: Path, name: str) -> None:
    (book.parent / name).write_text("me")
    words = f"open in another program|{name}|--ignore-lock"
    refused(book.parent, FAILED, words, "train", book)
    refused(book.parent, FAILED, "open in another program", "train", book, "--in-place",
            "--ignore-lock")  # fmt: skip
    result = CliRunner().invoke(main, ["train", str(book), "--ignore-lock"])
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(main, ["inspect", str(book)]).exit_code == 0


def test_an_output_open_elsewhere(book: Path) -> None:
    (book.parent / "~$book-trained.xlsx").write_text("me")
    refused(book.parent, FAILED, "book-trained.xlsx is open in another program", "train", book)


# ---------------------------------------------------------------- models that cannot be trained

CIRCLE = "A1 =C2 | 0\nB1 1\nC2 =D3 | 0\nB3 =A1+B1 | 0\nD3 =A1+B1 | 0"
UNSUPPORTED = (
    'B1 1\nC1 =CUBEVALUE("x",B1) | 1\nC2 =CUBEVALUE("y",C1) | 1\nD2 =INFO(B2) | 1\nB3 =C1+C2+D2 | 3'
)

BAD_MODELS: dict[str, tuple[str, str, str, int]] = {
    # case: the cells, the options, the words of the message, its most lines
    "objective is a text formula": ('B1 1\nB3 =B1&"x" | \'1x', "", "Model!B3 is the text '1x'", 1),
    "objective is a text": ("B1 1\nB3 'loss", "", "Model!B3 holds the text 'loss'", 1),
    "objective is blank": ("B1 1", "", "Model!B3 is blank", 1),
    "objective is a constant": ("B1 1\nB3 7", "", "Model!B3 holds the constant 7", 1),
    "objective is an error": ("B1 1\nB3 =B1/0 | #DIV/0!", "", "Model!B3 is the error #DIV/0!", 1),
    "objective without a cache is an error": (
        "B1 1\nC1 =1/0\nB3 =B1+C1", "", "#DIV/0!|Model!C1: =1/0", 1),
    "objective does not depend": (
        "B1 1\nB2 1\nC1 2\nB3 =C1*2 | 4", "", "Model!B3 does not depend|Model!B1:B2", 1),
    "objective is flat": (
        "B1 1\nB2 1\nB3 =SIN(B1)*0+5 | 5", "", "Model!B3 is 5 whatever|nothing to train", 1),
    "objective is a step": (
        "B1 1\nB2 1\nB3 =ROUND(B1/1000000,0)+B2*0 | 0", "", "Model!B3 is 0 whatever", 1),
    "circular reference": (CIRCLE, "", "circular reference|Model!A1|Model!C2|Model!D3", 1),
    "cell refers to itself": (
        "B1 1\nC1 =C1+B1 | 0\nB3 =C1 | 0", "", "circular reference|Model!C1", 1),
    "unsupported functions": (
        UNSUPPORTED, "",
        '3 formulas|Model!C1: =CUBEVALUE("x",B1)|Model!C2: =CUBEVALUE("y",C1)|Model!D2: =INFO(B2)'
        "|CUBEVALUE is not supported", 6),
    "variable is a text": (
        "B1 'five\nB2 1\nB3 =B2^2 | 1", "", "Model!B1 holds 'five', not a number", 1),
    "variable is an error": (
        "B1 #N/A\nB2 1\nB3 =B2^2 | 1", "", "Model!B1 holds '#N/A', not a number", 1),
    "variables cover part of an array formula": (
        "B1 1\nB2 {B2:C2 =D1:E1} | 1\nC2 2\nB3 =B1+B2 | 2", "", "array formula in Model!B2:C2", 1),
    "objective does not parse": ("B1 1\nB3 =B1+*2 | 1", "", "Model!B3: =B1+*2", 6),
    "reference that is computed": (
        "B1 1\nB3 =B1^2+INDIRECT(\"B\"&B1) | 2", "", "Model!B3: =B1^2+INDIRECT", 6),
}  # fmt: skip

BAD_USE: dict[str, tuple[str, str]] = {
    # case: the options, the words of the message
    "sheet that does not exist": ("--sheet Missing", "no worksheet named 'Missing'|It has: Model"),
    "objective on a sheet that does not exist": ("--objective Missing!B3", "'Missing'"),
    "objective is a range": ("--objective B1:B3", "'B1:B3' is not a single cell"),
    "objective is no address": ("--objective B3x+", "'B3x+' is not a cell"),
    "objective is an unknown name": ("--objective profit", "'profit' is not a cell, a range"),
    "objective beyond the sheet": ("--objective XFE1", "XFE1"),
    "objective in row 0": ("--objective B0", "B0"),
    "objective is empty": ("--objective=", ""),
    "objective inside the variables": ("--variables B1:B3", "Model!B3 is itself a variable cell"),
    "variables are no range": ("--variables B1:?", "'B1:?' is not a cell"),
    "variables are empty": ("--variables=", "empty"),
    "unknown optimizer": ("--optimizer newton", "newton|lbfgs"),
    "negative --lr is a number above 0": ("--lr -1", "--lr is a number above 0|-1"),
    "learning rate 0": ("--lr 0", "--lr is a number above 0"),
    "learning rate not a number": ("--lr nan", "--lr is a number above 0"),
    "infinite learning rate": ("--lr inf", "--lr is a number above 0"),
    "learning rate is a word": ("--lr fast", "fast"),
    "bad sense": ("--sense least", "--sense least|min, max or value=NUMBER"),
    "sense without a number": ("--sense value=", "min, max or value=NUMBER"),
    "sense with an infinite number": ("--sense value=inf", "min, max or value=NUMBER"),
    "negative epochs": ("--epochs -1", "-1"),
    "unknown init": ("--init ones", "ones"),
    "unknown option": ("--magic", "--magic"),
    "watched cell is a range": ("--watch A1:A2", "'A1:A2' is not a single cell"),
    "watched cell is unknown": ("--watch nowhere", "'nowhere' is not a cell"),
    "--in-place with -o": ("--in-place -o {folder}/other.xlsx", "--in-place|exclude"),
    "output with another suffix": ("-o {folder}/other.xlsm", "other.xlsm|.xlsx"),
    "output without a suffix": ("-o {folder}/other", "other|.xlsx"),
}  # fmt: skip

BAD_OUTPUT: dict[str, tuple[str, str]] = {
    "output folder does not exist": ("-o {folder}/none/other.xlsx", "none does not exist"),
    "output is a folder": ("-o {folder}/dir.xlsx --force", "dir.xlsx is a folder"),
    "output exists": ("-o {folder}/there.xlsx", "there.xlsx exists already|--force"),
    "default output exists": ("", "book-trained.xlsx exists already|--force"),
    "output is the input": (
        "-o {folder}/book.xlsx --force",
        "is the input itself: give --in-place",
    ),
    "output folder is a file": ("-o {folder}/there.xlsx/other.xlsx", "there.xlsx"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_models(tmp_path: Path, case: str) -> None:
    cells, options, words, lines = BAD_MODELS[case]
    path = write(tmp_path / "book.xlsx", parts(cells))
    refused(tmp_path, FAILED, words, "train", path, *options.split(), lines=lines)


def test_a_circle_where_iterative_calculation_is_on(tmp_path: Path) -> None:
    contents = parts(CIRCLE, calc='<calcPr calcId="191029" iterate="1"/>')
    path = write(tmp_path / "book.xlsx", contents)
    refused(tmp_path, FAILED, "Iterative calculation is on in this file", "train", path, lines=1)


HIDDEN: dict[str, float | None] = {
    # a formula that reads the variable B1 in a roundabout way, and the minimum with it
    'INDIRECT("B1")': -15,
    "INDEX(there,1)": -15,
    "SUM(A1:INDEX(B1:B2,1))": -15,
    "SUM(A1:OFFSET(A1,0,1))": -15,
    "SUM(Model:Other!B1)": -5,
    "times(2)": -80,
    "B1+*2": None,
    # and some that are known
    "there": -15,
    "twice": -80,
    "OFFSET(A1,0,1)": -15,
    "SUM(OFFSET(A1,0,1,2,1))": -40,
    "SUM((A1,B1))": -15,
}


@pytest.mark.parametrize("formula", HIDDEN)
def test_no_silent_wrong_number(tmp_path: Path, formula: str) -> None:
    """A formula whose precedents cannot be told is refused, or right; never a constant."""
    names = (
        '<definedName name="there">OFFSET(Model!$A$1,0,1)</definedName>'
        '<definedName name="times">_xlfn.LAMBDA(_xlpm.x,_xlpm.x*Model!$B$1)</definedName>'
        '<definedName name="twice">Model!$B$1*2</definedName>'
    )
    model = f"A1 'x\nB1 3\nA2 'y\nB2 4\nC1 ={formula} | 3\nB3 =(B1-1)^2+B2^2+C1*10 | 50"
    contents = parts({"Model": model, "Other": "B1 1"}, names=solver() + names)
    path = write(tmp_path / "book.xlsx", contents)
    result = CliRunner().invoke(main, ["train", str(path), "--json"])
    minimum = HIDDEN[formula]
    if result.exit_code == 0:
        assert minimum is not None
        assert json.loads(result.stdout)["final"] == pytest.approx(minimum)
    else:
        assert result.exit_code == FAILED
        assert f"Model!C1: ={formula}" in result.output


@pytest.mark.parametrize("case", BAD_USE)
def test_use(tmp_path: Path, case: str) -> None:
    options, words = BAD_USE[case]
    book = write(tmp_path / "book.xlsx", parts({"Model": QUADRATIC, "Other": "A1 1"}))
    arguments = options.format(folder=tmp_path).split()
    refused(tmp_path, USAGE, words, "train", book, *arguments)


@pytest.mark.parametrize("case", BAD_OUTPUT)
def test_output(book: Path, case: str) -> None:
    options, words = BAD_OUTPUT[case]
    folder = book.parent
    (folder / "dir.xlsx").mkdir()
    for name in ("there.xlsx", "book-trained.xlsx"):
        (folder / name).write_bytes(b"mine")
    refused(folder, FAILED, words, "train", book, *options.format(folder=folder).split())


def test_a_read_only_output_folder(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = book.parent / "sealed"
    output.mkdir()
    allowed = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: not (mode == os.W_OK and Path(path) == output) and allowed(path, mode),
    )
    words = f"cannot write {output / 'other.xlsx'}|{output} is read-only"
    refused(book.parent, FAILED, words, "train", book, "-o", output / "other.xlsx")


def test_a_read_only_output_file(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = book.parent / "other.xlsx"
    output.write_bytes(b"mine")
    allowed = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: not (mode == os.W_OK and Path(path) == output) and allowed(path, mode),
    )
    refused(book.parent, FAILED, "other.xlsx is read-only", "train", book, "-o", output, "--force")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here")
def test_a_folder_that_takes_no_files(book: Path) -> None:
    refused(
        book.parent, FAILED, "/proc/self is read-only", "train", book, "-o", "/proc/self/o.xlsx"
    )


TWO_MODELS = parts(
    {"Model": QUADRATIC, "My sheet": QUADRATIC},
    names=solver(sense=1) + solver(index=1, title="'My sheet'"),
)


def test_several_models_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "book.xlsx", TWO_MODELS)
    message = refused(tmp_path, USAGE, "holds 2 Solver models; choose one", "train", path, lines=3)
    assert message.splitlines()[1:] == [
        "  --sheet Model       max Model!$B$3",
        "  --sheet \"My sheet\"  min 'My sheet'!$B$3",
    ]


@pytest.mark.parametrize(
    ("names", "options", "status", "words"),
    [
        ("", "", USAGE, "holds no Solver model"),
        ("", "--objective B3", USAGE, "'Model' holds no Solver model|--variables"),
        ("", "--sheet Model --variables B1", USAGE, "'Model' holds no Solver model|--objective"),
        (solver("", "$B$1"), "", FAILED, "lost its objective cell|--objective"),
        (solver("$B$3", ""), "", FAILED, "lost its variable cells|--variables"),
        (solver("#REF!"), "", FAILED, "lost its objective cell|#REF!|--objective"),
        (solver("$B$3", "#REF!"), "", FAILED, "lost its variable cells|#REF!|--variables"),
        (solver("$B$1:$B$3"), "", FAILED, "Model!$B$1:$B$3 is not a single cell"),
        (solver(title="Gone"), "", FAILED, "'Model'|objective cell|'Gone'"),
        (solver().replace("<definedName name=\"solver_num\" localSheetId=\"0\" hidden=\"1\">0",
                          "<definedName name=\"solver_num\" localSheetId=\"0\" hidden=\"1\">many"),
         "", FAILED, "damaged|solver_num|'many'"),
    ],
)  # fmt: skip
def test_stored_models(tmp_path: Path, names: str, options: str, status: int, words: str) -> None:
    path = write(tmp_path / "book.xlsx", parts(QUADRATIC + "\nD9 1", names=names))
    refused(tmp_path, status, words, "train", path, *options.split())


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("$B$1 4", "integers in a nonlinear model|Model!B3: =(B1-1)^2+(B2-2)^2+3|--constraint"),
        ("$B$1:$B$2 6", "alldifferent is not supported|Model!B1:B2 AllDifferent|--constraint"),
    ],
)
def test_constraints_that_are_not_kept(tmp_path: Path, extra: str, words: str) -> None:
    left, relation = extra.split()
    more = {"lhs1": f"Model!{left}", "rel1": relation, "rhs1": "4"}
    names = solver().replace(">0<", ">1<", 1) + "".join(
        f'<definedName name="solver_{key}" localSheetId="0" hidden="1">{text}</definedName>'
        for key, text in more.items()
    )
    path = write(tmp_path / "book.xlsx", parts(names=names))
    refused(tmp_path, FAILED, words, "train", path)


# ---------------------------------------------------------------- as a process


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xl2torch", *map(str, arguments)],
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("train none.xlsx", FAILED, "Error: none.xlsx does not exist"),
        ("inspect --sheet Missing {book}", USAGE, "Error: book.xlsx has no worksheet named"),
        ("verify --sheet Missing {book}", USAGE, "Error: book.xlsx has no worksheet named"),
        ("train --sheet Missing --json {book}", USAGE, "Error: book.xlsx has no worksheet named"),
        ("train", USAGE, "Error: Missing argument 'BOOK'."),
        ("tarin {book}", USAGE, "Error: No such command 'tarin'"),
        ("train {book} -o {book}", FAILED, "Error: {book} is the input itself"),
    ],
)
def test_messages_go_to_standard_error(
    book: Path, arguments: str, status: int, message: str
) -> None:
    before = snapshot(book.parent)
    done = process(*arguments.format(book=book).split())
    assert done.returncode == status
    if "--json" in arguments:
        assert json.loads(done.stdout)["error"].startswith(message.removeprefix("Error: "))
    else:
        assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(message.format(book=book))
    assert snapshot(book.parent) == before


@pytest.mark.slow
def test_many_variables_take_no_memory(tmp_path: Path) -> None:
    """A range beyond any memory is refused at once; the child may not take more than 8 GiB."""
    resource = pytest.importorskip("resource")
    path = write(tmp_path / "book.xlsx", parts({"Model": QUADRATIC, "Other": "A1 1"}))
    limit = 8 * 2**30
    cells = "Other!A1:XFD1048576"
    done = subprocess.run(
        [sys.executable, "-m", "xl2torch", "train", str(path), "--variables", cells],
        capture_output=True, encoding="utf-8", timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == USAGE, done.stderr
    assert "Traceback" not in done.stderr
