"""xl2torch export."""

from __future__ import annotations

from pathlib import Path

import click

from xl2torch.cli.options import BOOK, common, model_options
from xl2torch.cli.printing import STDOUT, print_json, say


@click.command()
@common
@model_options
@click.option(
    "--to", type=click.Choice(["python", "safetensors", "onnx", "pt2"]),
    help="Kind of file [default: told from the name of --output].",
)  # fmt: skip
@click.option("-o", "--output", "out", type=BOOK, help="Result [default: BOOK_SHEET with its "
              "suffix].")  # fmt: skip
@click.option("--outputs", metavar="RANGE", help="Columns of predictions for onnx and pt2, such as "
              "AG4:AG715 [default: those nearest before the loss].")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
@click.option(
    "--explain", is_flag=True,
    help="Print the sheet's formulas beside the lines of torch, as Markdown, and write nothing.",
)  # fmt: skip
def export(
    book: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None, to: str | None, out: Path | None,
    outputs: str | None, force: bool, explain: bool,
) -> None:  # fmt: skip
    """Take the model of BOOK out of the sheet.

    python: a readable file of PyTorch with the sheet's names, that loads data and weights from the
    workbook. safetensors: the weights. onnx, pt2: the predictions, with the data columns as inputs
    and a free number of rows, checked against the sheet.

    Example: xl2torch export titanic-trained.xlsx --sheet nnet --to python
    """
    from xl2torch.exports.explanation import explanation
    from xl2torch.exports.files import export as write
    from xl2torch.exports.python_source import python_source
    from xl2torch.model.sheet_model import compile
    from xl2torch.workbook.read.reader import load

    if not explain and to is None and out is None:
        raise click.UsageError("say what to write: --to python, safetensors, onnx or pt2")
    model = compile(load(book), sheet, objective, variables or None, sense=sense)
    if explain:
        text = explanation(model)
        if as_json:
            print_json({"workbook": str(book), "explanation": text})
        else:
            say(text)
        return
    if out == STDOUT:
        source, notes = python_source(model, Path.cwd())
        for note in notes:
            say(f"note: {note}", err=True)
        say(source, nl=False, data=True)
        return
    done = write(model, out, to, outputs=outputs, force=force)
    if as_json:
        print_json(
            {
                "workbook": str(book),
                "output": str(done.path),
                "to": done.kind,
                "inputs": done.inputs,
                "outputs": done.outputs,
                "notes": done.notes,
            }
        )
        return
    for note in done.notes:
        say(f"note: {note}", err=True)
    if done.inputs:
        say(f"inputs: {', '.join(done.inputs)}")
        say(f"outputs: {', '.join(done.outputs)}")
    say(f"wrote {done.path}")
