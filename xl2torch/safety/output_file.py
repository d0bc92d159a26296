"""A file appears under its name only when it is complete, and takes the place of no other kind.

It is written beside its place, under a name that nobody can know before (so that no link laid there
is followed), and moved. What a killed run left behind, the next one in the folder takes away.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from xl2torch.errors import OutputError

_HOST = f"{zlib.crc32(platform.node().encode('utf-8', 'replace')):08x}"
_PREFIX = f".xl2torch-{_HOST}-"
_LEFT = re.compile(rf"{re.escape(_PREFIX)}(\d{{1,9}})-")
_LONGEST_SUFFIX = 20


@contextlib.contextmanager
def complete_file(target: Path) -> Iterator[Path]:
    """A path to write to; the file takes the name of the target when nothing went wrong.

    Raises OutputError.
    """
    temporary = _begin(target)
    try:
        yield temporary
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, PermissionError):
            raise OutputError(
                f"{target} cannot be written: it is open in another program or write-protected"
            ) from None
        if isinstance(error, OSError):
            raise OutputError(f"{target} cannot be written: {error.strerror or error}") from None
        raise


def can_write_into(folder: Path) -> bool:
    """Whether a file can be made in a folder."""
    try:
        _made(folder).unlink()
    except OSError:
        return False
    return True


def is_special(target: Path) -> bool:
    """Whether a pipe, a device or a folder has the name: nothing is put in their place."""
    try:
        return not stat.S_ISREG(os.stat(target).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _begin(target: Path) -> Path:
    _take_away_left(target.parent)
    suffix = target.suffix if len(target.suffix) <= _LONGEST_SUFFIX else ""
    try:
        if is_special(target):
            raise OutputError(f"{target} is no regular file: give another name")
        return _made(target.parent, suffix)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from None


def _made(folder: Path, suffix: str = "") -> Path:
    """An empty file under a name that tells whose it is."""
    handle, name = tempfile.mkstemp(suffix, f"{_PREFIX}{os.getpid()}-", folder)
    os.close(handle)
    return Path(name)


def _take_away_left(folder: Path) -> None:
    """Remove files that runs on this machine began and that were killed."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            found = _LEFT.match(name)
            if found and not _runs(int(found[1])):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _mode(target: Path) -> int:
    """Rights of the file that is replaced, or those of a new one."""
    try:
        return target.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
