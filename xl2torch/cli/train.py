"""xl2torch train."""

from __future__ import annotations

import contextlib
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xl2torch.cli.options import (
    BOOK,
    common,
    constraint_options,
    fit_option_flags,
    model_options,
    protection_option,
)
from xl2torch.cli.printing import number_text, print_json, print_stale, print_table, say
from xl2torch.cli.progress import progress, status
from xl2torch.cli.remembered import given_options, with_remembered
from xl2torch.cli.threads import use_one_thread_for_small

if TYPE_CHECKING:
    from xl2torch.model.problem import Problem
    from xl2torch.model.sheet_model import SheetModel
    from xl2torch.training.result import Result
    from xl2torch.workbook.read.reader import Workbook

_SAME = 1e-6
_MOST_LINES = 20


@click.command()
@common
@click.option("-o", "--output", "out", type=BOOK, help="Result file [default: BOOK-trained].")
@model_options
@constraint_options
@fit_option_flags("engine", "rows", "start")
@click.option("--watch", metavar="CELL", multiple=True, help="Show this cell too; repeatable.")
@click.option(
    "--report", "report_list", metavar="LIST", default="training,answer", show_default=True,
    help="Sheets to add: training, answer, sensitivity, limits, statistics, gradients, "
    "several by comma; all or none.",
)  # fmt: skip
@click.option(
    "--history-every", type=click.IntRange(1), default=1, metavar="N",
    help="Write every N-th iteration only.",
)  # fmt: skip
@click.option(
    "--store-model/--no-store-model", default=None,
    help="Store the model for Excel's Solver, so that its dialog, predict and export know it, or "
    "not [default: where its sheet has no such model].",
)  # fmt: skip
@click.option(
    "--recalculate", type=click.Choice(["reached", "all"]),
    help="Give new values to the cells that depend on the variable cells, or to all [default: all "
    "where the file holds no values].",
)  # fmt: skip
@click.option("--forget", is_flag=True, help="Leave out the options that BOOK was trained with.")
@click.option("--in-place", is_flag=True, help="Write the result into BOOK itself.")
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
@protection_option
@click.option("--ignore-lock", is_flag=True, help="Read BOOK though another program has it open.")
def train(
    book: Path, sheet: str | None, as_json: bool, out: Path | None, objective: str | None,
    variables: tuple[str, ...], sense: str | None, constraints: tuple[str, ...],
    no_constraints: bool, non_negative: bool | None, arguments: tuple[str, ...],
    watch: tuple[str, ...],
    report_list: str, history_every: int, store_model: bool | None, recalculate: str | None,
    forget: bool, in_place: bool, force: bool, ignore_lock: bool, ignore_protection: bool,
    **training: Any,
) -> None:  # fmt: skip
    """Train the model of BOOK and write the answer into a copy of it.

    The Solver model stored in the sheet says what to minimise by changing which cells; the options
    override it. Ctrl-C stops and keeps the best weights so far. The exit status is 1 where no
    answer was found: no feasible point, an objective without limit, an error value.

    Example: xl2torch train titanic.xlsx --sheet nnet --watch AH1
    """
    from xl2torch.errors import SelectionError
    from xl2torch.model.problem import find_problem
    from xl2torch.reports.kinds import chosen_reports
    from xl2torch.reports.store_model import MOST_VARIABLES, solver_model_names
    from xl2torch.workbook.package import lock_file
    from xl2torch.workbook.read.reader import load
    from xl2torch.workbook.read.selection import parse_cell
    from xl2torch.workbook.write.preflight import check_output, check_protection, default_output

    if in_place and out is not None:
        raise click.UsageError("--in-place and --output exclude each other")
    workbook = load(book)
    context = click.get_current_context()
    remembered = given_options(context)
    if not forget and workbook.remembered:
        kept, before = with_remembered(context, workbook.remembered)
        arguments = kept.pop("arguments", arguments)
        training |= kept
        remembered = {**workbook.remembered, **remembered}
        if before:
            say(f"as it was trained before: {before} (--forget leaves them out)", err=True)
    lock = lock_file(book)
    if lock is not None and not ignore_lock:
        raise click.ClickException(
            f"{book.name} is open in another program ({lock.name}): save and close it there, "
            "or give --ignore-lock to read it as it was last saved"
        )
    # All that can be refused is refused before torch is loaded: a mistake costs a second, no more.
    kinds = chosen_reports(report_list)
    problem = find_problem(
        workbook, sheet, objective, variables or None, sense,
        constraints if constraints or no_constraints else None, non_negative,
    )  # fmt: skip
    watched = [parse_cell(workbook, text, problem.sheet) for text in watch]
    target = book if in_place else out or default_output(book)
    check_output(book, target, force, in_place)
    check_protection(workbook, problem.variables, ignore_protection, bool(kinds))
    if store_model:
        try:
            solver_model_names(workbook, problem)
        except SelectionError as error:
            raise SelectionError(f"{error}: leave out --store-model") from None
        count = sum(area.size for area in problem.variables)
        if count > MOST_VARIABLES:
            say(
                f"warning: Excel's Solver takes at most {MOST_VARIABLES} variable cells, these "
                f"are {count:,}: its dialog will show the model, and refuse to solve it",
                err=True,
            )

    from xl2torch.model.sheet_model import compile_problem
    from xl2torch.reports.save import check_reports, save
    from xl2torch.training.arguments import parsed
    from xl2torch.training.fit import fit
    from xl2torch.training.options import fit_options
    from xl2torch.training.stored_options import expected_iterations

    stop_as_by_ctrl_c()
    with status("compiling", quiet=as_json):
        model = compile_problem(workbook, problem)
    if report_list != "all":
        check_reports(model, kinds)
    _warn_of_another_value(model)
    _warn_of_formulas(workbook, problem)
    use_one_thread_for_small(model)
    options = fit_options(None, {**training, "arguments": parsed(arguments, "--set")})
    with progress(problem, expected_iterations(model, options), as_json) as shown:
        result = fit(
            model, options=options, watch_cells=watched,
            on_iteration=shown.on_iteration, on_batch=shown.on_batch, on_bound=shown.on_bound,
        )  # fmt: skip
    with status("writing", quiet=as_json):
        saved = save(
            result, target, force=force, in_place=in_place, ignore_protection=ignore_protection,
            reports=report_list, history_every=history_every, store_model=store_model,
            remembered=remembered,
            everything=None if recalculate is None else recalculate == "all",
        )  # fmt: skip
    report = _train_report(workbook, result, saved)
    if as_json:
        print_json(report)
    else:
        _print_training(report, saved)
    if result.stop.failed:
        raise SystemExit(1)


def stop_as_by_ctrl_c() -> None:
    """Let SIGTERM end training as Ctrl-C does: the best weights so far are kept and written."""
    with contextlib.suppress(ValueError):  # signals are for the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _warn_of_formulas(workbook: Workbook, problem: Problem) -> None:
    """Say before the work that variable cells hold formulas: numbers will take their place."""
    from xl2torch.reports.outcome import formula_cells

    cells = [cell for area in problem.variables for cell in formula_cells(workbook, area)]
    if cells:
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        say(
            f"warning: the variable cell {cells[0]}{more} holds a formula: in the result a number "
            "takes its place (the Answer Report keeps it, xl2torch restore puts it back)",
            err=True,
        )


def _warn_of_another_value(model: SheetModel) -> None:
    """Say so when the file's value of the objective is not what its formulas give."""
    cell = model.problem.objective
    stored = model.compiled.workbook.sheet(cell.sheet).cells.value(cell.row, cell.column)
    computed = float(model().detach())
    if isinstance(stored, float) and not math.isclose(
        stored, computed, rel_tol=_SAME, abs_tol=_SAME
    ):
        say(
            f"warning: the file says {stored:.10g} for {cell}, its formulas give {computed:.10g}: "
            "the file was not recalculated before it was saved, or a formula is misread "
            "(xl2torch verify shows which cells differ)",
            err=True,
        )
    if model.compiled.workbook.as_displayed:
        say(
            "warning: the workbook computes with the precision as displayed (File, Options, "
            "Advanced); here values are not rounded to what cells show",
            err=True,
        )
    for sheet in model.compiled.workbook.sheets:
        if sheet.data_tables:
            areas = ", ".join(area.a1 for area in sheet.data_tables)
            say(
                f"warning: the what-if data tables {areas} of sheet {sheet.name} are taken as "
                "values: they are new only when Excel recalculates the file",
                err=True,
            )


def _train_report(workbook: Workbook, result: Result, saved: Any) -> dict[str, Any]:
    from xl2torch.cells.address import single_cell
    from xl2torch.ir.naming import solver_name
    from xl2torch.reports.outcome import formula_cells
    from xl2torch.training.stored_options import stored_convergence

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
        "objective": None if problem.is_system else str(problem.objective),
        "sense": problem.sense,
        "start": result.start,
        "final": result.final,
        "epochs": result.epochs,
        "unit": result.settings.unit,
        "batch_size": result.settings.batch_size,
        "seconds": round(result.seconds, 4),
        "engine": result.settings.solver,
        "optimizer": result.settings.optimizer,
        "stored_convergence": stored_convergence(result),
        "reason": result.settings.reason,
        "remarks": list(result.remarks),
        "best": _best(result),
        "starts": [vars(item) for item in result.ends],
        "subproblems": result.subproblems,
        "message": result.message,
        "message_code": result.stop.code,
        "output": str(saved.path),
        "improvement": _improvement(result, rows[0] if rows and not problem.is_system else None),
        "variables": [
            {
                "name": variable.name,
                "label": variable.label,
                "cells": str(variable.cells),
                "values": result.weights[variable.name].tolist(),
            }
            for variable in result.model.variables
        ],
        "variable_cells": _answer_lines(saved, "variables"),
        "constraints": _answer_lines(saved, "constraints"),
        "drawn": [str(area) for area in result.model.drawn],
        "seed": result.settings.seed,
        "objective_cell": None if problem.is_system else rows[0],
        "watched": rows if problem.is_system else rows[1:],
        "formulas": sum(len(formula_cells(workbook, area)) for area in problem.variables),
        "reports": dict(saved.reports),
        "skipped_reports": dict(saved.skipped),
        "changed_cells": saved.changed_cells,
        "changed_parts": list(saved.changed_parts),
        "added_parts": list(saved.added_parts),
        "stale": [{"cell": str(cell), "reason": why} for cell, why in saved.stale.items()],
    }


def _improvement(result: Result, row: dict[str, Any] | None) -> str:
    """What became of the objective, in one line."""
    problem = result.model.problem
    if row is None:
        return ""
    before, after = row["before"], row["after"]
    told = isinstance(before, float) and math.isclose(before, result.start, rel_tol=_SAME)
    if not told and result.settings.init == "file":
        before = result.start  # a file that was not recalculated
    name = f"{row['label'].rstrip(' :')} {row['cell']}".strip()
    text = f"{name}: {number_text(before)} -> {number_text(after)}"
    if not isinstance(before, float) or not isinstance(after, float):
        return text
    if problem.sense == "value":
        return f"{text}, to be {problem.target:g}"
    if before == after:
        return f"{text}, as before"
    if not before:
        return text
    share = abs(after - before) / abs(before)
    change = "larger" if after > before else "smaller"
    return f"{text}, {share:.3g} times {change}" if share >= 10 else f"{text}, {share:.2%} {change}"


def _answer_lines(saved: Any, kind: str) -> list[dict[str, Any]]:
    """Variable cells, or constraints, of the answer, as plain data."""
    if saved.answer is None:
        return []
    if kind == "variables":
        return [
            {"cell": str(line.cell), "label": line.name, "before": _plain(line.original),
             "after": _plain(line.final)}
            for line in saved.answer.variables
        ]  # fmt: skip
    return [
        {"cell": str(line.cell), "label": line.name, "value": _plain(line.value),
         "formula": line.formula, "status": line.status, "slack": line.slack}
        for line in saved.answer.constraints
    ]  # fmt: skip


def _best(result: Result) -> dict[str, Any]:
    """The iteration that is the answer, with what it says of rows held back, if any."""
    row = result.iterations[result.best]
    found: dict[str, Any] = {"iteration": row.iteration}
    if result.validated:
        found |= {"training": row.objective, "validation": row.validation, "gap": row.gap}
    return found | dict(zip(result.metrics, row.metric, strict=False))


def _stored_rule(report: dict[str, Any]) -> str:
    """Say that the stored model stops by another rule."""
    rule = report["stored_convergence"]
    if rule is None:
        return ""
    return (
        "; exact derivatives and a tighter stop rule than Solver's (which --convergence "
        f"{rule} applies)"
    )


def _plain(value: Any) -> Any:
    return value if isinstance(value, float | bool | str) or value is None else str(value)


def _print_training(report: dict[str, Any], saved: Any) -> None:
    if report["improvement"]:
        say(report["improvement"])
    say(report["message"])
    say()
    _print_lines(
        ["variable cell", "before", "after"],
        [[_named(row), number_text(row["before"]), number_text(row["after"])]
         for row in report["variable_cells"]],
    )  # fmt: skip
    _print_lines(
        ["constraint", "value", "slack", "status"],
        [[f"{row['formula']} {row['label']}".strip(), number_text(row["value"]),
          number_text(row["slack"]), row["status"]]
         for row in sorted(report["constraints"], key=lambda row: row["status"] != "Violated")],
    )  # fmt: skip
    _print_lines(
        ["watched", "before", "after"],
        [[_named(row), number_text(row["before"]), number_text(row["after"])]
         for row in report["watched"]],
    )  # fmt: skip
    unit = report["unit"]
    made = f"1 {unit}" if report["epochs"] == 1 else f"{report['epochs']} {unit}s"
    say(f"{made} in {report['seconds']:.2f} s: {report['engine']}")
    say(f"chosen: {report['reason']}{_stored_rule(report)}")
    for remark in report["remarks"]:
        say(f"note: {remark}")
    if report["drawn"]:
        say(f"drawn anew at each step: {', '.join(report['drawn'])}")
    if report["seed"] is not None:
        say(f"seed {report['seed']}: --seed {report['seed']} repeats the run")
    say(f"wrote {report['output']}: {report['changed_cells']} cells changed")
    if report["formulas"]:
        kept = saved.reports.get("answer")
        where = (
            f"{kept} keeps them, xl2torch restore puts them back"
            if kept
            else "they are gone from the result: leave --report at answer to keep them"
        )
        say(f"{report['formulas']} of the variable cells held formulas: {where}")
    if saved.reports:
        say(f"added {', '.join(saved.reports.values())}")
    for kind, why in saved.skipped.items():
        say(f"no {kind} report: {why}", err=True)
    print_stale(saved.stale)


def _named(row: dict[str, Any]) -> str:
    return f"{row['cell']} {row['label']}".strip()


def _print_lines(heads: list[str], rows: list[list[str]]) -> None:
    """A table of the first lines; the rest is counted."""
    if not rows:
        return
    print_table([heads, *rows[:_MOST_LINES]])
    if len(rows) > _MOST_LINES:
        say(f"and {len(rows) - _MOST_LINES:,} more (--json lists all)")
    say()
