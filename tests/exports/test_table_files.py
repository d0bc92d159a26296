"""Tables in and out of files, and the command that predicts."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest
from click.testing import CliRunner
from corpus import WORKBOOKS

from xl2torch.cli import main
from xl2torch.errors import OutputError, SelectionError, WorkbookError
from xl2torch.exports.tables import as_csv, read_table, write_table

SURVIVAL = WORKBOOKS / "survival.xlsx"
ROWS = "Name,Age,IsMale,Class\n=1+1,22,1,3\nB,38,0,1\n"


def predict(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["predict", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_csv_in_and_out(tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text(ROWS, encoding="utf-8")
    code, out, err = predict(SURVIVAL, data)
    table = list(csv.DictReader(out.splitlines()))
    assert code == 0 and [row["Name"] for row in table] == ["=1+1", "B"]
    assert "One is 1 in every row" in err
    code, text, _ = predict(SURVIVAL, data, "--json")
    (values,) = json.loads(text)["predictions"].values()
    assert values == [float(list(row.values())[-1]) for row in table]


def test_text_is_never_written_as_a_formula(tmp_path: Path) -> None:
    data, target = tmp_path / "new.csv", tmp_path / "out.xlsx"
    data.write_text(ROWS, encoding="utf-8")
    assert predict(SURVIVAL, data, "-o", target)[0] == 0
    with ZipFile(target) as package:
        assert "<f>" not in package.read("xl/worksheets/sheet1.xml").decode()
    sheet = openpyxl.load_workbook(target).worksheets[0]
    assert sheet["A2"].value == "=1+1" and sheet["A2"].data_type == "s"
    again = tmp_path / "again.csv"
    assert predict(SURVIVAL, target, "--data-sheet", "Predictions", "-o", again)[0] == 0
    assert "predicted" in again.read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize(
    ("content", "message", "code"),
    [
        ("Age,IsMale\n1,2\n", "the data has no column Class", 2),
        ("Age,IsMale,Class\nold,1,1\n", "column Age, row 1: 'old'", 2),
        ("Age,IsMale,Class\n1,1\n", "line 2 has 2 values, the header has 3", 1),
        ("Age,Age\n1,1\n", "several columns named Age", 2),
        ("", "is empty", 1),
    ],
)
def test_wrong_tables_are_told(content: str, message: str, code: int, tmp_path: Path) -> None:
    data = tmp_path / "new.csv"
    data.write_text(content, encoding="utf-8")
    status, out, err = predict(SURVIVAL, data)
    assert status == code and out == "" and message in err and "Traceback" not in err


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=re.escape("ends in .csv, .parquet or .xlsx")):
        read_table(tmp_path / "data.json")
    with pytest.raises(WorkbookError, match="does not exist"):
        read_table(tmp_path / "data.csv")
    (tmp_path / "data.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkbookError, match="cannot be read"):
        read_table(tmp_path / "data.csv")
    with pytest.raises(SelectionError, match="has no sheets"):
        read_table(tmp_path / "data.csv", "S")
    with pytest.raises(OutputError, match="exists already"):
        write_table({"a": [1]}, tmp_path / "data.csv")
    with pytest.raises(SelectionError, match="write to a file"):
        write_table({"a": [1]}, tmp_path / "data.txt")


def test_numbers_keep_their_digits_and_separators_are_found(tmp_path: Path) -> None:
    assert as_csv({"a": [0.1 + 0.2, 3.0], "b": [None, "x,y"]}) == (
        'a,b\n0.30000000000000004,\n3,"x,y"\n'
    )
    (tmp_path / "data.csv").write_text("\ufeffa;b\n1;x\n", encoding="utf-8")
    assert read_table(tmp_path / "data.csv") == ({"a": ["1"], "b": ["x"]}, True)


def test_export_command(tmp_path: Path) -> None:
    target = tmp_path / "survival.py"
    result = CliRunner().invoke(main, ["export", str(SURVIVAL), "-o", str(target)])
    assert result.exit_code == 0 and result.stdout == f"wrote {target}\n"
    result = CliRunner().invoke(main, ["export", str(SURVIVAL), "--explain"])
    assert result.exit_code == 0 and result.stdout.startswith("# Sheet Model as PyTorch")
    result = CliRunner().invoke(main, ["export", str(SURVIVAL)])
    assert result.exit_code == 2 and "--to python" in result.stderr


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_half_a_character_is_spelled_out(suffix: str, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"out{suffix}"
    write_table({"x\ud83d": ["a\ud83d", 1.0], "y": ["b", "\ud83d\ude00"]}, path)
    (name, values), _ = read_table(path)[0].items()
    assert name == "x\\ud83d" and values[0] == "a\\ud83d"


def test_control_characters_in_a_sheet(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    write_table({"x\x1b[31m": ["\x07", 1.0]}, path)
    ((name, values),) = read_table(path)[0].items()
    assert (name, values[0]) == ("x\x1b[31m", "\x07")
