"""xl2torch gradcheck."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from xl2torch.cli.options import BOOK, common, model_options, protection_option
from xl2torch.cli.printing import number_text, print_json, print_table, say
from xl2torch.cli.progress import counter, status

if TYPE_CHECKING:
    from xl2torch.gradients.check import GradientCheck
    from xl2torch.gradients.difference import Method
    from xl2torch.model.problem import Problem
    from xl2torch.teach.derivatives.sheet_derivatives import WrittenCheck
    from xl2torch.workbook.read.reader import Workbook

_SHOWN = 20
_PLACES = 6
_NAME = 40
_WORST = 5
_MANY = 20_000


@click.command()
@common
@model_options
@click.option(
    "--method", type=click.Choice(["central", "forward"]),
    help="Numeric derivative  [default: central].",
)  # fmt: skip
@click.option("--step", type=float, help="Its step, the same for all cells [default: per cell].")
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Check N variable cells drawn at random."
)
@click.option("--seed", type=int, help="Seed of --sample  [default: 0].")
@click.option(
    "--of", "of", metavar="RANGE",
    help="Check derivatives in the sheet: of these cells, or of a formula such as =(E4-B4)^2,",
)  # fmt: skip
@click.option("--wrt", metavar="RANGE", multiple=True, help="with respect to these,")
@click.option("--against", metavar="RANGE", multiple=True, help="as the author wrote them here.")
@click.option("-o", "--output", "out", type=BOOK, help="Copy of BOOK with a Gradient Check sheet.")
@protection_option
@click.option("--force", is_flag=True, help="Overwrite an existing result file.")
def gradcheck(
    book: Path, sheet: str | None, as_json: bool, objective: str | None,
    variables: tuple[str, ...], sense: str | None, method: Method | None, step: float | None,
    sample: int | None, seed: int | None, of: str | None, wrt: tuple[str, ...],
    against: tuple[str, ...], out: Path | None, force: bool, ignore_protection: bool,
) -> None:  # fmt: skip
    """Compare the exact gradient of BOOK's model with a numeric one, cell by cell.

    Shows for each variable cell the derivative of the objective by autograd, by difference
    quotients, and whether they agree; where not, why. With --of, --wrt and --against it checks
    derivatives that the author of the sheet wrote, row by row. Exit status 1 when a cell disagrees.

    \b
    Example: xl2torch gradcheck titanic.xlsx --sheet nnet
             xl2torch gradcheck graddesc.xlsm --sheet "basic SGD" \\
                 --of F4:F32 --wrt C4:D32 --against K4:L32
    """
    from xl2torch.model.problem import find_problem
    from xl2torch.workbook.read.reader import load
    from xl2torch.workbook.write.preflight import check_output, check_protection

    if any((of, wrt, against)) and not all((of, wrt, against)):
        raise click.UsageError("--of, --wrt and --against belong together")
    others = (objective, variables, sense, sample, method, seed)
    if of and any(other not in (None, ()) for other in others):
        raise click.UsageError(
            "--of takes the place of --objective, --variables, --sense, --method and --sample"
        )
    workbook = load(book)
    if out is not None:
        check_output(book, out, force, advice="give another -o")
        check_protection(workbook, ignore=ignore_protection)
    check: GradientCheck | WrittenCheck
    if of:
        check = _check_columns(workbook, sheet, of, wrt, against, step, as_json)
    else:
        problem = find_problem(workbook, sheet, objective, variables or None, sense)
        sampled = (sample, seed or 0)
        check = _check_variables(workbook, problem, method or "central", step, sampled, as_json)
    report = check.report
    if out is not None:
        report |= _written_to(check, out, force, ignore_protection, as_json)
    if as_json:
        print_json(report)
    elif of:
        _print_columns(report)
    else:
        _print_variables(report)
    if not check.ok:
        sys.exit(1)


def _check_columns(
    workbook: Workbook, sheet: str | None, of: str, wrt: tuple[str, ...],
    against: tuple[str, ...], step: float | None, quiet: bool,
) -> WrittenCheck:  # fmt: skip
    from xl2torch.teach.derivatives.sheet_derivatives import check_written

    with status("comparing", quiet):
        return check_written(workbook, of, ",".join(wrt), ",".join(against), sheet=sheet, step=step)


def _check_variables(
    workbook: Workbook, problem: Problem, method: Method, step: float | None,
    sample: tuple[int | None, int], quiet: bool,
) -> GradientCheck:  # fmt: skip
    from xl2torch.cli.threads import use_one_thread_for_small
    from xl2torch.gradients.check import check
    from xl2torch.model.sheet_model import compile_problem

    with status("compiling", quiet):
        model = compile_problem(workbook, problem)
    use_one_thread_for_small(model)
    cells = list(model.cell_values())
    count, seed = sample
    if count is not None and count < len(cells):
        cells = random.Random(seed).sample(cells, count)
    elif len(cells) > _MANY:
        say(f"{len(cells):,} cells take a while: --sample 1000 checks some of them", err=True)
    with counter("comparing", len(cells), quiet) as done:
        return check(model, method=method, step=step, cells=cells, done=done)


def _written_to(
    check: GradientCheck | WrittenCheck, out: Path, force: bool, ignore: bool, quiet: bool
) -> dict[str, Any]:
    from xl2torch.reports.gradient_sheet import save_gradient_check

    with status("writing", quiet):
        saved = save_gradient_check(check, out, force=force, ignore_protection=ignore)
    return {"output": str(saved.path), "output_sheet": saved.sheet, "not_live": saved.not_live}


# ---------------------------------------------------------------- printing


def _print_variables(report: dict[str, Any]) -> None:
    head = f"objective {report['objective']} {report['label']}".rstrip()
    say(f"{head} = {number_text(report['value'])}")
    say(f"{report['method']} differences, step {report['step']:.3g}: {report['step_rule']}")
    rows = report["variables"]
    table = [["cell", "name", "analytic", "numeric", "difference", "relative", ""]]
    for row in rows[:_SHOWN]:
        table.append([row["cell"], shorten(row["label"], _NAME, placeholder="…"), *_numbers(row)])
    print_table(table)
    _print_rest(rows)
    _print_reasons([row for row in rows if row["reason"]][:_SHOWN])
    fine = sum(row["ok"] for row in rows)
    say(
        f"{fine} of {len(rows)} cells agree; largest relative difference "
        f"{report['max_rel_diff']:.2g}"
    )
    cost = report["solver"]
    times = [f"{cost[f'{kind}_seconds'] * 1e3:.3g} ms" for kind in ("forward", "central")]
    say(
        f"Solver needs {cost['forward']:,} recalculations for one gradient by forward differences, "
        f"{cost['central']:,} by central ones ({times[0]} and {times[1]} at our speed); here it "
        f"is one backward pass, {cost['backward_seconds'] * 1e3:.3g} ms with the forward one"
    )
    _print_output(report)


def _numbers(row: dict[str, Any]) -> list[str]:
    return [
        number_text(row["analytic"]), number_text(row["numeric"]), f"{row['abs_diff']:.2e}",
        f"{row['rel_diff']:.1e}", "ok" if row["ok"] else "DIFFERS",
    ]  # fmt: skip


def _print_rest(rows: list[dict[str, Any]]) -> None:
    if len(rows) > _SHOWN:
        wrong = sum(not row["ok"] for row in rows[_SHOWN:])
        more = f", {wrong:,} of them differ" if wrong else ""
        say(f"… and {len(rows) - _SHOWN:,} cells more{more} (--json shows all, -o writes them)")


def _print_reasons(rows: list[dict[str, Any]]) -> None:
    """Each reason once, with the cells that it holds for."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(row["reason"], []).append(row["cell"])
    for reason, places in cells.items():
        shown = ", ".join(places[:_PLACES]) + (", …" if len(places) > _PLACES else "")
        say(f"{shown}: {reason}")


def _print_columns(report: dict[str, Any]) -> None:
    table = [["cells", "name", "derivative of", "by", "agree", "relative", ""]]
    for line in report["columns"]:
        verdict = "ok" if line["ok"] else "DIFFERS"
        agree = f"{line['agreeing']} of {line['rows']}"
        table.append(
            [line["cells"], line["label"], line["of"], line["wrt"], agree,
             f"{line['max_rel_diff']:.1e}", verdict]
        )  # fmt: skip
    print_table(table)
    for line in report["columns"]:
        if line["reason"]:
            say(f"{line['cells']}: {line['reason']}")
    wrong = [row for row in report["variables"] if not row["ok"]]
    if wrong:
        say("the worst of them:")
        table = [["cell", "exact", "in the sheet", "difference", "relative", ""]]
        for row in wrong[:_WORST]:
            table.append([row["cell"], *_numbers(row)])
        print_table(table, indent=2)
    _print_output(report)


def _print_output(report: dict[str, Any]) -> None:
    if "output" not in report:
        return
    say(f"wrote {report['output']}: sheet {report['output_sheet']}")
    if report["not_live"]:
        say(f"its numeric derivatives are numbers, not formulas: {report['not_live']}")
