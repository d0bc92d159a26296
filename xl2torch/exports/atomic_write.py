"""Whether a file may be written, and the way to write it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from xl2torch.safety.output_file import complete_file
from xl2torch.workbook.write.preflight import check_place


@contextlib.contextmanager
def atomic_write(
    target: Path, force: bool = False, inputs: Collection[Path] = ()
) -> Iterator[Path]:
    """A path to write to; it takes the name of the target when nothing went wrong.

    No file among the ``inputs`` is replaced. Raises OutputError.
    """
    check_place(target, force, inputs)
    with complete_file(target) as partial:
        yield partial
