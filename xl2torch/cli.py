"""The command line: parses arguments, calls one library function, prints.

Results go to standard output, progress and messages to standard error. Exit status: 0 success,
1 the work failed, 2 wrong usage. torch is imported only by the commands that need it.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xl2torch import __version__
from xl2torch.errors import SelectionError, Xl2TorchError

if TYPE_CHECKING:
    from xl2torch.model import SheetModel
    from xl2torch.problem import Problem
    from xl2torch.training.fit import Iteration, Result
    from xl2torch.workbook.reader import Workbook

_OPTIMIZERS = ("lbfgs", "sgd", "momentum", "adam")
_SMALL = 200_000
_SAME = 1e-6
_BOOK = click.Path(path_type=Path, readable=False)


class _WrongUsage(click.ClickException):
    """What was asked for is not in the workbook."""

    exit_code = 2


class _Group(click.Group):
    """Turns library errors into messages, with the exit status that fits."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Xl2TorchError as error:
            kind = _WrongUsage if isinstance(error, SelectionError) else click.ClickException
            if "--json" in sys.argv:
                _print_json({"error": str(error), "kind": type(error).__name__})
            raise kind(str(error)) from None


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments that all commands share."""

    @click.argument("book", type=_BOOK)
    @click.option("--sheet", metavar="S", help="Sheet to work on.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        return command(*arguments, **options)

    return wrapped


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xl2torch")
def main() -> None:
    """Train the model that lives in an Excel workbook with PyTorch.

    xl2torch reads the formulas and the Solver model of a workbook, compiles them into a torch
    module, trains it in the Solver's role, and writes the answer back into a copy of the workbook.

    Example: xl2torch train survival.xlsx
    """
    for stream in (sys.stdout, sys.stderr):
        # A Windows console in an old code page shows '?' instead of failing.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what to optimise, instead of the stored Solver model."""
    for option in (
        click.option("--sense", metavar="SENSE", help="min, max or value=NUMBER."),
        click.option(
            "--variables", metavar="RANGE", multiple=True,
            help="Variable cells: a range or a defined name, several by comma or by repeating.",
        ),
        click.option("--objective", metavar="CELL", help="Objective cell, not the stored one."),
    ):  # fmt: skip
        command = option(command)
    return command


@main.command()
@_common
@_model_options
def inspect(
    book: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None,
) -> None:  # fmt: skip
    """Show what xl2torch understands of BOOK.

    Lists the sheets and the Solver models found; for each model the objective, the variables and
    the program that the formulas become, line by line. --objective and --variables show the
    program of a model that is not stored.

    Example: xl2torch inspect titanic.xlsx --sheet nnet
    """
    from xl2torch.inspection import inspect as inspect_workbook
    from xl2torch.problem import find_problem
    from xl2torch.workbook.reader import load

    workbook = load(book)
    problem = None
    if objective or variables or sense:
        problem = find_problem(workbook, sheet, objective, variables or None, sense)
    report = inspect_workbook(workbook, sheet, problem)
    if as_json:
        _print_json(report)
    else:
        _print_inspection(report)


@main.command()
@_common
def verify(book: Path, sheet: str | None, as_json: bool) -> None:
    """Recompute every formula of BOOK and compare with the values that Excel stored.

    Exit status 1 when a cell differs.

    Example: xl2torch verify titanic.xlsx
    """
    from xl2torch.verification import verify as verify_workbook
    from xl2torch.workbook.reader import load

    report = verify_workbook(load(book), sheet)
    if as_json:
        _print_json(report)
    else:
        _print_verification(report)
    if report["total"]["mismatched"]:
        sys.exit(1)


@main.command()
@_common
@click.option("-o", "--output", "out", type=_BOOK, help="Result file [default: BOOK-trained].")
@_model_options
@click.option(
    "--optimizer", type=click.Choice(_OPTIMIZERS),
    help="[default: lbfgs, or adam where random cells are drawn anew at each step]",
)  # fmt: skip
@click.option("--lr", type=float, help="Learning rate [default: 1 for lbfgs, else 0.01].")
@click.option(
    "--epochs", type=click.IntRange(0), help="Most iterations [default: 2000 for lbfgs, else 1000]."
)
@click.option(
    "--init", type=click.Choice(["file", "normal", "uniform", "zeros"]), default="file",
    show_default=True, help="Start values of the variable cells.",
)  # fmt: skip
@click.option("--seed", type=int, help="Seed of drawn start values and of random cells.")
@click.option("--watch", metavar="CELL", multiple=True, help="Show this cell too; repeatable.")
@click.option("--in-place", is_flag=True, help="Write the result into BOOK itself.")
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
@click.option("--ignore-lock", is_flag=True, help="Read BOOK though another program has it open.")
def train(
    book: Path, sheet: str | None, as_json: bool, out: Path | None, objective: str | None,
    variables: tuple[str, ...], sense: str | None, optimizer: str | None, lr: float | None,
    epochs: int | None, init: str, seed: int | None, watch: tuple[str, ...], in_place: bool,
    force: bool, ignore_lock: bool,
) -> None:  # fmt: skip
    """Train the model of BOOK and write the answer into a copy of it.

    The Solver model stored in the sheet says what to minimise by changing which cells; the options
    override it. Ctrl-C stops and keeps the best weights so far.

    Example: xl2torch train titanic.xlsx --sheet nnet --watch AH1
    """
    from xl2torch.problem import find_problem
    from xl2torch.reports.save import check_output, default_output
    from xl2torch.workbook.package import lock_file
    from xl2torch.workbook.reader import load
    from xl2torch.workbook.selection import parse_cell

    if in_place and out is not None:
        raise click.UsageError("--in-place and --output exclude each other")
    workbook = load(book)
    lock = lock_file(book)
    if lock is not None and not ignore_lock:
        raise click.ClickException(
            f"{book.name} is open in another program ({lock.name}): save and close it there, "
            "or give --ignore-lock to read it as it was last saved"
        )
    problem = find_problem(workbook, sheet, objective, variables or None, sense)
    watched = [parse_cell(workbook, text, problem.sheet) for text in watch]
    target = book if in_place else out or default_output(book)
    check_output(book, target, force, in_place)

    from xl2torch.model import compile_problem
    from xl2torch.reports.save import save
    from xl2torch.training.fit import EPOCHS, fit

    with _status("compiling", quiet=as_json):
        model = compile_problem(workbook, problem)
    _warn_of_another_value(model)
    _use_one_thread_for_small(model)
    optimizer = optimizer or ("adam" if model.drawn else "lbfgs")
    with _progress(problem, epochs or EPOCHS[optimizer], quiet=as_json) as on_iteration:
        result = fit(
            model, optimizer, lr=lr, epochs=epochs, seed=seed, init=init, watch_cells=watched,
            on_iteration=on_iteration,
        )  # fmt: skip
    with _status("writing", quiet=as_json):
        saved = save(result, target, force=force, in_place=in_place)
    report = _train_report(workbook, result, saved)
    if as_json:
        _print_json(report)
    else:
        _print_training(report, saved)


def _warn_of_another_value(model: SheetModel) -> None:
    """Say so when the file's value of the objective is not what its formulas give."""
    cell = model.problem.objective
    stored = model.compiled.workbook.sheet(cell.sheet).cells.value(cell.row, cell.column)
    computed = float(model().detach())
    if isinstance(stored, float) and not math.isclose(
        stored, computed, rel_tol=_SAME, abs_tol=_SAME
    ):
        click.echo(
            f"warning: the file says {stored:.10g} for {cell}, its formulas give {computed:.10g}: "
            "the file was not recalculated before it was saved, or a formula is misread "
            "(xl2torch verify shows which cells differ)",
            err=True,
        )
    for sheet in model.compiled.workbook.sheets:
        if sheet.data_tables:
            areas = ", ".join(area.a1 for area in sheet.data_tables)
            click.echo(
                f"warning: the what-if data tables {areas} of sheet {sheet.name} are taken as "
                "values: they are new only when Excel recalculates the file",
                err=True,
            )


def _use_one_thread_for_small(model: SheetModel) -> None:
    """Small tensors are slower on several threads, far slower on a busy machine."""
    import torch

    values = [node.meta.get("value") for node in model.graph.nodes]
    sizes = [value.numel() for value in values if isinstance(value, torch.Tensor)]
    if max(sizes, default=0) <= _SMALL:
        torch.set_num_threads(1)


# ---------------------------------------------------------------- reports


def _train_report(workbook: Workbook, result: Result, saved: Any) -> dict[str, Any]:
    from xl2torch.address import single_cell
    from xl2torch.graph.naming import solver_name

    problem = result.model.problem
    rows = [
        {
            "cell": str(cell),
            "label": solver_name(workbook, single_cell(cell)),
            "before": _plain(before),
            "after": _plain(after),
        }
        for cell, before, after in saved.before_after
    ]
    return {
        "workbook": str(workbook.path),
        "sheet": problem.sheet,
        "objective": str(problem.objective),
        "sense": problem.sense,
        "start": result.start,
        "final": result.final,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 4),
        "message": result.message,
        "message_code": result.stop.code,
        "output": str(saved.path),
        "variables": [
            {
                "name": variable.name,
                "label": variable.label,
                "cells": str(variable.cells),
                "values": result.weights[variable.name].tolist(),
            }
            for variable in result.model.variables
        ],
        "drawn": [str(area) for area in result.model.drawn],
        "seed": result.settings.seed,
        "objective_cell": rows[0],
        "watched": rows[1:],
        "changed_cells": saved.changed_cells,
        "changed_parts": list(saved.changed_parts),
        "added_parts": list(saved.added_parts),
        "stale": [{"cell": str(cell), "reason": why} for cell, why in saved.stale.items()],
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, float | bool | str) or value is None else str(value)


def _print_training(report: dict[str, Any], saved: Any) -> None:
    rows = [report["objective_cell"], *report["watched"]]
    table = [["", "before", "after"]]
    for row in rows:
        name = f"{row['cell']} {row['label']}".strip()
        table.append([name, _number(row["before"]), _number(row["after"])])
    _print_table(table)
    click.echo()
    click.echo(f"{report['message']}")
    click.echo(f"{report['epochs']} iterations in {report['seconds']:.2f} s")
    count = sum(math.prod(_shape(item["values"])) for item in report["variables"])
    cells = ", ".join(item["cells"] for item in report["variables"])
    click.echo(f"{count} variable cells: {cells}")
    if report["drawn"]:
        areas = ", ".join(report["drawn"])
        click.echo(f"drawn anew at each step: {areas} (--seed {report['seed']} repeats it)")
    click.echo(f"wrote {report['output']}: {report['changed_cells']} cells changed")
    if saved.stale:
        shown = ", ".join(str(cell) for cell in list(saved.stale)[:5])
        click.echo(
            f"warning: {len(saved.stale)} cells that depend on the weights could not be "
            f"recomputed and are left empty until Excel opens the file: {shown}"
            f"{', …' if len(saved.stale) > 5 else ''}",
            err=True,
        )


def _shape(values: Any) -> list[int]:
    return [len(values), *_shape(values[0])] if isinstance(values, list) else []


def _number(value: Any) -> str:
    if value is None:
        return "(blank)"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _print_verification(report: dict[str, Any]) -> None:
    head = ["sheet", "formulas", "matched", "mismatched", "volatile", "uncached", "unsupported"]
    table = [head]
    for name, counts in [*report["sheets"].items(), ("total", report["total"])]:
        keys = ("cells", "matched", "mismatched", "volatile", "uncached", "unsupported")
        table.append([name, *(f"{counts[key]:,}" for key in keys)])
    _print_table(table)
    total = report["total"]
    for case in total["cases"]:
        place = f"{case['sheet']}!{case['cell']}"
        if case["kind"] == "mismatch":
            click.echo(
                f"{place}: {case['formula']}\n"
                f"  computed {case['computed']}, stored {case['cached']}"
            )
        else:
            click.echo(f"{place}: {case['formula']}\n  {case['kind']}")
    hidden = total["mismatched"] + total["unsupported"] - len(total["cases"])
    if total["cases"] and hidden > 0:
        click.echo(f"… and {hidden:,} more (--sheet narrows the list down)")
    click.echo(f"{total['compared']:,} formula cells compared in {total['seconds']:.2f} s")
    if total["uncached"]:
        click.echo(
            f"{total['uncached']:,} formula cells hold no stored value to compare with: open the "
            "workbook in Excel or LibreOffice and save it there first"
        )


def _print_inspection(report: dict[str, Any]) -> None:
    from xl2torch.inspection import ODD_CELLS_LISTED

    click.echo(report["workbook"])
    table = [["sheet", "used", "formulas", "regions", "functions"]]
    for sheet in report["sheets"]:
        functions = ", ".join(sheet["functions"]) or "-"
        used = f"{sheet['rows']}×{sheet['columns']}"
        table.append(
            [sheet["name"], used, str(sheet["formulas"]), str(sheet["regions"]), functions]
        )
    _print_table(table)
    for sheet in report["sheets"]:
        for item in sheet["unsupported"]:
            click.echo(
                f"unsupported {sheet['name']}!{item['cells']}: {item['formula']} ({item['reason']})"
            )
        if len(sheet["odd_cells"]) >= ODD_CELLS_LISTED:
            click.echo(f"the first {ODD_CELLS_LISTED} odd cells of sheet {sheet['name']}:")
        for item in sheet["odd_cells"]:
            click.echo(f"odd cell {sheet['name']}!{item['cell']} {item['note']}")
        if sheet["data_tables"]:
            click.echo(f"what-if data tables {sheet['name']}: {', '.join(sheet['data_tables'])} "
                       "(taken as values)")  # fmt: skip
        if sheet["volatile"]:
            shown = ", ".join(sheet["volatile"][:8]) + (", …" if len(sheet["volatile"]) > 8 else "")
            click.echo(f"volatile {sheet['name']}: {shown} (cached values are kept)")
    if not report["models"]:
        click.echo("no Solver model is stored: give --objective and --variables to train")
    for model in report["models"]:
        _print_model(model)


def _print_model(model: dict[str, Any]) -> None:
    click.echo()
    click.echo(f"Model of sheet {model['sheet']}: {model['sense']} {model['objective']}")
    click.echo(f"  by changing {model['variables']}")
    for constraint in model["constraints"]:
        click.echo(f"  subject to {constraint}")
    if model["non_negative"]:
        click.echo("  unconstrained variables are non-negative")
    if model["error"]:
        click.echo("  " + model["error"].replace("\n", "\n  "))
        return
    click.echo(f"  objective now {model['value']:.15g}; {model['nodes']} torch.fx nodes")
    table = [["parameter", "cells", "shape", "label"]]
    for item in model["parameters"]:
        table.append([item["name"], item["cells"], _shape_text(item["shape"]), item["label"]])
    _print_table(table, indent=2)
    table = [["constant", "cells", "shape"]]
    for item in model["constants"]:
        table.append([item["name"], item["cells"] or "-", _shape_text(item["shape"])])
    _print_table(table, indent=2)
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
    _print_table(table, indent=2)
    for note in model["notes"]:
        click.echo(f"  note {note}")


def _shape_text(shape: list[int]) -> str:
    return "×".join(map(str, shape)) if shape else "scalar"


def _print_table(rows: list[list[str]], indent: int = 0) -> None:
    """Columns aligned; numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if _numeric(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        click.echo((" " * indent + "  ".join(cells)).rstrip())


def _numeric(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("-", "").isdigit()


def _print_json(report: dict[str, Any]) -> None:
    click.echo(json.dumps(_finite(report), indent=2, ensure_ascii=False))


def _finite(item: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(item, dict):
        return {key: _finite(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_finite(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


# ---------------------------------------------------------------- progress


class _progress:
    """A progress bar with the objective, on standard error; nothing in a pipe."""

    def __init__(self, problem: Problem, total: int, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self.shown = console.is_terminal and not quiet
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}  objective {task.fields[objective]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self.shown,
        )
        self.task = self.bar.add_task("training", total=total, objective="")

    def __enter__(self) -> Callable[[Iteration], None]:
        self.bar.start()

        def update(row: Iteration) -> None:
            if self.shown:
                self.bar.update(
                    self.task, completed=row.iteration, objective=f"{row.objective:.8g}"
                )

        return update

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


class _status:
    """A word on what is going on, on standard error; nothing in a pipe."""

    def __init__(self, text: str, quiet: bool) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self.status = console.status(text) if console.is_terminal and not quiet else None

    def __enter__(self) -> None:
        if self.status:
            self.status.start()

    def __exit__(self, *_: object) -> None:
        if self.status:
            self.status.stop()
