"""xl2torch inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xl2torch.cli.options import BOOK, common, model_options
from xl2torch.cli.printing import foreign_functions, print_json, print_table, say


@click.command()
@common
@model_options
@click.option(
    "--graph", type=BOOK, metavar="OUT.svg",
    help="Draw the program: lines as boxes, what they read as arrows.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing picture.")
def inspect(
    book: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None, graph: Path | None, force: bool,
) -> None:  # fmt: skip
    """Show what xl2torch understands of BOOK.

    Lists the sheets and the Solver models found; for each model the objective, the variables and
    the program that the formulas become, line by line. --objective and --variables show the
    program of a model that is not stored.

    Example: xl2torch inspect titanic.xlsx --sheet nnet
    """
    from xl2torch.evaluate.inspection import inspect as inspect_workbook
    from xl2torch.model.problem import find_problem
    from xl2torch.workbook.read.reader import load

    workbook = load(book)
    problem = None
    if objective or variables or sense:
        problem = find_problem(workbook, sheet, objective, variables or None, sense)
    if graph is not None:
        from xl2torch.exports.drawing import write_drawing
        from xl2torch.model.sheet_model import compile_problem

        chosen = problem or find_problem(workbook, sheet, None, None, None)
        write_drawing(compile_problem(workbook, chosen), graph, force)
        if not as_json:
            say(f"wrote {graph}")
            return
    report = inspect_workbook(workbook, sheet, problem)
    if as_json:
        print_json(report)
    else:
        _print_inspection(report)


def _print_sheet(sheet: dict[str, Any]) -> None:
    """What is odd about a sheet, or not supported."""
    from xl2torch.evaluate.inspection import ODD_CELLS_LISTED

    if sheet["not_of_excel"]:
        say(
            f"stored values are taken in {sheet['name']}: "
            f"{foreign_functions(sheet['not_of_excel'])}"
        )
    for item in sheet["unsupported"]:
        say(f"unsupported {sheet['name']}!{item['cells']}: {item['formula']} ({item['reason']})")
    if len(sheet["odd_cells"]) >= ODD_CELLS_LISTED:
        say(f"the first {ODD_CELLS_LISTED} odd cells of sheet {sheet['name']}:")
    for item in sheet["odd_cells"]:
        say(f"odd cell {sheet['name']}!{item['cell']} {item['note']}")
    if sheet["data_tables"]:
        say(f"what-if data tables {sheet['name']}: {', '.join(sheet['data_tables'])} "
                   "(taken as values)")  # fmt: skip
    if sheet["volatile"]:
        shown = ", ".join(sheet["volatile"][:8]) + (", …" if len(sheet["volatile"]) > 8 else "")
        say(f"volatile {sheet['name']}: {shown} (cached values are kept)")


def _print_inspection(report: dict[str, Any]) -> None:
    say(report["workbook"])
    table = [["sheet", "used", "formulas", "regions", "functions"]]
    for sheet in report["sheets"]:
        functions = ", ".join(sheet["functions"]) or "-"
        used = f"{sheet['rows']}×{sheet['columns']}"
        table.append(
            [sheet["name"], used, str(sheet["formulas"]), str(sheet["regions"]), functions]
        )
    print_table(table)
    for sheet in report["sheets"]:
        _print_sheet(sheet)
    if not report["models"]:
        say("no Solver model is stored: give --objective and --variables to train")
    for model in report["models"]:
        _print_model(model)


_SYSTEM = "keep the constraints, there is no objective"


def _print_model(model: dict[str, Any]) -> None:
    say()
    goal = f"{model['sense']} {model['objective']}" if model["objective"] else _SYSTEM
    say(f"Model of sheet {model['sheet']}: {goal}")
    say(f"  by changing {model['variables']}")
    for constraint in model["constraints"]:
        say(f"  subject to {constraint}")
    if model["non_negative"]:
        say("  unconstrained variables are non-negative")
    if model["error"]:
        say("  " + model["error"].replace("\n", "\n  "))
        return
    if model["objective"]:
        say(f"  objective now {model['value']:.15g}; {model['nodes']} torch.fx nodes")
    table = [["parameter", "cells", "shape", "label"]]
    for item in model["parameters"]:
        table.append([item["name"], item["cells"], _shape_text(item["shape"]), item["label"]])
    print_table(table, indent=2)
    if not model["program"]:
        return  # the first variable cell alone
    table = [["constant", "cells", "shape"]]
    for item in model["constants"]:
        table.append([item["name"], item["cells"] or "-", _shape_text(item["shape"])])
    print_table(table, indent=2)
    table = [["name", "cells", "shape", "formula", "torch"]]
    for item in model["program"]:
        table.append(
            [
                item["name"],
                item["cells"],
                _shape_text(item["shape"]),
                item["formula"],
                item["torch"],
            ]
        )
    print_table(table, indent=2)
    for note in model["notes"]:
        say(f"  note {note}")


def _shape_text(shape: list[int]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"
