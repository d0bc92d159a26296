"""Beside other programs that compute workbooks: one objective, and whole workbooks.

    python benchmarks/peers.py CORPUS [--json] [--books fastai-2022]

pycel and formualizer are no packages of this project: pip install pycel formualizer. LibreOffice
answers through UNO (apt install python3-uno). What is missing is left out, and said. Each job is a
process of its own with a limit of five minutes. A cell is right when it is what Excel stored
(LibreOffice, where Excel stored nothing): numbers to 1e-9, texts, logicals and errors exactly.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import xl2torch
from xl2torch.cells.address import column_letters
from xl2torch.cells.values import ErrorValue
from xl2torch.workbook.read.reader import Workbook

LIMIT = 300
ENGINES = ("xl2torch", "formulas", "pycel", "formualizer")
ROUNDS = 7
UNO = """
import json, sys, time, uno
from com.sun.star.beans import PropertyValue
local = uno.getComponentContext()
resolver = local.ServiceManager.createInstanceWithContext(
    "com.sun.star.bridge.UnoUrlResolver", local)
for attempt in range(120):
    try:
        context = resolver.resolve("uno:pipe,name=xl2torch-peers;urp;StarOffice.ComponentContext")
        break
    except Exception:
        time.sleep(0.5)
desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
book = desktop.loadComponentFromURL(
    "file://" + sys.argv[1], "_blank", 0, (PropertyValue("Hidden", 0, True, 0),))
sheet = book.Sheets.getByName("nnet")
weight, loss = sheet.getCellRangeByName("R4"), sheet.getCellRangeByName("AH1")
first, times = weight.Value, []
for step in range(9):
    weight.Value = first + step * 1e-6
    began = time.perf_counter()
    book.calculate()
    value = loss.Value
    times.append(time.perf_counter() - began)
weight.Value = first
book.calculate()
print(json.dumps({"seconds": sorted(times)[4], "value": loss.Value}))
book.close(True)
desktop.terminate()
"""


def stored_cells(workbook: Workbook) -> Iterator[tuple[str, int, int, Any]]:
    """Sheet, row, column and stored value of each formula cell that has one."""
    for sheet in workbook.sheets:
        for formula in sheet.formulas:
            value = sheet.cells.value(formula.row, formula.column)
            if value is not None:
                yield sheet.name, formula.row, formula.column, value


def is_right(found: Any, stored: Any) -> bool:
    """Whether a program's value is the stored one."""
    if isinstance(stored, ErrorValue):
        return str(found).strip().upper() in (str(stored), str(stored).strip("#!?/").upper())
    if isinstance(stored, bool | str):
        return type(found) is type(stored) and bool(found == stored)
    if isinstance(found, bool | str) or found is None:
        return False
    try:
        number = float(found)
    except (TypeError, ValueError):
        return False
    return bool(abs(number - stored) <= 1e-9 * max(abs(stored), 1.0))


def with_xl2torch(path: Path) -> Callable[[str, int, int], Any]:
    """Values by xl2torch."""
    workbook = xl2torch.load(path)
    found = xl2torch.recalculate(workbook, {}, everything=True)
    changed = found.changed
    stale = found.stale
    from xl2torch.cells.address import CellAddress

    def value(sheet: str, row: int, column: int) -> Any:
        cell = CellAddress(sheet, row, column)
        if cell in stale:
            return None
        if cell in changed:
            return changed[cell]
        return workbook.sheet(sheet).cells.value(row, column)

    return value


def with_formulas(path: Path) -> Callable[[str, int, int], Any]:
    """Values by the package formulas."""
    import formulas

    solution = formulas.ExcelModel().loads(str(path)).finish().calculate()
    book = path.name.upper()

    def value(sheet: str, row: int, column: int) -> Any:
        key = f"'[{book}]{sheet.upper()}'!{column_letters(column)}{row}"
        ranges = solution.get(key) or solution.get(key.replace(book, path.name))
        found: Any = None if ranges is None else ranges.value[0, 0]
        return found.item() if hasattr(found, "item") else found

    return value


def with_pycel(path: Path) -> Callable[[str, int, int], Any]:
    """Values by pycel; it computes cell by cell, when asked."""
    from pycel import ExcelCompiler

    compiler = ExcelCompiler(filename=str(path))

    def value(sheet: str, row: int, column: int) -> Any:
        try:
            return compiler.evaluate(f"{sheet}!{column_letters(column)}{row}")
        except Exception:
            return None

    return value


def with_formualizer(path: Path) -> Callable[[str, int, int], Any]:
    """Values by formualizer."""
    import formualizer

    book = formualizer.load_workbook(str(path))
    book.evaluate_all()

    def value(sheet: str, row: int, column: int) -> Any:
        found = book.get_value(sheet, row, column)
        return found.get("kind", found) if isinstance(found, dict) else found

    return value


def one_book(engine: str, path: Path) -> dict[str, Any]:
    """Seconds from the file to all values, and how many are right."""
    cells = list(stored_cells(xl2torch.load(path)))
    importlib.import_module("xl2torch.evaluate.recalculation" if engine == "xl2torch" else engine)
    began = time.perf_counter()
    value = globals()[f"with_{engine}"](path)
    found = [value(sheet, row, column) for sheet, row, column, _ in cells]
    seconds = time.perf_counter() - began
    right = sum(is_right(f, stored) for f, (*_, stored) in zip(found, cells, strict=True))
    return {"seconds": seconds, "right": right, "cells": len(cells)}


def one_objective(engine: str, path: Path) -> dict[str, Any]:
    """Seconds for the objective of titanic's nnet after a weight changed (ours: and gradient)."""
    times = []
    if engine == "xl2torch":
        import torch

        torch.set_num_threads(1)
        model = xl2torch.compile(xl2torch.load(path), "nnet")
        for _ in range(20 * ROUNDS):
            began = time.perf_counter()
            model.zero_grad()
            loss = model()
            loss.backward()
            times.append(time.perf_counter() - began)
        return {"seconds": statistics.median(times), "value": float(loss.detach())}
    from pycel import ExcelCompiler

    compiler = ExcelCompiler(filename=str(path))
    compiler.evaluate("nnet!AH1")
    first = compiler.evaluate("nnet!R4")
    for step in range(ROUNDS):
        compiler.set_value("nnet!R4", first + step * 1e-6)
        began = time.perf_counter()
        compiler.evaluate("nnet!AH1")
        times.append(time.perf_counter() - began)
    compiler.set_value("nnet!R4", first)
    return {"seconds": statistics.median(times), "value": compiler.evaluate("nnet!AH1")}


def with_libreoffice(path: Path) -> dict[str, Any]:
    """The same by LibreOffice."""
    with tempfile.TemporaryDirectory() as folder:
        office = subprocess.Popen(
            ["soffice", f"-env:UserInstallation=file://{folder}", "--headless", "--norestore",
             "--accept=pipe,name=xl2torch-peers;urp;"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return _answer(["/usr/bin/python3", "-c", UNO, str(path.resolve())])
        except FileNotFoundError:
            return {"error": "not installed"}
        finally:
            office.terminate()


def computed(paths: list[Path], folder: Path) -> list[Path]:
    """The workbooks; instead of those without stored values, copies that LibreOffice computed."""
    bare = [path for path in paths if not any(True for _ in stored_cells(xl2torch.load(path)))]
    if bare:
        subprocess.run(
            ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
             "--convert-to", "xlsx", "--outdir", str(folder), *map(str, bare)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    return [folder / path.name if path in bare else path for path in paths]


def _answer(command: list[str]) -> dict[str, Any]:
    """What a process prints as JSON, or why it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {LIMIT} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return {"error": "not installed" if "ModuleNotFound" in last else last[:120]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Run all jobs and print tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--books", default="*", help="folders of the corpus")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        warnings.simplefilter("ignore")
        what, engine, path = options.one
        work = one_objective if what == "objective" else one_book
        print(json.dumps(work(engine, Path(path))))
        return
    here = [sys.executable, __file__, "--one"]
    titanic = options.corpus / "fastai-2022" / "titanic.xlsx"
    objective = {
        engine: _answer([*here, "objective", engine, str(titanic)])
        for engine in ("xl2torch", "pycel")
    }
    objective["LibreOffice"] = with_libreoffice(titanic)
    books: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(options.corpus.glob(f"{options.books}/*.xls?"))
        for path, copy in zip(paths, computed(paths, Path(folder)), strict=True):
            name = f"{path.parent.name}/{path.name}"
            one = {engine: _answer([*here, "book", engine, str(copy)]) for engine in ENGINES}
            books[name] = one
    if options.json:
        print(json.dumps({"objective": objective, "books": books}, indent=2))
        return
    print("| objective of titanic nnet | seconds | beside xl2torch |\n| --- | --- | --- |")
    ours = objective["xl2torch"]["seconds"]
    for engine, found in objective.items():
        if "error" in found:
            print(f"| {engine} | {found['error']} | |")
        else:
            print(f"| {engine} | {found['seconds']:.6f} | {found['seconds'] / ours:,.0f} |")
    print("\n| workbooks | formula cells | " + " | ".join(ENGINES) + " |")
    print("| --- " * (2 + len(ENGINES)) + "|")
    for folder in sorted({name.partition("/")[0] for name in books}):
        mine = [found for name, found in books.items() if name.startswith(folder + "/")]
        count = sum(found["xl2torch"].get("cells", 0) for found in mine)
        texts = []
        for engine in ENGINES:
            done = [found[engine] for found in mine if "error" not in found[engine]]
            right, seconds = (sum(f[key] for f in done) for key in ("right", "seconds"))
            failed = len(mine) - len(done)
            note = f", {failed} of {len(mine)} books failed" if failed else ""
            texts.append(f"{right:,} right, {seconds:.1f} s{note}")
        print(f"| {folder} | {count:,} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
