"""Passes one input through the commands and judges what they do."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import click.testing
import numpy as np
import openpyxl
import torch
from fuzz_books import Case

import xl2torch
from xl2torch.cells.address import parse_a1, unquote_sheet
from xl2torch.cli import main

SECONDS = 20.0
BYTES = 2 * 2**30
EXIT_CODES = (0, 1, 2)

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WARNING = re.compile(r"^(\S*?)([^/\s]+/[^/\s]+\.py):(\d+): (\w*Warning: .*)$", re.MULTILINE)
_MAY_CHANGE = re.compile(
    r"worksheets/|sharedstrings|styles|workbook|\[content_types\]|docprops|calcchain", re.IGNORECASE
)
_PACKAGE = Path(xl2torch.__file__).parent
_OURS = {"book.xlsx", "out.xlsx", "model.py", "predicted.csv"}
_CHOSEN = {"predicted.xlsx", "predicted.txt", "model.txt"}


class Hang(BaseException):
    """Raised by the timer; no handler of errors takes it for one."""


@dataclass(frozen=True)
class Finding:
    """What is wrong, in which command, at which line of the library, in words."""

    kind: str
    command: str
    where: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """How the training of an input ended, and everything that is wrong."""

    outcome: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Run:
    """What a command printed, its exit status, and the findings so far."""

    command: str
    code: int
    output: str
    stdout: str
    findings: tuple[Finding, ...]


def judge(case: Case, folder: Path) -> Verdict:
    """Run the commands on an input, in a folder of its own, and look at all they leave."""
    os.chdir(folder)
    packed = case.workbook()
    book, data = folder / "book.xlsx", folder / case.data_name
    book.write_bytes(packed)
    data.write_bytes(case.data)
    as_json = len(packed) % 2 == 0
    findings: list[Finding] = []
    outcome = "no training"
    for arguments in _commands(case, as_json):
        run = _run(arguments)
        findings += run.findings
        if run.command == "train":
            outcome = {0: "trained", 1: "refused", 2: "usage"}.get(run.code, "wrong")
            findings += _result(case, run, folder)
        elif run.command == "export" and "--to" not in case.exporting:
            findings += _source(folder / "model.py")
        if any(finding.kind in ("hang", "memory") for finding in run.findings):
            break
    if book.read_bytes() != packed or data.read_bytes() != case.data:
        findings.append(Finding("input changed", "any", "", "the input's bytes are others"))
    litter = {path.name for path in folder.iterdir()} - _OURS - _CHOSEN - {data.name}
    if litter:
        findings.append(Finding("litter", "any", "", f"left behind: {sorted(litter)}"))
    return Verdict(findings[0].kind if findings else outcome, tuple(findings))


def _commands(case: Case, as_json: bool) -> Iterator[list[str]]:
    flag = ["--json"] if as_json else []
    yield ["inspect", "book.xlsx", *case.model, *flag]
    yield ["verify", "book.xlsx", *flag]
    yield ["train", "book.xlsx", "--epochs", "3", "-o", "out.xlsx", *case.model, *case.training,
           "--json"]  # fmt: skip
    if not as_json:
        yield ["train", "book.xlsx", "--epochs", "3", "-o", "out.xlsx", "--force", *case.model,
               *case.training]  # fmt: skip
    yield ["export", "book.xlsx", "--to", "python", "-o", "model.py", *case.model, *case.exporting]
    yield ["predict", "book.xlsx", case.data_name, "-o", "predicted.csv", *case.model,
           *case.predicting]  # fmt: skip


# ---------------------------------------------------------------- one command


def _ring(number: int, frame: FrameType | None) -> None:
    raise Hang


def _run(arguments: Sequence[str]) -> Run:
    command = arguments[0]
    torch.manual_seed(0)
    np.random.seed(0)
    sys.argv = ["xl2torch", *arguments]
    before, began = _peak(), time.process_time()
    signal.signal(signal.SIGPROF, _ring)
    stop: BaseException | None = None
    code, output, stdout = -1, "", ""
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS, 5)
        with warnings.catch_warnings():
            for category in (RuntimeWarning, UserWarning, FutureWarning, SyntaxWarning):
                warnings.simplefilter("always", category)  # not once for all inputs of a child
            result = click.testing.CliRunner().invoke(main, list(arguments))
        signal.setitimer(signal.ITIMER_PROF, 0)
        code, output, stdout = result.exit_code, result.output, result.stdout
        stop = result.exception
    except (Hang, KeyboardInterrupt) as error:
        stop = error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    found: list[Finding] = []
    seconds, grown = time.process_time() - began, _peak() - before
    if isinstance(stop, Hang) or seconds > SECONDS:
        found.append(Finding("hang", command, _place(stop), f"stopped after {seconds:.0f} s"))
    elif stop is not None and not isinstance(stop, SystemExit):
        found.append(Finding("traceback", command, _place(stop), _words(stop)))
    else:
        found += _printed(command, arguments, code, output, stdout)
    if grown > BYTES:
        found.append(Finding("memory", command, _place(stop), f"grew by {grown / 2**30:.1f} GB"))
    return Run(command, code, output, stdout, tuple(found))


def _printed(
    command: str, arguments: Sequence[str], code: int, output: str, stdout: str
) -> Iterator[Finding]:
    """What is wrong with what a command said that ended by itself."""
    if code not in EXIT_CODES:
        yield Finding("exit code", command, "", f"exit code {code}")
    if "Traceback" in output:
        yield Finding("traceback", command, "", "a traceback is printed")
    if "a fault of xl2torch" in output:  # an error that it calls its own
        fault = output[max(output.index("a fault of xl2torch") - 80, 0) :][:240]
        yield Finding("fault", command, "", " ".join(fault.split()))
    if code and not output.strip():
        yield Finding("silent", command, "", f"exit code {code} without a word")
    for match in _WARNING.finditer(output):
        where = f"{match[2]}:{match[3]}"
        yield Finding("warning", command, where, f"{match[4]}"[:160])
        output = output.replace(match[0], "")
    if "--json" in arguments:
        if stdout.strip() and code < 2:
            try:
                json.loads(stdout)
            except ValueError as error:
                yield Finding("json", command, "", f"no JSON on standard output: {error}")
    else:
        control = _CONTROL.search(output)
        if control:
            around = output[max(control.start() - 50, 0) : control.end() + 20]
            yield Finding("control", command, "", f"prints {control[0]!r}: {around!r}")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException | None) -> str:
    """The innermost line of the library that an error passed through, and the callers of its file.

    Of an endless recursion it is the line that comes most often.
    """
    if error is None:
        return ""
    lines = [
        (frame.filename, f"{_inside(frame.filename)}:{frame.lineno} {frame.name}")
        for frame in reversed(traceback.extract_tb(error.__traceback__))
        if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    if not lines:
        return ""
    if isinstance(error, RecursionError):
        return Counter(line for _, line in lines).most_common(1)[0][0]
    turns = [
        line
        for (file, line), (before, _) in zip(lines, [("", ""), *lines], strict=False)
        if file != before
    ]
    return " < ".join(turns[:3])


def _inside(file: str) -> Path:
    return Path(file).relative_to(_PACKAGE.parent)


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"


# ---------------------------------------------------------------- what was written


def _result(case: Case, run: Run, folder: Path) -> Iterator[Finding]:
    """What is wrong with the trained workbook, if there is one."""
    out = folder / "out.xlsx"
    if not out.exists():
        if run.code == 0:
            yield Finding("result", "train", "", "exit code 0 and no result")
        return
    refusal = _refusal(out)
    if refusal and not _refusal(folder / "book.xlsx") and not _hides_styles(out):
        yield Finding("result", "train", "", f"openpyxl opens the input, not the result: {refusal}")
    try:
        after = xl2torch.load(out)
    except Exception as error:
        yield Finding("result", "train", _place(error), f"does not load: {_words(error)}")
        return
    yield from _untouched(folder / "book.xlsx", out)
    try:
        report = json.loads(run.stdout)
    except ValueError:
        return
    for variable in report.get("variables", ()):
        wrong = _wrong_weight(after, variable)
        if wrong:
            yield Finding("result", "train", "", wrong)


def _hides_styles(path: Path) -> bool:
    """Whether its formats are in a part that openpyxl does not find: it looks for one spelling."""
    with zipfile.ZipFile(path) as package:
        return any(name.lower() == "xl/styles.xml" != name for name in package.namelist())


def _refusal(path: Path) -> str:
    """Why openpyxl does not open a workbook; nothing where it does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            openpyxl.load_workbook(path)
    except Exception as error:
        return _words(error)
    return ""


def _untouched(book: Path, out: Path) -> Iterator[Finding]:
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(out) as target:
        names = set(target.namelist())
        for name in source.namelist():
            if _MAY_CHANGE.search(name) or name.endswith("/"):
                continue
            if name not in names:
                yield Finding("result", "train", "", f"part {name!r} is lost")
            elif source.read(name) != target.read(name):
                yield Finding("result", "train", "", f"part {name!r} is another")


def _wrong_weight(after: xl2torch.Workbook, variable: dict[str, Any]) -> str:
    """A variable cell that does not hold the weight that was reported, in words."""
    sheet, _, area = variable["cells"].rpartition("!")
    cells = parse_a1(area, unquote_sheet(sheet))
    if cells is None:
        return f"the cells of a variable are {variable['cells']!r}"
    values = np.asarray(variable["values"], dtype=object).ravel().tolist()
    if len(values) != cells.size:
        return f"{len(values)} weights for {cells}"
    stored = after.sheet(cells.sheet).cells
    for cell, value in zip(cells.cells(), values, strict=True):
        held = stored.value(cell.row, cell.column)
        written = 0.0 if held is None else held  # a blank stays one where its weight stays 0
        written = float(written) if isinstance(written, bool) else written  # and TRUE where it is 1
        if not isinstance(written, float) or not isinstance(value, float):
            return f"{cell} holds {written!r}, its weight is {value!r}"
        if not math.isclose(written, value, rel_tol=1e-12, abs_tol=1e-300):
            return f"{cell} holds {written!r}, its weight is {value!r}"
    return ""


def _source(path: Path) -> Iterator[Finding]:
    """What is wrong with a program that was written, if there is one."""
    if not path.exists():
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield Finding("python", "export", "", f"model.py, {_words(error)}")
