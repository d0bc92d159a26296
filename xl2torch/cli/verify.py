"""xl2torch verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from xl2torch.cli.options import common
from xl2torch.cli.printing import foreign_functions, print_json, print_table, say


@click.command()
@common
def verify(book: Path, sheet: str | None, as_json: bool) -> None:
    """Recompute every formula of BOOK and compare with the values that Excel stored.

    Exit status 1 when a cell differs.

    Example: xl2torch verify titanic.xlsx
    """
    from xl2torch.evaluate.verification import verify as verify_workbook
    from xl2torch.workbook.read.reader import load

    report = verify_workbook(load(book), sheet)
    if as_json:
        print_json(report)
    else:
        _print_verification(report)
    if report["total"]["mismatched"]:
        sys.exit(1)


def _print_verification(report: dict[str, Any]) -> None:
    head = ["sheet", "formulas", "matched", "mismatched", "volatile", "uncached", "unsupported"]
    table = [head]
    for name, counts in [*report["sheets"].items(), ("total", report["total"])]:
        keys = ("cells", "matched", "mismatched", "volatile", "uncached", "unsupported")
        table.append([name, *(f"{counts[key]:,}" for key in keys)])
    print_table(table)
    total = report["total"]
    for case in total["cases"]:
        place = f"{case['sheet']}!{case['cell']}"
        if case["kind"] == "mismatch":
            say(
                f"{place}: {case['formula']}\n"
                f"  computed {case['computed']}, stored {case['cached']}"
            )
        else:
            say(f"{place}: {case['formula']}\n  {case['kind']}")
    others = total["not_of_excel"]
    if others:
        say(f"not computed, their stored values are taken: {foreign_functions(others)}")
    taken = sum(item["cells"] for item in others.values())
    hidden = total["mismatched"] + total["unsupported"] - len(total["cases"]) - taken
    if total["cases"] and hidden > 0:
        say(f"… and {hidden:,} more (--sheet narrows the list down)")
    say(f"{total['compared']:,} formula cells compared in {total['seconds']:.2f} s")
    if total["uncached"]:
        say(
            f"{total['uncached']:,} formula cells hold no stored value to compare with: open the "
            "workbook in Excel or LibreOffice and save it there first"
        )
