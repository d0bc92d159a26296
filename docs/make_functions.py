"""Writes docs/functions.md from the code: ``python docs/make_functions.py``."""

from __future__ import annotations

from pathlib import Path

import xl2torch.excel
from xl2torch.excel import formulas_fallback
from xl2torch.excel.excel_names import known_to_excel
from xl2torch.excel.registry import FUNCTIONS, VOLATILE, Function

PATH = Path(__file__).with_name("functions.md")
DIFFERENCES = Path(__file__).with_name("libreoffice_differences.md")

HEAD = """# Functions

Made from the code by `docs/make_functions.py`. All operators of Excel are supported as well,
references of every kind, names, tables, array formulas, `A1#`, LET and LAMBDA.

A function that is missing keeps Excel's stored value where no variable reaches it (`verify` counts
such cells as unsupported); where a variable reaches it, `train` names the cell and stops. A name
that Excel does not know either is told apart.

**Gradient.** *exact*: autograd gives the derivative. *0, in steps*: the function moves in steps,
its slope is 0. *of the values*: the place is looked up and piecewise constant, the slope is that of
the values found there. *constants*: its arguments have to be constant.

**Status.** *supported*; *by formulas*: only of constants, computed by the package formulas where
the file keeps no value of the cell, and counted as unsupported; *no*: Excel's stored value is kept.

| function | status | arguments | gradient | what it is |
| --- | --- | --- | --- | --- |
"""

GRADIENTS = {
    "exact": "exact", "step": "0, in steps", "values": "of the values", "none": "constants",
}  # fmt: skip


def describe(function: Function) -> str:
    """One row of the table."""
    least = len(function.arguments)
    most = "any" if function.repeats else str(least + len(function.optional))
    count = str(least) if most == str(least) else f"{least} to {most}"
    text = " ".join((function.compute.__doc__ or "").strip().split("\n\n")[0].split())
    notes = text.replace("|", "/")
    gradient = GRADIENTS[function.gradient]
    return f"| {function.name} | supported | {count} | {gradient} | {notes} |\n"


def table() -> str:
    """The whole page."""
    assert xl2torch.excel is not None
    rows = [describe(FUNCTIONS[name]) for name in sorted(FUNCTIONS)]
    volatile = ", ".join(sorted(VOLATILE))
    missing = sorted(known_to_excel() - FUNCTIONS.keys())
    others = [
        f"| {name} | {'by formulas' if formulas_fallback.is_known(name) else 'no'} | | | |\n"
        for name in missing
    ]
    tail = (
        f"\nCells that call {volatile} keep their stored value; what depends on them is computed. "
        "In training, random numbers are drawn anew at each step.\n"
    )
    differences = DIFFERENCES.read_text(encoding="utf-8") if DIFFERENCES.exists() else ""
    return (
        HEAD
        + "".join(sorted([*rows, *others]))
        + tail
        + ("\n" + differences if differences else "")
    )


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8", newline="\n")
