"""The command group: library errors become messages, with the exit status that fits."""

from __future__ import annotations

import atexit
import signal
import sys
from typing import Any

import click

from xl2torch import __version__
from xl2torch.cli.printing import as_flags, print_json
from xl2torch.errors import SelectionError, Xl2TorchError
from xl2torch.safety.limits import within_limits
from xl2torch.safety.plain_text import plain_lines


class WrongUsage(click.ClickException):
    """What was asked for is not in the workbook."""

    exit_code = 2


class _Group(click.Group):
    """Turns library errors into messages, with the exit status that fits."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with within_limits("this"):
                return super().invoke(ctx)
        except Xl2TorchError as error:
            kind = WrongUsage if isinstance(error, SelectionError) else click.ClickException
            if "--json" in sys.argv:
                print_json({"error": str(error), "kind": type(error).__name__})
            raise kind(as_flags(plain_lines(str(error)))) from None


def _leave_in_peace() -> None:
    """Let no signal print a traceback while Python takes itself down: the work is done then.

    What was registered last at exit comes first, before the finalizers of libraries.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        atexit.register(signal.signal, number, signal.SIG_IGN)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xl2torch")
def main() -> None:
    """Train the model that lives in an Excel workbook with PyTorch.

    xl2torch reads the formulas and the Solver model of a workbook, compiles them into a torch
    module, trains it in the Solver's role, and writes the answer back into a copy of the workbook.

    Example: xl2torch train survival.xlsx
    """
    click.get_current_context().call_on_close(_leave_in_peace)
    for stream in (sys.stdout, sys.stderr):
        # A Windows console in an old code page shows '?' instead of failing.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
