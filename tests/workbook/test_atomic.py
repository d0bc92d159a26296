"""Saving is all or nothing: a process that is killed leaves the old file or the new one."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from packages import SHEET1, parts, read, write

from xl2torch.errors import OutputError
from xl2torch.workbook.package import read_package, save_package

KILLS = 50
SAVER = """
import sys
from pathlib import Path
from xl2torch.workbook.package import read_package, save_package
package = read_package(Path(sys.argv[1]))
target, part = Path(sys.argv[2]), sys.argv[3]
versions = [b"<r>" + text * 20000 + b"</r>" for text in (b"<a/>", b"<b/>")]
save_package(package, {part: versions[0]}, set(), target)
print("ready", flush=True)
while True:
    for text in versions:
        save_package(package, {part: text}, set(), target)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    source = write(tmp_path / "b.xlsx", parts())
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "out.xlsx"
    moments = random.Random(0)
    seen = set()
    for _ in range(KILLS):
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, source, target, SHEET1], stdout=subprocess.PIPE
        )
        assert saver.stdout is not None and saver.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0.0, 0.03))
        saver.kill()
        saver.communicate()
        found = read(target)  # a whole zip, every checksum right
        assert found.keys() == parts().keys()
        seen.add(found[SHEET1][3:7])
    assert seen == {b"<a/>", b"<b/>"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_what_was_there(
    code: int, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = read_package(write(tmp_path / "b.xlsx", parts()))
    target = tmp_path / "out.xlsx"
    if there:
        target.write_bytes(b"what was there")

    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutputError, match=r"out\.xlsx cannot be written"):
        save_package(package, {SHEET1: b"<new/>"}, set(), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.xlsx", *(["out.xlsx"] * there)]
    assert not there or target.read_bytes() == b"what was there"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error, when the bytes are written out."""
    package = read_package(write(tmp_path / "b.xlsx", parts()))

    plain = Path.open

    def full(path: Path, mode: str = "r") -> object:
        return plain(Path("/dev/full") if mode == "wb" else path, mode)

    monkeypatch.setattr(Path, "open", full)
    data = b"<r>" + b"<new/>" * 100_000 + b"</r>"
    with pytest.raises(OutputError, match="No space left on device"):
        save_package(package, {SHEET1: data}, set(), tmp_path / "out.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["b.xlsx"]
