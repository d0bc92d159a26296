"""A file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from xl2torch.errors import OutputError
from xl2torch.reports.output import check_place


@contextlib.contextmanager
def complete(target: Path, force: bool = False) -> Iterator[Path]:
    """A path to write to; it takes the name of the target when nothing went wrong.

    Raises OutputError.
    """
    check_place(target, force)
    partial = target.with_name(f".{target.stem}-{os.getpid()}{target.suffix}")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
