"""The tutorials' output and pictures, made by running the commands that stand in them.

    python docs/make_tutorials.py [NAME ...]

A ``console`` block holds commands after ``$`` and what they print; a ``python`` block is run, and
the ``text`` block behind it holds what it prints. Both are written anew; pictures that the text
shows go to docs/images. tests/test_tutorials.py runs the same and compares.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from xl2torch.cli import main

HERE = Path(__file__).resolve().parent
TUTORIALS = HERE / "tutorials"
IMAGES = HERE / "images"
WORKBOOKS = HERE.parent / "workbooks"
_BLOCK = re.compile(r"^```(console|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(\.\./images/([^)]+)\)")
_SECONDS = re.compile(r"\b\d+\.\d+ (m?s)\b")


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A folder with copies of the sample workbooks, as the working directory."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for path in WORKBOOKS.glob("*.xlsx"):
            if not path.stem.endswith("-trained"):
                shutil.copy(path, folder)
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def run_command(line: str) -> str:
    """What an xl2torch command prints, times left out."""
    program, *arguments = shlex.split(line)
    if program != "xl2torch":
        raise ValueError(f"a tutorial runs xl2torch only, not {program}")
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return _SECONDS.sub(r"... \1", result.output)


def run_python(code: str, names: dict[str, object]) -> str:
    """What Python code prints."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(code, "tutorial", "exec"), names)
    return stream.getvalue()


def run(text: str) -> str:
    """The text of a tutorial with what its blocks print today, in the working directory."""
    names: dict[str, object] = {}
    printed = ""

    def block(match: re.Match[str]) -> str:
        nonlocal printed
        kind, content = match.groups()
        if kind == "console":
            lines = [line for line in content.splitlines() if line.startswith("$ ")]
            content = "\n".join(f"{line}\n{run_command(line[2:])}" for line in lines)
        elif kind == "python":
            printed = run_python(content, names)
        else:
            content, printed = printed, ""
        return f"```{kind}\n{content.rstrip()}\n```"

    return _BLOCK.sub(block, text)


def pictures(text: str) -> list[str]:
    """Names of the pictures that a tutorial shows."""
    return _PICTURE.findall(text)


def write(path: Path) -> None:
    """Write a tutorial and its pictures anew."""
    text = path.read_text(encoding="utf-8")
    with workplace() as folder:
        path.write_text(run(text), encoding="utf-8")
        for name in pictures(text):
            shutil.copy(folder / name, IMAGES / name)


if __name__ == "__main__":
    for place in sorted(TUTORIALS.glob("*.md")):
        if len(sys.argv) == 1 or place.stem in sys.argv[1:]:
            print(place.stem)
            write(place)
