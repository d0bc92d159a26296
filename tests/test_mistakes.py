"""What the program says of typical mistakes: cell, cause, and what to do; read it as text.

python tests/test_mistakes.py     # writes mistakes.txt anew, to be looked at
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from mistakes import MISTAKES, told

FIXTURE = Path(__file__).with_name("mistakes.txt")
TEXT = FIXTURE.read_text(encoding="utf-8") if FIXTURE.exists() else ""


@pytest.mark.parametrize("name", MISTAKES)
def test_the_message_is_that_of_the_fixture(name: str, tmp_path: Path) -> None:
    found = told(name, tmp_path)
    assert "Traceback" not in found and len(MISTAKES) >= 30
    assert found in TEXT


def write() -> None:
    """Write the fixture anew."""
    texts = []
    for name in MISTAKES:
        with tempfile.TemporaryDirectory() as folder:
            texts.append(told(name, Path(folder)))
    FIXTURE.write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    write()
