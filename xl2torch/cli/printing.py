"""Results on standard output: tables for people, JSON for machines."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from xl2torch.cells.values import ErrorValue
from xl2torch.safety.plain_text import argument, plain_lines
from xl2torch.training.options import OPTIONS, flag_of

_SHOWN = 5
_MOST_NAMED = 12


STDOUT = Path("-")
"""``-o -``: the result goes to standard output, and what is said to standard error."""
_written: list[Path] = []
"""The file that is copied to standard output, while there is one."""


@contextlib.contextmanager
def result_on_stdout(name: str) -> Iterator[Path]:
    """A file of that name to write to, which is then copied to standard output."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _written.append(path)
        try:
            yield path
        finally:
            _written.clear()
            if path.exists():
                sys.stdout.flush()
                sys.stdout.buffer.write(path.read_bytes())


def on_stdout() -> bool:
    """Whether the result goes to standard output."""
    return bool(_written)


def say(text: str = "", err: bool = False, nl: bool = True, data: bool = False) -> None:
    """Print text of which a terminal obeys nothing; ``err``: on standard error.

    ``data`` for a file or another program are what they are.
    """
    shown = text if data and not sys.stdout.isatty() else plain_lines(text)
    if not data:
        shown = as_flags(shown)
    for path in _written:
        shown, err = shown.replace(str(path), "standard output"), True
    click.echo(shown, err=err, nl=nl)


def as_flags(text: str) -> str:
    """A message of the library with its options as flags: `starts=20` is --starts 20."""
    return _OPTION.sub(_flag, text)


_OPTION = re.compile(r"`([a-z_]+)(?:=([^`]*))?`")
_FLAGS = {"constraints": "--constraint", "reports": "--report", "watch_cells": "--watch"}
_FLAGS |= {name: flag_of(name) for name in OPTIONS}
_MESSAGES = frozenset({"error", "message", "notes", "reason", "remarks", "skipped_reports"})
"""Keys of JSON whose texts are messages of the library."""
_OFF = {"non_negative": "--any-sign", "shuffle": "--no-shuffle"}


_known: set[str] = set()
"""The flags of all commands: what else stands between backticks is no option."""


def know_flags(group: click.Group) -> None:
    """Take the flags of a group's commands for those that messages can name."""
    options = (item for command in group.commands.values() for item in command.params)
    _known.update(flag for item in options for flag in item.opts)


def _flag(match: re.Match[str]) -> str:
    name, value = match.groups()
    flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
    if flag not in _known:
        return match[0]
    if value is None or value == "True":
        return flag
    if value == "False":
        return _OFF.get(name, flag)
    try:
        return f"{flag} {argument(str(ast.literal_eval(value)))}"
    except (ValueError, SyntaxError):
        return f"{flag} {value}"


def number_text(value: Any) -> str:
    if value is None:
        return "(blank)"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def foreign_functions(found: dict[str, dict[str, Any]]) -> str:
    """Functions that Excel does not have, such as those of VBA, in one line."""
    names = [
        f"{name} ({item['cells']:,} cell{'s' if item['cells'] > 1 else ''}, first {item['first']})"
        for name, item in found.items()
    ]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}: functions that Excel does not have, as of VBA"


def print_table(rows: list[list[str]], indent: int = 0) -> None:
    """Columns aligned; numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if _numeric(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        say((" " * indent + "  ".join(cells)).rstrip())


def _numeric(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit()


def print_json(report: dict[str, Any]) -> None:
    report = _for_machines(report)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if plain_lines(text) != text:
        text = json.dumps(report, indent=2)  # the same, in characters that can be seen
    say(text, data=True)


def _for_machines(item: Any, key: str = "") -> Any:
    """JSON has no NaN: null; an error value is its text, messages have flags for options."""
    if isinstance(item, dict):
        inner = {name: key if key in _MESSAGES else name for name in item}
        return {name: _for_machines(value, inner[name]) for name, value in item.items()}
    if isinstance(item, list | tuple):
        return [_for_machines(value, key) for value in item]
    if isinstance(item, str) and key in _MESSAGES:
        return as_flags(item)
    if isinstance(item, ErrorValue):
        return str(item)
    return None if isinstance(item, float) and not math.isfinite(item) else item


def print_stale(stale: Mapping[Any, str]) -> None:
    """Say which cells lost their value, on standard error."""
    if not stale:
        return
    shown = ", ".join(str(cell) for cell in list(stale)[:_SHOWN])
    say(
        f"warning: {len(stale)} cells that depend on the variable cells could not be recomputed "
        f"and are left empty until Excel opens the file: {shown}"
        f"{', …' if len(stale) > _SHOWN else ''}",
        err=True,
    )
