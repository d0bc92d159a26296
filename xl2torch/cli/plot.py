"""xl2torch plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xl2torch.cli.options import (
    BOOK,
    common,
    fit_option_flags,
    model_options,
    protection_option,
)
from xl2torch.cli.printing import print_json, say
from xl2torch.cli.progress import status
from xl2torch.cli.threads import use_one_thread_for_small
from xl2torch.plots.kinds import KINDS

FORMATS = (".png", ".svg")


class _Range(click.ParamType[Any]):
    """``-1:3``."""

    name = "LOW:HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            low, high = (float(part) for part in value.split(":"))
        except ValueError:
            self.fail(f"{value!r} is no range such as -1:3", param, ctx)
        if not low < high:
            self.fail(f"{value!r}: the first number has to be the smaller one", param, ctx)
        return low, high


@click.command()
@common
@click.option(
    "--kind", type=click.Choice(KINDS), required=True,
    help="loss: the objective of each iteration; surface, contour: the objective over two "
    "variable cells; path: the way of training on the contour; fit: predicted beside observed; "
    "weights: the variable cells as maps.",
)  # fmt: skip
@click.option(
    "-o", "--output", "out", type=BOOK, help="Picture, .png or .svg [default: BOOK-KIND.png]."
)
@click.option("--cells", metavar="A,B", help="Two variable cells [default: the first two].")
@click.option("--x", type=_Range(), help="From where to where the first of them is shown.")
@click.option("--y", type=_Range(), help="From where to where the second of them is shown.")
@click.option(
    "--insert", is_flag=True, help="Put the picture into a copy of the workbook too, BOOK-plot."
)
@click.option("--insert-as", type=BOOK, help="The same, with another name of the copy.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@model_options
@fit_option_flags("engine", "rows", "start")
@protection_option
def plot(
    book: Path, sheet: str | None, as_json: bool, kind: str, out: Path | None, cells: str | None,
    x: tuple[float, float] | None, y: tuple[float, float] | None, insert: bool,
    insert_as: Path | None, force: bool, objective: str | None, variables: tuple[str, ...],
    sense: str | None, arguments: tuple[str, ...], ignore_protection: bool, **training: Any,
) -> None:  # fmt: skip
    """Draw the model of BOOK.

    loss and path train in memory, with the options of training; the other kinds show the weights
    that stand in the workbook and have no use for these. BOOK stays as it is.

    Example: xl2torch plot line.xlsx --kind path --optimizer sgd --lr 0.1 --epochs 30 -o path.png
    """
    from xl2torch.exports.atomic_write import atomic_write
    from xl2torch.model.sheet_model import compile
    from xl2torch.plots.draw import View, draw
    from xl2torch.plots.figures import as_bytes
    from xl2torch.plots.insert import insert_picture
    from xl2torch.training.arguments import parsed
    from xl2torch.training.fit import fit
    from xl2torch.training.options import fit_options
    from xl2torch.workbook.read.reader import load
    from xl2torch.workbook.write.preflight import check_output, check_place, check_protection

    target = out or book.with_name(f"{book.stem}-{kind}.png")
    if target.suffix.lower() not in FORMATS:
        raise click.UsageError(f"the picture {target.name} has to end in .png or .svg")
    copy = insert_as
    if insert and copy is None:
        copy = book.with_name(f"{book.stem}-plot{book.suffix}")
    workbook = load(book)
    check_place(target, force, [book])
    if copy is not None:
        check_output(book, copy, force, advice="give --insert-as another name")
        check_protection(workbook, ignore=ignore_protection)
    model = compile(workbook, sheet, objective, variables or None, sense=sense)
    use_one_thread_for_small(model)

    def train() -> Any:
        with status("training", quiet=as_json):
            given = {**training, "arguments": parsed(arguments, "--set")}
            return fit(model, options=fit_options(None, given))

    figure = draw(model, kind, View(cells, x, y), train)
    with atomic_write(target, force, [book]) as partial:
        partial.write_bytes(as_bytes(figure, target.suffix.lower()[1:]))
    name = None
    if copy is not None:
        title = f"{kind.capitalize()} of {model.problem.objective}"
        name = insert_picture(
            workbook, copy, as_bytes(figure, "png"), title, force, ignore_protection
        )
    if as_json:
        print_json({
            "workbook": str(workbook.path), "kind": kind, "output": str(target),
            "copy": copy and str(copy), "sheet": name,
        })  # fmt: skip
        return
    say(f"wrote {target}")
    if copy is not None:
        say(f"wrote {copy}: the picture is on sheet {name}")
