"""What a person writes of a model: goals and constraints, in the words that people use."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from xl2torch.errors import SelectionError

_GOALS = {
    "min": "min", "minimise": "min", "minimize": "min", "minimum": "min", "smallest": "min",
    "max": "max", "maximise": "max", "maximize": "max", "maximum": "max", "largest": "max",
}  # fmt: skip
_VALUE = re.compile(r"(?:value|target|equal|reach)(?:\s*=|\s+(?:of|to))?\s*(.+)")
_SIGNS = {"≤": "<=", "⩽": "<=", "=<": "<=", "≥": ">=", "⩾": ">=", "=>": ">=", "==": "=", "≦": "<=",
          "≧": ">="}  # fmt: skip
_SIGN = re.compile("|".join(map(re.escape, _SIGNS)))
_PART = re.compile(r"(<=|>=|<>|=|<|>)|('(?:[^']|'')*'|\"[^\"]*\"|[^<>='\"]+|['\"])")
_KIND = re.compile(
    r"(?P<cells>.+?)(?:\s+(?:is|are|must be|=)?\s*|\s*=\s*)"
    r"(?P<word>int|integers?|whole(?: numbers?)?|bin|binary|binaries|0/1|dif|alldifferent|"
    r"all different)",
    re.IGNORECASE | re.DOTALL,
)
FLIPPED = {"<=": ">=", ">=": "<=", "=": "="}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*(%?)", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """One relation as texts; ``right`` is empty for ``int``, ``bin`` and ``dif``."""

    left: str
    relation: str
    right: str


def goal(text: str) -> tuple[str, float]:
    """``min``, ``max`` or ``value`` with its number. Raises SelectionError.

    >>> goal("maximise"), goal("value of 5")
    (('max', 0.0), ('value', 5.0))
    """
    word = text.strip().lower()
    if word in _GOALS:
        return _GOALS[word], 0.0
    found = _VALUE.fullmatch(word)
    number = None if found is None else as_number(found[1])
    if number is None or not math.isfinite(number):
        raise SelectionError(f"`sense={text!r}`: it is min, max or value=NUMBER")
    return "value", number


def as_number(text: str) -> float | None:
    """A number, of percent too; None where it is none.

    >>> as_number("40%"), as_number("B2")
    (0.4, None)
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    number = float(text.strip().rstrip("%").strip())
    return number / 100 if found[1] else number


def relations(text: str) -> list[Wanted]:
    """The relations that a constraint says. Raises SelectionError.

    >>> [(w.left, w.relation, w.right) for w in relations("0 <= B2:B6 ≤ 40%")]
    [('B2:B6', '>=', '0'), ('B2:B6', '<=', '40%')]
    >>> relations("B2:B6 integer")
    [Wanted(left='B2:B6', relation='int', right='')]
    """
    plain = _SIGN.sub(lambda found: _SIGNS[found[0]], text.strip())
    kind = _KIND.fullmatch(plain)
    if kind is not None and not re.search("[<>]", kind["cells"]):
        word = kind["word"].lower()
        code = "bin" if word[0] in "b0" else "dif" if word[0] in "da" else "int"
        return [Wanted(kind["cells"].strip().rstrip("=").strip(), code, "")]
    sides, signs = [""], []
    for sign, part in _PART.findall(plain):
        if sign:
            signs.append(sign)
            sides.append("")
        else:
            sides[-1] += part
    sides = [side.strip() for side in sides]
    if any(sign in ("<", ">", "<>") for sign in signs):
        raise SelectionError(
            f"`constraints={text!r}`: it is CELLS <= LIMIT (or >=, =); the limit itself is allowed"
        )
    if not signs or len(signs) > 2 or not all(sides):
        raise SelectionError(
            f"`constraints={text!r}`: it is CELLS <= LIMIT (or >=, =), 0 <= CELLS <= LIMIT, "
            "CELLS integer or CELLS binary"
        )
    if len(signs) == 2 and (len(set(signs)) > 1 or as_number(sides[1]) is not None):
        raise SelectionError(f"`constraints={text!r}` holds two relations: give two constraints")
    if len(signs) == 2:
        low, cells, high = sides
        return [Wanted(cells, FLIPPED[signs[0]], low), Wanted(cells, signs[1], high)]
    left, right = sides
    if as_number(left) is not None and as_number(right) is None:
        return [Wanted(right, FLIPPED[signs[0]], left)]
    return [Wanted(left, signs[0], right)]
