"""Sound workbooks that the fuzzer spoils, made with openpyxl, and the inputs made of them."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from xml.sax.saxutils import escape

import openpyxl
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.formula import ArrayFormula
from openpyxl.worksheet.table import Table
from openpyxl.worksheet.worksheet import Worksheet

Parts = tuple[tuple[str, bytes], ...]
Scar = Callable[[bytes], bytes]

_DATE = (1980, 1, 1, 0, 0, 0)
_ROWS = 8
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_INLINE = re.compile(r't="inlineStr"><is><t[^>]*>([^<]*)</t></is>')
_STRINGS_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
_STRINGS_RELATION = (
    '<Relationship Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    'sharedStrings" Target="sharedStrings.xml" Id="rId77" />'
)


@dataclass(frozen=True)
class Case:
    """One input: a workbook's parts, data to predict for, and the options of the commands.

    ``model`` are options that say what is trained, ``training``, ``exporting`` and ``predicting``
    those of one command. ``scars`` change the bytes of the finished zip. ``notes`` say in words
    what was done to the sound workbook.
    """

    kind: str
    parts: Parts
    model: tuple[str, ...]
    data: bytes
    data_name: str = "data.csv"
    training: tuple[str, ...] = ()
    exporting: tuple[str, ...] = ()
    predicting: tuple[str, ...] = ()
    scars: tuple[Scar, ...] = ()
    notes: tuple[str, ...] = ()

    def noted(self, note: str) -> Case:
        """The same with one more note."""
        return replace(self, notes=(*self.notes, note))

    def with_part(self, index: int, data: bytes) -> Case:
        """The same with the content of one part replaced."""
        parts = list(self.parts)
        parts[index] = (parts[index][0], data)
        return replace(self, parts=tuple(parts))

    def workbook(self) -> bytes:
        """The bytes of the workbook's file."""
        stream = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # names that are there twice
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in self.parts:
                    info = zipfile.ZipInfo(name, _DATE)
                    info.compress_type = zipfile.ZIP_DEFLATED
                    archive.writestr(info, data)
        packed = stream.getvalue()
        for scar in self.scars:
            packed = scar(packed)
        return packed


@dataclass(frozen=True)
class Model:
    """What a sheet's model is: objective and variable cells, sense, stored constraints."""

    objective: str
    variables: str
    sense: str = "min"
    constraints: tuple[tuple[str, str, str], ...] = ()
    headings: tuple[str, ...] = ("x", "y")


def _fill(sheet: Worksheet, first: int, *columns: Sequence[float | str]) -> None:
    for column, values in enumerate(columns, 1):
        for row, value in enumerate(values, first):
            sheet.cell(row, column, value)


def _head(sheet: Worksheet, objective: str, *labels: str) -> None:
    """Labels and start values in A1 and below, and the objective's formula beneath them."""
    for row, label in enumerate(labels, 1):
        sheet.cell(row, 1, label)
        sheet.cell(row, 2, 0.25 * row)
    sheet.cell(len(labels) + 1, 1, "loss")
    sheet.cell(len(labels) + 1, 2, objective)


def _line(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUMXMY2(B6:B13,C6:C13)", "slope", "intercept")
    rows = range(6, 6 + _ROWS)
    _fill(
        sheet, 5, ["x", *range(1, _ROWS + 1)], ["y", *(2.0 * n + random.random() for n in rows)],
        ["predicted", *(f"=$B$1*A{n}+$B$2" for n in rows)],
    )  # fmt: skip
    return Model("B3", "B1:B2")


def _logistic(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=-AVERAGE(E7:E14)", "bias", "w1", "w2")
    rows = range(7, 7 + _ROWS)
    _fill(
        sheet, 6, ["x1", *(random.gauss(0, 1) for _ in rows)],
        ["x2", *(random.gauss(0, 1) for _ in rows)], ["y", *(n % 2 for n in rows)],
        ["p", *(f"=1/(1+EXP(-($B$1+$B$2*A{n}+$B$3*B{n})))" for n in rows)],
        ["logl", *(f"=C{n}*LN(D{n})+(1-C{n})*LN(1-D{n})" for n in rows)],
    )  # fmt: skip
    return Model("B4", "B1:B3", headings=("x1", "x2", "y"))


def _table(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUMSQ(Fit[error])", "slope", "intercept")
    rows = range(6, 6 + _ROWS)
    _fill(
        sheet, 5, ["x", *range(1, _ROWS + 1)], ["y", *(random.random() for _ in rows)],
        ["predicted", *["=$B$1*Fit[[#This Row],[x]]+$B$2"] * _ROWS],
        ["error", *["=Fit[[#This Row],[predicted]]-Fit[[#This Row],[y]]"] * _ROWS],
    )  # fmt: skip
    sheet.add_table(Table(displayName="Fit", ref=f"A5:D{5 + _ROWS}"))
    return Model("B3", "B1:B2")


def _linear(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUMPRODUCT(B1:B3,C1:C3)", "tables", "chairs", "stools")
    for row in (1, 2, 3):
        sheet.cell(row, 3, float(random.randint(1, 9)))
        sheet.cell(row, 4, float(random.randint(1, 5)))
    sheet["A5"], sheet["B5"], sheet["C5"] = "wood", "=SUMPRODUCT(B1:B3,D1:D3)", 40
    limits = (("$B$5", "1", "Model!$C$5"), ("$B$1:$B$3", "1", "10"), ("$B$1:$B$3", "3", "0"))
    whole = (("$B$2", "4", "integer"),) if random.random() < 0.5 else ()
    return Model("B4", "B1:B3", "max", (*limits, *whole), ("tables", "chairs"))


def _arrays(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUM((C6:C13-B6:B13)^2)+SUM(_xlfn.SEQUENCE(3))*0", "slope", "intercept")
    rows = range(6, 6 + _ROWS)
    _fill(
        sheet, 5, ["x", *range(1, _ROWS + 1)], ["y", *(random.random() for _ in rows)],
        ["predicted"],
    )  # fmt: skip
    sheet["B3"] = ArrayFormula("B3", str(sheet["B3"].value))
    sheet["C6"] = ArrayFormula("C6:C13", "=A6:A13*B1+B2")
    sheet["E6"] = ArrayFormula("E6:E13", "=_xlfn._xlws.SORT(_xlfn.ANCHORARRAY(C6),,-1)")
    sheet["F6"] = "=_xlfn.LET(_xlpm.a,B1,_xlfn.REDUCE(0,A6:A9,_xlfn.LAMBDA(_xlpm.s,_xlpm.v,"\
        "_xlpm.s+_xlpm.v*_xlpm.a)))"  # fmt: skip
    return Model("B3", "B1:B2")


def _names(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUMSQ(errors)/Scale", "slope", "intercept")
    rows = range(6, 6 + _ROWS)
    _fill(
        sheet, 5, ["x", *range(1, _ROWS + 1)], ["y", *(random.random() for _ in rows)],
        ["predicted", *(f"=slope*A{n}+intercept" for n in rows)],
        ["error", *(f"=C{n}-B{n}" for n in rows)],
    )  # fmt: skip
    book = sheet.parent
    assert book is not None
    other = book.create_sheet("My Data")
    other["A1"], other["A2"] = 2.5, "=Model!B3*2"
    for name, text in (
        ("slope", "Model!$B$1"), ("intercept", "Model!$B$2"), ("errors", "Model!$D$6:$D$13"),
        ("Scale", "'My Data'!$A$1"), ("Half", "1/2"),
    ):  # fmt: skip
        book.defined_names[name] = DefinedName(name, attr_text=text)
    return Model("B3", "slope,intercept")


def _labels(sheet: Worksheet, random: Random) -> Model:
    _head(sheet, "=SUM(D6:D13)", "slope", "intercept")
    rows = range(6, 6 + _ROWS)
    kinds = [random.choice(["red", "green", "blue"]) for _ in rows]
    _fill(
        sheet, 5, ["kind", *kinds], ["y", *(random.random() for _ in rows)],
        ["size", *(f'=IF(A{n}="red",$B$1,VLOOKUP(A{n},$F$1:$G$3,2,FALSE)*$B$2)' for n in rows)],
        ["error", *(f"=(B{n}-C{n})^2" for n in rows)],
    )  # fmt: skip
    for row, kind in enumerate(["red", "green", "blue"], 1):
        sheet.cell(row, 6, kind)
        sheet.cell(row, 7, float(row))
    sheet["H1"], sheet["H2"], sheet["H3"] = True, "#N/A", '=A6&" "&TEXT(B1,"0.00")'
    return Model("B3", "B1:B2", headings=("kind", "y"))


_KINDS: dict[str, Callable[[Worksheet, Random], Model]] = {
    "line": _line, "logistic": _logistic, "table": _table, "linear": _linear,
    "arrays": _arrays, "names": _names, "labels": _labels,
}  # fmt: skip


def sound_case(random: Random) -> Case:
    """A workbook that is as it should be, of one of seven kinds, and data for its predictions."""
    kind = random.choice(sorted(_KINDS))
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Model"
    model = _KINDS[kind](sheet, random)
    options: tuple[str, ...] = ()
    if kind == "linear" or random.random() < 0.5:
        _store(sheet, model)
    else:
        options = ("--objective", model.objective, "--variables", model.variables)
    stream = io.BytesIO()
    book.save(stream)
    with zipfile.ZipFile(stream) as archive:
        parts = tuple((name, archive.read(name)) for name in archive.namelist())
    rows = "".join(
        ",".join("red" if name == "kind" else str(random.randint(0, 9)) for name in model.headings)
        + "\n"
        for _ in range(3)
    )
    ways = [way for way in (_stored, _shared, _dynamic) if random.random() < 0.5]
    data = ",".join(model.headings) + "\n" + rows
    return Case(kind, _finished(parts, ways), options, data.encode())


def _store(sheet: Worksheet, model: Model) -> None:
    """The hidden names in which Excel's Solver keeps a model."""
    area = ",".join(
        piece if piece.isalpha() else "Model!$B$1:" + f"$B${piece[-1]}"
        for piece in model.variables.split(",")
    )
    names = {
        "adj": area, "opt": f"Model!$B${model.objective[1:]}", "neg": "2",
        "typ": "1" if model.sense == "max" else "2", "num": str(len(model.constraints)),
    }  # fmt: skip
    for number, (left, relation, right) in enumerate(model.constraints, 1):
        names |= {
            f"lhs{number}": f"Model!{left}", f"rel{number}": relation, f"rhs{number}": right,
        }  # fmt: skip
    for name, text in names.items():
        key = f"solver_{name}"
        sheet.defined_names[key] = DefinedName(key, attr_text=text, hidden=True)


Texts = dict[str, str]


def _finished(parts: Parts, ways: Sequence[Callable[[Texts], Texts]]) -> Parts:
    """openpyxl's parts with the same time in each, and in ways that it has not."""
    texts = {name: data.decode() for name, data in parts}
    core = "docProps/core.xml"
    texts[core] = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2020-01-01T00:00:00Z", texts[core])
    for way in ways:
        texts = way(texts)
    return tuple((name, text.encode()) for name, text in texts.items())


def _in_sheets(texts: Texts, change: Callable[[str], str]) -> Texts:
    return {
        name: change(text) if name.startswith("xl/worksheets/sheet") else text
        for name, text in texts.items()
    }


def _stored(texts: Texts) -> Texts:
    """Formulas have cached values, which are wrong."""
    return _in_sheets(texts, lambda text: re.sub(r"</f><v ?/>", "</f><v>0.5</v>", text))


def _dynamic(texts: Texts) -> Texts:
    """Array formulas are dynamic arrays."""
    return _in_sheets(
        texts, lambda text: re.sub(r'(<c r="\w+")(?=[^>]*><f t="array")', r'\1 cm="1"', text)
    )


def _shared(texts: Texts) -> Texts:
    """Texts are in a part of their own, not in the cells."""
    strings: list[str] = []

    def shared(match: re.Match[str]) -> str:
        strings.append(match[1])
        return f't="s"><v>{len(strings) - 1}</v>'

    texts = _in_sheets(texts, lambda text: _INLINE.sub(shared, text))
    items = "".join(f"<si><t>{text}</t></si>" for text in strings)
    rels, types = "xl/_rels/workbook.xml.rels", "[Content_Types].xml"
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_STRINGS_TYPE}" />'
    return texts | {
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{items}</sst>',
        rels: texts[rels].replace("</Rel", _STRINGS_RELATION + "</Rel"),
        types: texts[types].replace("</Types>", override + "</Types>"),
    }


def xml_escaped(text: str) -> str:
    """A text as XML holds it, between tags or in an attribute; what XML cannot hold as _xHHHH_."""
    safe = re.sub(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]",
        lambda match: f"_x{ord(match[0]):04X}_",
        text,
    )
    return escape(safe, {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
