"""Writes docs/functions.md from the code: ``python docs/make_functions.py``."""

from __future__ import annotations

from pathlib import Path

import xl2torch.functions
from xl2torch.functions.registry import FUNCTIONS, VOLATILE, Function

PATH = Path(__file__).with_name("functions.md")

HEAD = """# Supported functions

Made from the code by `docs/make_functions.py`. All operators of Excel are supported as well. A
function that is missing here keeps Excel's stored value where no variable reaches it (`verify`
counts such cells as unsupported); where a variable reaches it, `train` names the cell and stops.

| function | arguments | what it is |
| --- | --- | --- |
"""


def describe(function: Function) -> str:
    """One row of the table."""
    least = len(function.arguments)
    most = "any" if function.repeats else str(least + len(function.optional))
    count = str(least) if most == str(least) else f"{least} to {most}"
    text = (function.compute.__doc__ or "").strip().split("\n")[0]
    return f"| {function.name} | {count} | {text.replace('|', '/')} |\n"


def table() -> str:
    """The whole page."""
    assert xl2torch.functions is not None
    rows = [describe(FUNCTIONS[name]) for name in sorted(FUNCTIONS)]
    volatile = ", ".join(sorted(VOLATILE))
    tail = (
        f"\nCells that call {volatile} keep their stored value; what depends on them is computed.\n"
    )
    return HEAD + "".join(rows) + tail


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8", newline="\n")
