"""Thirty mistakes that people make with their first sheets, and the sheets to make them on."""

from __future__ import annotations

import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
from click.testing import CliRunner

from xl2torch.cli import main
from xl2torch.reports.save import fill_cached_values

COFFEE = """
Cups 200
Sensitivity 0.3
Error =SUM(D6:D10)
.
Price Cups Curve Miss
1 171 =$B$1*EXP(-$B$2*A6) =(B6-C6)^2
2 128 =$B$1*EXP(-$B$2*A7) =(B7-C7)^2
3 96 =$B$1*EXP(-$B$2*A8) =(B8-C8)^2
4 71 =$B$1*EXP(-$B$2*A9) =(B9-C9)^2
5 52 =$B$1*EXP(-$B$2*A10) =(B10-C10)^2
""".strip()
MODEL = "--objective B3 --variables B1:B2"

MISTAKES: dict[str, tuple[str, dict[str, Any]]] = {
    # what is typed behind "xl2torch", and cells that are other than in the sheet
    "no model": ("train {book}", {}),
    "no such file": ("train coffe.xlsx", {}),
    "an old file": ("train {folder}/old.xls", {}),
    "a table of text": ("train {folder}/table.csv", {}),
    "an OpenDocument": ("train {folder}/open.ods", {}),
    "a command misspelled": ("trian {book}", {}),
    "an option misspelled": ("train {book} --objectiv B3", {}),
    "a sheet misspelled": ("train {book} --sheet Cofee --objective B3 --variables B1:B2", {}),
    "a label misspelled": ("train {book} --objective Eror --variables B1:B2", {}),
    "spaces in a range": ('train {book} --objective B3 --variables "B1 : B2"', {}),
    "an objective that is a number": ("train {book} --objective B1 --variables B2", {}),
    "an objective that is a label": ("train {book} --objective A3 --variables B1:B2", {}),
    "an objective that is blank": ("train {book} --objective F9 --variables B1:B2", {}),
    "an objective of several cells": ("train {book} --objective D6:D10 --variables B1:B2", {}),
    "variables that do nothing": ("train {book} --objective B3 --variables F1:F2", {}),
    "variables that are texts": ("train {book} --objective B3 --variables A1:A2", {}),
    "the objective is a variable": ("train {book} --objective B3 --variables B1:B3", {}),
    "a sense that is none": (f"train {{book}} {MODEL} --sense smaller", {}),
    "a constraint with <": (f'train {{book}} {MODEL} --constraint "B1 < 300"', {}),
    "a constraint without a limit": (f'train {{book}} {MODEL} --constraint "B1"', {}),
    "limits that cross": (f'train {{book}} {MODEL} --constraint "5 <= B2 <= 1"', {}),
    "an optimizer misspelled": (f"train {{book}} {MODEL} --optimizer adm", {}),
    "a rate too large": (f"train {{book}} {MODEL} --optimizer sgd --lr 1", {}),
    "a rate for scipy": (f"train {{book}} {MODEL} --optimizer slsqp --lr 0.1", {}),
    "a text among the data": (f"train {{book}} {MODEL}", {"A8": "three"}),
    "an error among the data": (f"train {{book}} {MODEL}", {"A8": "=1/0"}),
    "a logarithm of nothing": (
        f"train {{book}} {MODEL}", {"D6": "=(LN(B6)-LN(C6))^2", "B1": 0},
    ),
    "a function that is none": (f"train {{book}} {MODEL}", {"C8": "=CUPS($B$1,$B$2,A8)"}),
    "a circle": (f"train {{book}} {MODEL}", {"B1": "=B3+200"}),
    "the result is there": (f"train {{book}} {MODEL} -o {{folder}}/there.xlsx", {}),
    "the result is the input": (f"train {{book}} {MODEL} -o {{book}} --force", {}),
    "another kind of result": (f"train {{book}} {MODEL} -o {{folder}}/out.csv", {}),
    "data without a column": (f"predict {{book}} {{folder}}/table.csv {MODEL}", {}),
    "nothing to export to": (f"export {{book}} {MODEL}", {}),
}  # fmt: skip


def make(folder: Path, changed: dict[str, Any]) -> Path:
    """The coffee sheet with other cells, and the files beside it that are wrong."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Coffee"
    for row, line in enumerate(COFFEE.splitlines(), 1):
        for column, text in enumerate(line.split(), 1):
            if text != ".":
                number = text.replace(".", "").lstrip("-").isdigit()
                sheet.cell(row, column, float(text) if number else text)
    for cell, value in changed.items():
        sheet[cell] = value
    path = folder / "coffee.xlsx"
    book.save(path)
    fill_cached_values(path)
    book.save(folder / "there.xlsx")
    (folder / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64))
    (folder / "table.csv").write_text("Preis,Cups\n1,2\n", encoding="utf-8")
    with zipfile.ZipFile(folder / "open.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    return path


def told(name: str, folder: Path) -> str:
    """What is typed, and what the program says; times, versions and folders left out."""
    line, changed = MISTAKES[name]
    book = make(folder, changed)
    typed = shlex.split(line.format(book=book, folder=folder))
    done = CliRunner().invoke(main, typed, prog_name="xl2torch")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    said = re.sub(r"\(torch [^)]*\)|\(scipy [^)]*\)", "(...)", done.output.strip())
    said = re.sub(r"\d+\.\d\d s", "... s", said.replace(f"{folder}/", ""))
    return f"## {name}\n$ xl2torch {line.format(book='coffee.xlsx', folder='.')}\n{said}\n"
