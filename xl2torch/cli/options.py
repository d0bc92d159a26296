"""Arguments and options that commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

BOOK = click.Path(path_type=Path, readable=False)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments that all commands share."""

    @click.argument("book", type=BOOK)
    @click.option("--sheet", metavar="S", help="Sheet to work on.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        return command(*arguments, **options)

    return wrapped


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
            "--constraint", "constraints", metavar="TEXT", multiple=True,
            help='Such as "B5:B9 <= 100"; repeatable. Takes the place of the stored ones.',
        ),
    ):  # fmt: skip
        command = option(command)
    return command
