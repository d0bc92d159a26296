"""The tutorials run from their own text, say today what they said, and draw their pictures."""

from __future__ import annotations

import re
import sys
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from corpus import ROOT

sys.path.insert(0, str(ROOT / "docs"))
import make_tutorials as tutorials

PATHS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
_VERSION = re.compile(r"\((torch|scipy) [^)]*\)")
_TOLERANCE = 0.02
_MOST = 0.8
"""Other processors add up in another order: a long run there may end in another iteration, with
another note. What the story is about is the same, and in _STORY."""
_STORY = {  # what a tutorial must have shown, whatever the numbers
    "two_neurons": ("do not converge", "try a smaller --lr"),
    "survival": ("Model!C7 Accuracy",),
    "softmax": ("cross_entropy",),
    "convolution": ("True 3.4172",),
    "dropout": ("dropout is off but in training",),
    "quadratic": ("do not converge", "a plateau"),
}


def words(text: str) -> str:
    """The text without numbers and versions, spaces of tables evened out."""
    return re.sub(r"[ =-]+", " ", _NUMBER.sub("#", _VERSION.sub(r"(\1)", text)))


def numbers(text: str) -> list[float]:
    found = (match.replace(",", "") for match in _NUMBER.findall(_VERSION.sub("", text)))
    return [float(item) for item in found]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_text_is_what_it_prints_today(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    with tutorials.workplace() as folder:
        today = tutorials.run(written)
        for name in tutorials.pictures(written):
            picture = (folder / name).read_bytes()
            assert picture.startswith(b"\x89PNG") and len(picture) > 5_000, name
            committed = (ROOT / "docs" / "images" / name).read_bytes()
            assert picture[16:24] == committed[16:24], name  # width and height
    ours, theirs = today.splitlines(), written.splitlines()
    matcher = SequenceMatcher(None, [*map(words, ours)], [*map(words, theirs)], autojunk=False)
    assert matcher.ratio() >= _MOST
    near = []
    for first, second, count in matcher.get_matching_blocks():
        for place in range(count):
            pairs = zip(numbers(ours[first + place]), numbers(theirs[second + place]), strict=True)
            near += [a == pytest.approx(b, rel=_TOLERANCE, abs=1e-6) for a, b in pairs]
    assert sum(near) >= _MOST * len(near)
    assert all(part in today for part in _STORY.get(path.stem, ()))


def test_all_are_listed() -> None:
    index = (ROOT / "docs" / "tutorials.md").read_text(encoding="utf-8")
    assert len(PATHS) >= 10
    for path in PATHS:
        assert f"(tutorials/{path.name})" in index
