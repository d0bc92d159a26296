"""What a workbook may ask for: refused in words before the work, and in no time."""

from __future__ import annotations

import fnmatch
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl.workbook.defined_name import DefinedName

import xl2torch
from xl2torch.cells.address import CellRange
from xl2torch.cells.values import NUM, REF, VALUE
from xl2torch.cli import main
from xl2torch.errors import LimitError, OutputError, WorkbookError
from xl2torch.excel.criteria import wildcard
from xl2torch.exports.tables import write_table
from xl2torch.lowering.schedule import Evaluation
from xl2torch.safety.limits import shortage, within_limits
from xl2torch.safety.output_file import complete_file
from xl2torch.workbook.read.solver_model import _split_unquoted
from xl2torch.workbook.sparse_cells import cell_value

MODEL = ["--objective", "B3", "--variables", "B1:B2"]
PATIENCE = 20.0


def book(folder: Path, formula: str, objective: str = "", **names: str) -> Path:
    """Two variable cells, an objective, and a formula beside them."""
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet["B1"], sheet["B2"], sheet["B3"] = 3, 4, f"=(B1-1)^2+(B2-2)^2+3{objective}"
    sheet["C1"], sheet["D1"] = f"={formula}", "a" * 30_000
    for name, text in names.items():
        made.defined_names[name] = DefinedName(name, attr_text=text)
    made.save(folder / "book.xlsx")
    return folder / "book.xlsx"


TOO_LARGE = [
    "SUM(_xlfn.SEQUENCE(100000,100000))", "SUM(_xlfn.SEQUENCE(10^9))",
    "SUM(_xlfn.MUNIT(50000))",
    "SUM(_xlfn.EXPAND(B1,10^5,10^5,0))", "SUM(_xlfn.EXPAND(B1:B2,2,10^9,0))",
    "SUM(_xlfn.MAKEARRAY(10^5,10^5,_xlfn.LAMBDA(_xlpm.r,_xlpm.c,_xlpm.r)))",
    "SUM(_xlfn.SEQUENCE(20000)*_xlfn.SEQUENCE(1,20000))",
    "SUM(MMULT(_xlfn.SEQUENCE(20000),_xlfn.SEQUENCE(1,20000)))",
    "SUMPRODUCT(--(ROW(A1:A1048576)>COLUMN(A1:XFD1)))",
    "SUM(IF(ROW(1:1048576)=TRANSPOSE(ROW(1:1048576)),1,0))",
    "SUM(COUNTIFS(A1:A1048576,ROW(1:1048576)))", "SUM(SUMIFS(A1:A99999,A1:A99999,ROW(1:99999)))",
    "SUM(COUNTIF(A1:A1048576,ROW(1:200000)))",
    "_xlfn.REDUCE(0,_xlfn.SEQUENCE(10^7),_xlfn.LAMBDA(_xlpm.a,_xlpm.b,_xlpm.a+_xlpm.b))",
    "_xlfn.LET(_xlpm.f,_xlfn.LAMBDA(_xlpm.g,_xlpm.n,_xlpm.g(_xlpm.g,_xlpm.n+1)),_xlpm.f(_xlpm.f,1))",
]  # fmt: skip


@pytest.mark.parametrize("formula", TOO_LARGE)
def test_arrays_beyond_the_limit(formula: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    workbook = xl2torch.load(book(tmp_path, formula))
    total = xl2torch.verify(workbook)["total"]
    assert total["unsupported"] == 1 and time.perf_counter() - began < PATIENCE


def test_a_model_that_is_too_large_says_so(tmp_path: Path) -> None:
    path = book(tmp_path, "1", "+SUM(B1*_xlfn.SEQUENCE(10^5,10^5))")
    done = CliRunner().invoke(main, ["train", str(path), *MODEL])
    assert done.exit_code == 1 and "67,108,864" in done.output and "B3" in done.output


TEXTS = [
    ('"1E400"+1', VALUE), ('VALUE("1E400")', VALUE), ('AGGREGATE("1E400",6,B1:B2)', VALUE),
    ('COUNTIF(B1:B2,"<1E400")', 0.0), ('INDEX(B1:B2,"1E400")', VALUE),
    ('(REPT("9",5000)&" 1/2")+1', VALUE), ('"1 1/"&REPT("9",400)&""+0', VALUE),
    ('_xlfn.NUMBERVALUE("1E400")', VALUE), ('INDIRECT("R"&REPT("9",5000)&"C1",FALSE)', REF),
    ("INDEX(B1:B2,1E300)", REF), ("CHOOSE(1E300,1)", VALUE), ("OFFSET(B1,1E300,0)", REF),
    ('REPT("9",30000)+1', VALUE), ('("(((1"&REPT(")",9000))+1', VALUE),
    ('LEN(REPT("",10^308))', 0.0), ('REPT("ab",16384)', VALUE), ('LEN(REPT("a",32767))', 32767.0),
    ('LEN(REPT("a",32767)&"")', 32767.0), ('REPT("a",32767)&"b"', VALUE),
    ('LEN(D1&REPT("b",2767))', 32767.0), ("D1&D1", VALUE), ("CONCATENATE(D1,D1)", VALUE),
    ("_xlfn.CONCAT(D1,D1)", VALUE), ('_xlfn.TEXTJOIN("-",FALSE,D1,D1)', VALUE),
    ('_xlfn.TEXTJOIN(D1,FALSE,_xlfn.SEQUENCE(10^6))', VALUE),
    ('SUBSTITUTE(D1,"a",D1)', VALUE), ('LEN(SUBSTITUTE(D1,"a",""))', 0.0),
    ('REPLACE(D1,1,0,D1)', VALUE),
    ('LEN(_xlfn.REDUCE("a",_xlfn.SEQUENCE(60),_xlfn.LAMBDA(_xlpm.a,_xlpm.b,_xlpm.a&_xlpm.a)))',
     VALUE),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "right"), TEXTS)
def test_texts_are_as_long_as_in_excel(formula: str, right: object, tmp_path: Path) -> None:
    evaluation = Evaluation(xl2torch.load(book(tmp_path, formula)), [])
    array = evaluation.value(CellRange("Sheet", 1, 3, 1, 3))
    number, kind = float(array.numpy().flat[0]), int(array.full_kinds.flat[0])
    assert cell_value(number, kind, str(array.full_texts.flat[0])) == right


EDGES = [
    ("_xlfn.PERCENTRANK.INC(B1:B2,3,400)", 0.0), ("EDATE(2958465,1)", NUM),
    ("DATE(9999,12,32)", NUM), ("DATE(1E300,1,1)", NUM), ("YEAR(2958466)", NUM),
    ("WEEKDAY(1E300)", NUM), ("TIME(1E300,0,0)", NUM), ("WORKDAY(1,1E300)", NUM),
    ("YEARFRAC(0,2958465,0)", 8100.0), ("MULTINOMIAL(1E9)", 1.0), ("COMBIN(1E300,3)", NUM),
    ("FACT(1E300)", NUM), ("CHAR(1E300)", VALUE), ('LEFT("abc",1E300)', "abc"),
    ('MID("abc",1E300,1)', ""), ('SUBSTITUTE("a","a","b",1E300)', "a"), ("ROUND(1.5,-1E300)", 0.0),
    ("TRUNC(1.5,1E300)", 1.5), ("1E300*1E300", NUM), ("-1E300/1E-300", NUM), ("EXP(1000)", NUM),
    ("LARGE(B1:B2,1E300)", NUM), ("DEGREES(1E308)", NUM), ("FIXED(1E308,300)", VALUE),
    ('LEN(TEXT(1E300,"#,##0.00"))', 404.0),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "right"), EDGES)
def test_numbers_at_the_edge(
    formula: str, right: object, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    evaluation = Evaluation(xl2torch.load(book(tmp_path, formula)), [])
    array = evaluation.value(CellRange("Sheet", 1, 3, 1, 3))
    number, kind = float(array.numpy().flat[0]), int(array.full_kinds.flat[0])
    assert cell_value(number, kind, str(array.full_texts.flat[0])) == right
    assert not recwarn.list


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "0x10"])
@pytest.mark.parametrize(
    "option",
    [
        "--lr=",
        "--tolerance=",
        "--clip-norm=",
        "--clip-value=",
        "--sense=value=",
        "--constraint=B1<=",
    ],
)
def test_options_that_are_no_numbers(option: str, number: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["train", str(book(tmp_path, "1")), *MODEL, option + number])
    assert done.exit_code in (1, 2) and "Error: " in done.output
    assert "No such option" not in done.output


@pytest.mark.slow
def test_a_chain_of_cells(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet["B1"], sheet["B2"], sheet["D1"] = 3, 4, "=B1"
    for row in range(2, 500):
        sheet[f"D{row}"] = f"=D{row - 1}+{row}*B2"
    sheet["B3"] = "=(D499-9)^2+B2^2"
    made.save(tmp_path / "book.xlsx")
    run_all(tmp_path / "book.xlsx")


LONG = {
    "terms": "".join(f"+B1*{n}" for n in range(500)),
    "alternating terms": "+B1-B2" * 250,
    "signs before": "+-B1" * 400,
    "factors": "+0" + "*B1" * 900,
    "powers": "+B1" + "^1" * 500,
    "arguments of MAX": "+MAX(" + ",".join(f"B1*{n}" for n in range(250)) + ")",
    "arguments of MIN": "+MIN(" + ",".join(f"B1+{n}" for n in range(250)) + ")",
    "arguments of SUM": "+SUM(" + ",".join(f"B1*{n}" for n in range(255)) + ")",
    "functions within each other": "+" + "SIN(" * 60 + "B1" + ")" * 60,
    "brackets": "+" + "(" * 60 + "B1" + ")" * 60,
    "IF within each other": "+" + "IF(B1>0,1+" * 40 + "B1" + ",0)" * 40,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LONG)
def test_long_formulas(kind: str, tmp_path: Path) -> None:
    run_all(book(tmp_path, "1", LONG[kind]))


def run_all(path: Path) -> None:
    """Train, explain and export; the program that was written runs."""
    for command in (
        ["train", str(path), *MODEL, "--epochs", "2", "--sense", "min", "-o",
         str(path.with_name("out.xlsx"))],
        ["export", str(path), *MODEL, "--explain"],
        ["export", str(path), *MODEL, "--to", "python", "-o", str(path.with_name("m.py"))],
        ["inspect", str(path), *MODEL],
    ):  # fmt: skip
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    source = path.with_name("m.py").read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "m", "__file__": str(path.with_name("m.py"))}
    exec(compile(source, "m.py", "exec"), names)  # text of our own making
    assert max(map(len, source.splitlines())) < 300


DEEP = [
    "1" + "%" * 4000, "-" * 4000 + "1", "(" * 4000 + "1" + ")" * 4000, "B1" + "#" * 4000,
    "SUM(" * 2000 + "1" + ")" * 2000, "@" * 3000 + "B1", "{" * 2000, "1" + "+1" * 4000,
]  # fmt: skip


@pytest.mark.parametrize("formula", DEEP, ids=lambda text: text[:6])
def test_deep_formulas_are_told(formula: str, tmp_path: Path) -> None:
    path = book(tmp_path, formula)
    for command in (["inspect", str(path)], ["verify", str(path)]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code in (0, 1) and isinstance(done.exception, SystemExit | None)


def test_a_formula_longer_than_any(tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="letters"):
        xl2torch.load(book(tmp_path, "1" + "+1" * 4_096))
    long = "+".join(["_xlfn.XOR(1)"] * 1_000)  # 6,999 letters as Excel shows it
    assert xl2torch.load(book(tmp_path, long)).sheets[0].formulas


def test_names_within_names(tmp_path: Path) -> None:
    laughs = {f"lol_{n}": "+".join([f"lol_{n - 1}"] * 10) for n in range(1, 21)}
    began = time.perf_counter()
    total = xl2torch.verify(xl2torch.load(book(tmp_path, "lol_20", lol_0="1", **laughs)))["total"]
    assert total["unsupported"] == 1 and time.perf_counter() - began < PATIENCE


def test_lambdas_that_double(tmp_path: Path) -> None:
    doubled = ",".join(
        f"_xlpm.a{n},_xlfn.LAMBDA(_xlpm.x,_xlpm.a{n - 1}(_xlpm.a{n - 1}(_xlpm.x)))"
        for n in range(1, 40)
    )
    formula = f"_xlfn.LET(_xlpm.a0,_xlfn.LAMBDA(_xlpm.x,_xlpm.x+1),{doubled},_xlpm.a39(1))"
    assert xl2torch.verify(xl2torch.load(book(tmp_path, formula)))["total"]["unsupported"] == 1


# ---------------------------------------------------------------- patterns


@settings(max_examples=300, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
@example("*a*a*b", "aab")
@example("*", "")
@example("a*a", "a")
def test_wildcards_are_those_of_a_shell(pattern: str, text: str) -> None:
    assert wildcard(pattern).fits(text) == fnmatch.fnmatchcase(text, pattern)
    places = [n for n in range(len(text) + 1) if fnmatch.fnmatchcase(text[n:], f"{pattern}*")]
    assert wildcard(pattern).find(text, 0) == (places[0] if places else -1)


LINEAR = [
    'COUNTIF(D1,"*a*a*a*a*a*a*a*a*a*a*a*a*b")', 'COUNTIF(D1,"*?*?*?*?*?*?*?*?b")',
    'MATCH("*a*a*a*a*a*a*a*a*b",D1:D1,0)', 'SEARCH("a*a*a*a*a*a*a*a*b",D1)',
    'SUMIF(D1,"*a?a*a?a*a?a*b",B1)', 'VLOOKUP("*a*a*a*a*b*",D1:E1,1,FALSE)',
    '_xlfn.XLOOKUP("*a*a*a*a*a*b",D1:D1,B1:B1,0,2)', 'AVERAGEIF(D1,"<>*a*a*a*a*a*b",B1)',
]  # fmt: skip


@pytest.mark.parametrize("formula", LINEAR)
def test_no_pattern_backtracks(formula: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    xl2torch.verify(xl2torch.load(book(tmp_path, formula)))
    assert time.perf_counter() - began < PATIENCE


def test_names_of_many_areas(tmp_path: Path) -> None:
    weird = "a!b," + "!".join(["aaaaaaaaaa"] * 40) + "#"
    began = time.perf_counter()
    xl2torch.inspect(xl2torch.load(book(tmp_path, "SUM(weird)", weird=weird)))
    assert time.perf_counter() - began < PATIENCE


@pytest.mark.parametrize(
    ("text", "pieces"),
    [("A1,B2", ["A1", "B2"]), ("'a,b'!A1,B2", ["'a,b'!A1", "B2"]), ("", [""]),
     ("'it''s,'!A1,C3", ["'it''s,'!A1", "C3"]), ("'" * 9 + ",A1", ["'" * 9 + ",A1"])],
)  # fmt: skip
def test_areas_are_split_outside_of_quotes(text: str, pieces: list[str]) -> None:
    assert _split_unquoted(text, ",") == pieces


# ---------------------------------------------------------------- outputs


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names, and links")
def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="no regular file"):
        write_table({"x": [1.0]}, pipe, force=True)
    with pytest.raises(OutputError, match="no regular file"), complete_file(pipe):
        pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    path = book(tmp_path, "1")
    before = path.read_bytes()
    for name in ("book.xlsx", "./book.xlsx"):
        done = CliRunner().invoke(
            main, ["export", str(path), *MODEL, "--to", "python", "-o", f"{tmp_path}/{name}",
                   "--force"]
        )  # fmt: skip
        assert done.exit_code == 1 and "is the input itself" in done.output
    (tmp_path / "link.py").symlink_to(path)
    CliRunner().invoke(
        main, ["export", str(path), *MODEL, "--to", "python", "-o", f"{tmp_path}/link.py",
               "--force"]
    )  # fmt: skip
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", [["train"], ["export", "--to", "python"], ["inspect"]])
def test_names_that_no_folder_takes(command: list[str], tmp_path: Path) -> None:
    path = book(tmp_path, "1")
    target = str(tmp_path / ("a" * 300 + ".xlsx"))
    out = [] if command == ["inspect"] else ["-o", target]
    read = target if command == ["inspect"] else str(path)
    done = CliRunner().invoke(main, [command[0], read, *MODEL, *command[1:], *out])
    assert done.exit_code in (1, 2) and "too long" in done.output


@pytest.mark.skipif(sys.platform == "win32", reason="tells other processes by their numbers")
def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path;"
        "from xl2torch.safety.output_file import complete_file\n"
        "with complete_file(Path(sys.argv[1])) as part: print(part, flush=True); os.kill("
        f"os.getpid(), {int(signal.SIGKILL)})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.txt")], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    left = Path(done.stdout.strip())
    assert left.exists()
    with complete_file(tmp_path / "b.txt") as part:
        part.write_text("b")
    assert [item.name for item in tmp_path.iterdir()] == ["b.txt"]


# ---------------------------------------------------------------- the last net


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_a_shortage_is_one_line(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    assert shortage(error) and not shortage(RuntimeError("else"))
    with pytest.raises(LimitError), within_limits("it"):
        fails()
    path = book(tmp_path, "1")
    monkeypatch.setattr("xl2torch.lowering.schedule.Lowering.result", fails)
    done = CliRunner().invoke(main, ["train", str(path), *MODEL])
    assert done.exit_code == 1 and "Error: " in done.output
    monkeypatch.setattr("xl2torch.workbook.read.reader.read_package", fails)
    done = CliRunner().invoke(main, ["inspect", str(path)])
    assert done.exit_code == 1 and done.output.startswith("Error: ")
