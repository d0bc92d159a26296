"""xl2torch setup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xl2torch.cli.options import BOOK, common, constraint_options, model_options
from xl2torch.cli.printing import on_stdout, print_json, print_table, say
from xl2torch.safety.plain_text import argument


@click.command()
@common
@model_options
@constraint_options
@click.option("-o", "--output", "out", type=BOOK, help="Result file [default: BOOK-model].")
@click.option("--yes", is_flag=True, help="Take what is likeliest, and ask nothing.")
@click.option("--in-place", is_flag=True, help="Store the model in BOOK itself.")
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
def setup(
    book: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None, constraints: tuple[str, ...],
    no_constraints: bool, non_negative: bool | None, out: Path | None, yes: bool, in_place: bool,
    force: bool,
) -> None:  # fmt: skip
    """Find out what BOOK could train, and store it as its Solver model.

    It looks for a loss or a profit, for the numbers that it depends on, and for limits beside signs
    (used <= available), shows what it found and asks. What is given by options is not asked for.

    Example: xl2torch setup mysheet.xlsx
    """
    from xl2torch.analysis.linearity import nonlinear_node
    from xl2torch.errors import ModelError, SelectionError
    from xl2torch.model.candidates import find_goal, find_goals, goal_lines
    from xl2torch.model.sheet_model import compile
    from xl2torch.reports.store_model import keep_model
    from xl2torch.workbook.package import Changes
    from xl2torch.workbook.read.reader import load
    from xl2torch.workbook.read.selection import parse_cell
    from xl2torch.workbook.write.preflight import check_output

    if in_place and out is not None:
        raise click.UsageError("--in-place and --output exclude each other")
    target = book if in_place else out or book.with_name(f"{book.stem}-model{book.suffix}")
    check_output(book, target, force, in_place)
    workbook = load(book)
    ask = not (yes or as_json)
    goals = find_goals(workbook, workbook.sheet(sheet).name if sheet else None)
    if not goals and not (objective and variables):
        raise SelectionError(
            f"{book.name}: no formula of one cell reads numbers that could be changed. Give "
            "--objective CELL and --variables RANGE, or put the loss into a cell"
        )
    chosen = goals[0] if goals else None
    if objective is None and chosen is not None:
        if ask:
            lines = [[str(place), *line] for place, line in enumerate(goal_lines(goals), 1)]
            print_table([["", "what it could do", "value now", "by changing"], *lines])
            number = click.prompt("Which one", type=click.IntRange(1, len(goals)), default=1)
            chosen = goals[number - 1]
        objective = str(chosen.objective)
    elif objective is not None:
        sheet_name = workbook.sheet(sheet).name if sheet else workbook.sheets[0].name
        cell = parse_cell(workbook, objective, sheet_name)
        known = (goal for goal in goals if goal.objective == cell)
        chosen = next(known, None) or find_goal(workbook, cell)
    given = sense, variables, constraints
    while True:
        sense, variables, constraints = given
        if chosen is not None:
            if sense is None:
                sense = _asked("min, max or value=NUMBER", chosen.sense, ask)
            if not variables:
                areas = ",".join(str(area) for area in chosen.variables)
                variables = (_asked("By changing the cells", areas, ask),)
            if not constraints and not no_constraints:
                texts = "; ".join(chosen.constraints) or "none"
                texts = _asked("Subject to (separated by ;)", texts, ask)
                constraints = tuple(
                    text.strip() for text in texts.split(";") if text.strip() not in ("", "none")
                )
        try:
            model = compile(
                workbook, sheet, objective, variables or None, sense=sense,
                constraints=constraints, non_negative=non_negative,
            )  # fmt: skip
            break
        except (ModelError, SelectionError) as error:
            if not ask or chosen is None or all(given):
                raise
            say(f"Error: {error}\nOnce more, please.", err=True)
    if non_negative is None and not model.problem.stored and nonlinear_node(model) is None:
        # Solver's own default: what is made, bought or sent is no negative number.
        model = compile(
            workbook, sheet, objective, variables or None, sense=sense, constraints=constraints,
            non_negative=True,
        )  # fmt: skip
    changes = Changes(workbook.package)
    why = keep_model(workbook, model.problem, changes, {}, forced=False)
    changes.save(target)
    _print(book, target, model, why, as_json)


def _asked(question: str, default: str, ask: bool) -> str:
    """An answer, or what is likeliest."""
    return str(click.prompt(question, default=default)) if ask else default


def _print(book: Path, target: Path, model: Any, why: str, as_json: bool) -> None:
    from xl2torch.cells.address import single_cell
    from xl2torch.model.problem import on_sheet

    problem = model.problem
    sheet = problem.sheet
    options = [] if sheet == model.compiled.workbook.sheets[0].name else ["--sheet", sheet]
    if not problem.is_system:
        options += ["--objective", on_sheet(single_cell(problem.objective), sheet)]
    options += ["--variables", ",".join(on_sheet(area, sheet) for area in problem.variables)]
    goal = f"value={problem.target:g}" if problem.sense == "value" else problem.sense
    options += [] if goal in ("min", "feasible") else ["--sense", goal]
    for item in problem.constraints:
        options += ["--constraint", item.as_option(sheet)]
    options += ["--non-negative"] if problem.non_negative else []
    command = " ".join(map(argument, ["xl2torch", "train", str(book), *options]))
    value = float(model().detach())
    if as_json:
        print_json({
            "workbook": str(book), "output": str(target), "objective": str(problem.objective),
            "sense": goal, "variables": [str(area) for area in problem.variables], "value": value,
            "constraints": [item.as_option() for item in problem.constraints], "command": command,
        })  # fmt: skip
        return
    say(f"{problem.goal}, now {value:.10g}")
    if problem.non_negative:
        say("variable cells are kept at 0 or above: --any-sign lets them be negative")
    if why:
        say(f"wrote {target}: it holds the model, but not for Excel's Solver: {why}")
    else:
        say(f"wrote {target}: it holds the model, for Excel's Solver too")
    if not on_stdout():
        say(f"train it: xl2torch train {argument(str(target))}")
    say(f"the same by options: {command}")
    if _is_endless(model):
        say("note: nothing limits it: give --constraint, or put limits into the sheet, each behind "
            "a sign (used <= available), and run this again")  # fmt: skip


def _is_endless(model: Any) -> bool:
    """Whether a linear objective is maximised that no constraint holds."""
    from xl2torch.analysis.linearity import nonlinear_node

    problem = model.problem
    held = [item for item in problem.constraints if item.relation not in (">=", "int")]
    held += problem.general_constraints
    return problem.sense == "max" and not held and nonlinear_node(model) is None
