"""xl2torch restore."""

from __future__ import annotations

from pathlib import Path

import click

from xl2torch.cli.options import BOOK, protection_option
from xl2torch.cli.printing import print_json, print_stale, say


@click.command()
@click.argument("book", type=BOOK)
@click.option("-o", "--output", "out", type=BOOK, help="Result file [default: BOOK-restored].")
@click.option("--report", metavar="NAME", help="Answer Report to go back to [default: the last].")
@click.option("--in-place", is_flag=True, help="Write the result into BOOK itself.")
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
@protection_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def restore(
    book: Path, out: Path | None, report: str | None, in_place: bool, force: bool,
    ignore_protection: bool, as_json: bool,
) -> None:  # fmt: skip
    """Undo a training run: put back what the variable cells of BOOK held.

    Values and formulas are read from the last Answer Report in BOOK, which "xl2torch train" wrote.

    Example: xl2torch restore survival-trained.xlsx
    """
    from xl2torch.reports.restore import default_restored
    from xl2torch.reports.restore import restore as put_back

    if in_place and out is not None:
        raise click.UsageError("--in-place and --output exclude each other")
    target = book if in_place else out or default_restored(book)
    done = put_back(
        book, target, report=report, force=force, in_place=in_place,
        ignore_protection=ignore_protection,
    )  # fmt: skip
    if as_json:
        print_json(
            {
                "workbook": str(book),
                "output": str(done.path),
                "report": done.report,
                "variables": done.variables,
                "formulas": done.formulas,
                "changed_cells": done.changed_cells,
                "stale": [{"cell": str(c), "reason": why} for c, why in done.stale.items()],
            }
        )
        return
    formulas = f", {done.formulas} of them formulas" if done.formulas else ""
    say(f"put back {done.variables} variable cells from {done.report!r}{formulas}")
    say(f"wrote {done.path}: {done.changed_cells} cells changed")
    print_stale(done.stale)
