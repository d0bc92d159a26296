"""xl2torch replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xl2torch.cli.options import common
from xl2torch.cli.printing import number_text, print_json, print_table, say

if TYPE_CHECKING:
    from xl2torch.teach.replay.run import Replay

_MOST_ROWS = 40
_FIRST_ROWS = 5


@click.command()
@common
@click.option(
    "--epochs", type=click.IntRange(1), default=1, show_default=True,
    help="Passes through the rows, each from the weights that the last one ended with.",
)  # fmt: skip
@click.option(
    "--state", type=click.Choice(["sheet", "new"]), default="sheet", show_default=True,
    help="Where the optimizer's own memory starts: as in the sheet, or as torch does.",
)  # fmt: skip
def replay(book: Path, sheet: str | None, as_json: bool, epochs: int, state: str) -> None:
    """Run a gradient descent that a sheet writes down its rows with torch's optimizer.

    Weights, gradients and the optimizer's rule are found from the sheet's formulas and numbers;
    torch makes a step for each row, and its weights are compared with the sheet's row by row.
    Without --sheet all such sheets are run.

    Example: xl2torch replay graddesc.xlsm --sheet momentum
    """
    from xl2torch.teach.replay.run import replay as run
    from xl2torch.teach.replay.run import replay_all
    from xl2torch.workbook.read.reader import load

    workbook = load(book)
    refused: list[str] = []
    if sheet is not None:
        found = [run(workbook, sheet, state=state, epochs=epochs)]
    else:
        found, refused = replay_all(workbook, state=state, epochs=epochs)
    for reason in refused:
        say(f"note: {reason}", err=True)
    if as_json:
        print_json({"workbook": str(workbook.path), "sheets": [_report(item) for item in found],
                    "refused": refused})  # fmt: skip
        return
    if sheet is None:
        rows = [["sheet", "torch", "largest difference", "differs from"]]
        for item in found:
            rows.append(
                [item.descent.sheet, item.match.code, f"{item.largest:.1e}", _parting(item)]
            )
        print_table(rows)
        say()
    for item in found:
        _print_words(item)
        if sheet is not None:
            _print_rows(item)
        if epochs > 1:
            _print_epochs(item)


def _parting(item: Replay) -> str:
    return "" if item.first_divergence is None else item.first_divergence.a1


def _report(item: Replay) -> dict[str, Any]:
    descent = item.descent
    return {
        "sheet": descent.sheet,
        "rows": [descent.top, descent.bottom],
        "weights": [weight.name for weight in descent.weights],
        "error": item.gradients.error.text(descent),
        "rule": item.match.rule,
        "optimizer": item.match.code,
        "state": item.state,
        "remarks": list(item.match.remarks),
        "largest_difference": item.largest,
        "differs_from": _parting(item) or None,
        "path": item.path.tolist(),
        "sheet_path": item.sheet_path.tolist(),
    }


def _print_words(item: Replay) -> None:
    descent = item.descent
    say(f"{descent.sheet}, rows {descent.top} to {descent.bottom}")
    say(f"  error: {item.gradients.error.text(descent)}")
    say(f"  rule: {item.match.rule}")
    say(f"  torch: {item.match.code}, one row a step, in the order of the sheet")
    for remark in item.match.remarks:
        say(f"  note: {remark}")
    names = " and ".join(weight.name for weight in descent.weights)
    where = f"; they part in {_parting(item)}" if item.first_divergence else ""
    say(f"  largest relative difference of {names}: {item.largest:.1e}{where}")


def _print_rows(item: Replay) -> None:
    frame = item.frame
    names = [str(name) for name in frame]
    rows = [names]
    for place, (row, *numbers) in enumerate(frame.itertuples(index=False)):
        if len(frame) > _MOST_ROWS and _FIRST_ROWS <= place < len(frame) - _FIRST_ROWS:
            if place == _FIRST_ROWS:
                rows.append(["..."] * len(names))
            continue
        texts = [
            f"{number:.1e}" if name.endswith(" difference") else number_text(number)
            for name, number in zip(names[1:], numbers, strict=True)
        ]
        rows.append([str(row) or "end", *texts])
    say()
    print_table(rows)


def _print_epochs(item: Replay) -> None:
    rows = [["epoch", *(weight.name for weight in item.descent.weights)]]
    for place, values in enumerate(item.epochs.tolist()):
        rows.append([str(place), *map(number_text, values)])
    say()
    print_table(rows)
    say()
