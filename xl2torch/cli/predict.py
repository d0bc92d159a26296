"""xl2torch predict."""

from __future__ import annotations

from pathlib import Path

import click

from xl2torch.cli.options import BOOK, common, model_options
from xl2torch.cli.printing import print_json, say


@click.command()
@common
@click.argument("data", type=BOOK)
@model_options
@click.option("--data-sheet", metavar="D", help="Sheet of DATA [default: the first].")
@click.option("-o", "--output", "out", type=BOOK, help="Result: .csv, .parquet or .xlsx "
              "[default: CSV on standard output].")  # fmt: skip
@click.option("--outputs", metavar="RANGE", help="Columns of predictions, such as AG4:AG715 "
              "[default: those nearest before the loss].")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
def predict(
    book: Path, data: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None, data_sheet: str | None, out: Path | None,
    outputs: str | None, force: bool,
) -> None:  # fmt: skip
    """Predict for the rows of DATA (.csv, .parquet, .xlsx) with the model of BOOK.

    DATA has the raw columns of the sheet's table, matched by header; the sheet's own formulas and
    weights run on its rows. What the sheet computes over its own rows, such as a maximum that it
    divides by, stays the sheet's.

    Example: xl2torch predict titanic-trained.xlsx passengers.csv --sheet nnet -o predicted.csv
    """
    from xl2torch.exports.tables import as_csv, read_table, typed, write_table
    from xl2torch.model.sheet_model import compile
    from xl2torch.rows.prediction import free_name
    from xl2torch.workbook.read.reader import load

    table, from_text = read_table(data, data_sheet)
    model = compile(load(book), sheet, objective, variables or None, sense=sense)
    found = model.row_formulas(outputs).predict(table, from_text)
    result = typed(table) if from_text and out and out.suffix.lower() != ".csv" else dict(table)
    for name, values in found.columns.items():
        result[free_name(name, table)] = values
    for note in found.notes:
        say(f"note: {note}", err=True)
    if out is not None:
        write_table(result, out, force, given=table, inputs=[book, data])
    if as_json:
        print_json({"predictions": found.columns, "notes": found.notes, "output": out and str(out)})
    elif out is None:
        say(as_csv(result, given=table), nl=False, data=True)
    else:
        rows_written = len(next(iter(result.values()), []))
        names = ", ".join(found.columns)
        say(f"wrote {out}: {rows_written:,} rows with {names}")
