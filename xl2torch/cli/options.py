"""Arguments and options that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from xl2torch.cli.printing import STDOUT, result_on_stdout
from xl2torch.training.options import OPTIONS, FitOptions, Option, flag_of

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


def fit_option_flags(*parts: str) -> Callable[..., Any]:
    """The options of a training, as ``FitOptions`` has them; ``parts`` are what they are about."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, option in reversed(list(OPTIONS.items())):
            if option.part in parts:
                command = _flag(name, option)(command)
        return command

    return add


def _flag(name: str, option: Option) -> Callable[..., Any]:
    """The flag of an option of a training."""
    flag = flag_of(name)
    default: Any = getattr(FitOptions(), name)
    more: dict[str, Any] = {"default": default, "help": option.help}
    if option.kind is bool:
        if default:
            return click.option(f"{flag}/--no-{flag[2:]}", name, **more)
        return click.option(flag, name, is_flag=True, **more)
    if option.repeats:
        more["default"] = ()
    if option.metavar:
        more["metavar"] = option.metavar
    if name == "init":  # of a workbook that was just read
        more["default"] = "file"
        option = replace(option, choices=option.choices[1:])
    shown = bool(more["default"]) and not option.repeats
    return click.option(
        flag, name, type=_type(option), multiple=option.repeats, show_default=shown, **more
    )


def _type(option: Option) -> Any:
    """The type of an option for click."""
    if option.choices:
        return click.Choice(option.choices)
    if option.kind is not int:
        return option.kind
    most = None if option.most is None or option.most < 2**62 else 2**63 - 1
    return click.IntRange(int(option.least or 0), most)
