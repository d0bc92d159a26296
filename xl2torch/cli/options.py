"""Arguments and options that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xl2torch.cli.printing import STDOUT, result_on_stdout

BOOK = click.Path(path_type=Path, readable=False)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments that all commands share."""

    @click.argument("book", type=BOOK)
    @click.option("--sheet", metavar="S", help="Sheet to work on.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        if options.get("out") != STDOUT or options.get("to", "") in (None, "python"):
            return command(*arguments, **options)
        with result_on_stdout(f"result{_suffix(options)}") as path:
            return command(*arguments, **{**options, "out": path})

    return wrapped


def _suffix(options: dict[str, Any]) -> str:
    """What the name of a result ends in that goes to standard output."""
    if "to" in options:
        return f".{options['to']}"
    if "data" in options:
        return ".csv"
    return ".png" if "kind" in options else str(options["book"].suffix)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
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


def protection_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option to write where protection forbids it."""
    return click.option(
        "--ignore-protection", is_flag=True,
        help="Change locked cells, and add sheets to a protected workbook.",
    )(command)  # fmt: skip


def constraint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that take the place of the constraints of the stored Solver model."""
    for option in (
        click.option(
            "--non-negative/--any-sign", default=None,
            help="Keep variable cells without a lower bound at 0 or above, or not.",
        ),
        click.option(
            "--no-constraints", is_flag=True, help="Leave out the stored constraints.",
        ),
        click.option(
            "--constraint", "constraints", metavar="TEXT", multiple=True,
            help='Such as "B5:B9 <= 100", "B5:B9 int" or "B5:B9 bin"; repeatable. '
            "Takes the place of the stored ones.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how to train."""
    for option in reversed((
        click.option(
            "--optimizer", metavar="NAME",
            help="One of torch.optim (sgd, momentum, adam, adamw, rmsprop, adagrad, nadam, lbfgs, "
            "...), or least-squares, l-bfgs-b, slsqp, trust-constr, highs (scipy). [default: what "
            "fits the model; it is printed with the reason]",
        ),
        click.option(
            "--engine", type=click.Choice(["auto", "torch", "scipy"]), default="auto",
            show_default=True, help="Where the optimizer is chosen from.",
        ),
        click.option("--lr", type=float, help="Learning rate [default: 1 for lbfgs, else 0.01]."),
        click.option(
            "--set", "arguments", metavar="KEY=VALUE", multiple=True,
            help="An argument of the optimizer of torch, such as weight_decay=0.01; repeatable.",
        ),
        click.option(
            "--schedule", metavar="NAME", default="",
            help="A learning-rate schedule of torch with its arguments, such as "
            "cosine-annealing, one-cycle or step,step_size=100,gamma=0.5.",
        ),
        click.option("--clip-norm", type=float, help="Shorten longer gradients to this length."),
        click.option("--clip-value", type=float, help="Limit of each element of the gradient."),
        click.option(
            "--epochs", type=click.IntRange(0),
            help="Most iterations [default: the stored limit, else 2000 for lbfgs and scipy, 1000 "
            "for others].",
        ),
        click.option(
            "--max-time", type=float, metavar="SECONDS",
            help="Stop after this time [default: the stored limit].",
        ),
        click.option(
            "--convergence", type=float, metavar="X",
            help="Solver's rule: stop when the objective changed by less, relative to itself, in "
            "each of five iterations [default: 1e-12].",
        ),
        click.option(
            "--tolerance", type=float, metavar="X",
            help="Stop a search for whole numbers within this share of the best possible "
            "objective, 0 at the best itself [default: as stored, else 0, or 0.01 after 30 s].",
        ),
        click.option(
            "--compile", is_flag=True,
            help="Use torch.compile where a compiler is present and a compiled step is faster.",
        ),
        click.option(
            "--device", default="cpu", show_default=True,
            help="Where objective and gradient are computed, such as cuda; weights and result "
            "stay in float64 on the CPU.",
        ),
        click.option(
            "--dtype", type=click.Choice(["float64", "float32"]), default="float64",
            show_default=True, help="The precision they are computed in.",
        ),
        click.option(
            "--starts", type=click.IntRange(1), metavar="N",
            help="Train from N start points at once and keep the best [default: as stored].",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def batch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say which rows, and which variable cells, are trained on at a time."""
    for option in reversed((
        click.option(
            "--batch-size", type=click.IntRange(1), metavar="N",
            help="A step for each N rows of the sheet, drawn anew in each epoch; an iteration is "
            "then an epoch, and adam the default optimizer.",
        ),
        click.option(
            "--shuffle/--no-shuffle", default=True, help="Draw the order of the rows, or keep it.",
        ),
        click.option(
            "--validation", metavar="WHICH", default="",
            help="Hold rows back: a fraction (0.2), rows (A500:A715), or a column and its text "
            "(Split=valid). The answer is the point that is best on these.",
        ),
        click.option(
            "--metric", metavar="NAME", default="",
            help="Follow accuracy, error_rate or a cell on the rows trained on and held back.",
        ),
        click.option(
            "--patience", type=click.IntRange(1), metavar="N",
            help="Stop, or go to the next stage, after N iterations (epochs) without a better "
            "point.",
        ),
        click.option(
            "--freeze", metavar="RANGE", multiple=True,
            help="Variable cells that keep their values; repeatable.",
        ),
        click.option(
            "--stage", "stages", metavar="RANGE=EPOCHS", multiple=True,
            help="Train these cells only, for so many epochs, then the next stage: "
            '"B24:C26=1" and then "all=2"; repeatable.',
        ),
        click.option(
            "--dropout-off", is_flag=True,
            help="Judge the weights without the dropout of random cells, as torch does.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def start_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where training starts."""
    for option in reversed((
        click.option(
            "--init", type=click.Choice(["file", "normal", "uniform", "zeros"]), default="file",
            show_default=True, help="Start values of the variable cells.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1),
            help="Seed of drawn start values, of random cells and of the order of rows.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command
