"""What is wrong with a column of derivatives, when something is.

An explanation predicts what the author's cells would hold if it were true; it holds for the rows
that it predicts. So a sign that is wrong in three rows, and a typed number in a fourth, are told
apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import CellAddress
from xl2torch.workbook.sparse_cells import Floats

Mask = NDArray[np.bool_]
_SAME = 1e-6
_LEAST_ROWS = 3
_LEAST_HALVED = 5
_SHIFTS = (-1, 1, -2, 2)
_RUNS = 8


@dataclass(frozen=True)
class Finding:
    """Rows of a column for which one explanation holds; ``fine`` when nothing is wrong with them.

    ``text`` begins with the kind: finite difference, factor, shift, exchange, missing factor, …
    """

    rows: Mask
    text: str
    fine: bool = False


@dataclass(frozen=True)
class Suspect:
    """A column of the author's beside the true one, and what may have gone wrong with it.

    ``exchanged`` and ``others``: true derivatives by other cells, by their address; of the first
    the author's column is wrong too. ``transposed``: the true ones of a square block, the other way
    round. ``beside``: numbers in the same rows of the sheet, by address. ``counts``: sizes of the
    data, and what has that size. ``differences``: difference quotients, each with its name.
    """

    author: Floats
    true: Floats
    exchanged: Mapping[str, Floats]
    others: Mapping[str, Floats]
    transposed: Floats | None
    beside: Mapping[str, Floats]
    counts: Mapping[int, str]
    differences: Callable[[], Iterator[tuple[str, Floats]]]


def explain(suspect: Suspect, wrong: Mask) -> list[Finding]:
    """Explanations of the wrong rows; rows without one are left out.

    The explanation of most rows comes first, of equals the simplest.
    """
    left = wrong.copy()
    candidates = [
        (_same(item.predicted, suspect.author), item) for item in _explanations(suspect, wrong)
    ]
    findings: list[Finding] = []
    while left.any() and candidates:
        rows, best = max(candidates, key=lambda pair: int((pair[0] & left).sum()))
        rows = rows & left
        if not rows.any():
            break
        if rows.sum() >= best.least:
            findings.append(Finding(rows, best.text, best.fine))
            left &= ~rows
        candidates = [pair for pair in candidates if pair[1] is not best]
    return findings


@dataclass(frozen=True, eq=False)
class _Explanation:
    """What the cells would hold if it were true, and how many rows make it believable."""

    predicted: Floats
    text: str
    least: int
    fine: bool = False


def _explanations(suspect: Suspect, wrong: Mask) -> Iterator[_Explanation]:
    true = suspect.true
    for name, predicted in suspect.differences():
        text = _difference_text(name, predicted, true)
        yield _Explanation(predicted, text, 1, fine=True)
        yield _Explanation(-predicted, f"factor: the sign is wrong, of {name}", 1)
    if suspect.transposed is not None:
        text = "transpose: they are the derivatives with rows for columns"
        yield _Explanation(suspect.transposed, text, 2)
    for factor, words in _named_factors(suspect.counts).items():
        yield _Explanation(factor * true, f"factor: {words}", 1)
    for shift in _SHIFTS if len(true) > 2 else ():
        yield _Explanation(_shifted(true, shift), _shift_text(shift), 2)
    exchange = "exchange: they are the derivatives with respect to "
    for address, other in suspect.exchanged.items():
        yield _Explanation(other, exchange + address, min(2, len(true)))
    yield from _plain_factor(suspect, wrong)
    yield from _factor_columns(suspect, wrong)
    for address, other in suspect.others.items():
        yield _Explanation(other, exchange + address, min(2, len(true)))


def _same(predicted: Floats, author: Floats) -> Mask:
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(predicted), np.abs(author))
        return np.asarray(np.abs(predicted - author) <= _SAME * size)


def _difference_text(name: str, predicted: Floats, true: Floats) -> str:
    with np.errstate(invalid="ignore"):
        gap = float(np.nanmax(np.abs(predicted - true), initial=0.0))
        largest = float(np.nanmax(np.abs(true), initial=0.0))
    share = f", {gap / largest:.2g} of the largest derivative" if largest else ""
    return f"finite difference: {name}; its step explains up to {gap:.6g}{share}"


def _named_factors(counts: Mapping[int, str]) -> dict[float, str]:
    """Factors that people forget or take twice, with their names; the simplest first."""
    named: dict[float, str] = {
        -1.0: "the sign is wrong (−1 times the derivative)",
        2.0: "2 times the derivative: the 2 of a square was taken twice, or belongs to a mean",
        0.5: "half the derivative: the 2 of the square is missing",
        -2.0: "−2 times the derivative: sign and a factor 2",
        -0.5: "−1/2 times the derivative: sign and a factor 2",
        math.log(10): "ln 10 = 2.302585 times the derivative: LOG is base 10 in Excel, "
                      "the derivation takes the natural logarithm (LN)",
        1 / math.log(10): "1/ln 10 = 0.434294 times the derivative: LOG is base 10 in Excel, "
                          "LN is the natural logarithm",
        math.log(2): "ln 2 = 0.693147 times the derivative: a logarithm of base 2",
        1 / math.log(2): "1/ln 2 = 1.442695 times the derivative: a logarithm of base 2",
    }  # fmt: skip
    for count, what in counts.items():
        if count < 2:
            continue
        times = [
            (float(count), f"n = {count} times the derivative: the mean over {what} is missing"),
            (1 / count, f"1/n times the derivative, n = {count}: {what}; it is a sum, not a mean"),
        ]
        if count >= _LEAST_HALVED:  # 3/2 has many reasons
            times.append((2 / count, f"2/n times the derivative, n = {count}: {what}"))
            times.append((count / 2, f"n/2 times the derivative, n = {count}: {what}"))
        for factor, words in times:
            named.setdefault(factor, words)
    for factor, words in (
        (100.0, "100 times the derivative: per cent"),
        (0.01, "1/100 of the derivative: per cent"),
        (math.pi / 180, "π/180 times the derivative: degrees for radians"),
        (180 / math.pi, "180/π times the derivative: radians for degrees"),
    ):
        named.setdefault(factor, words)
    for factor, words in list(named.items()):
        if factor > 0 and -factor not in named:
            named[-factor] = f"wrong sign and {words}"
    return named


def _shifted(true: Floats, shift: int) -> Floats:
    found = np.full(len(true), np.nan)
    if shift > 0:
        found[shift:] = true[:-shift]
    else:
        found[:shift] = true[-shift:]
    return found


def _shift_text(shift: int) -> str:
    count = abs(shift)
    where = "above" if shift > 0 else "below"
    rows = "row" if count == 1 else f"{count} rows"
    return f"shift: they hold the derivatives of the {rows} {where}"


def _ratios(suspect: Suspect, wrong: Mask) -> Floats:
    with np.errstate(all="ignore"):
        ratio = np.where(wrong, suspect.author / suspect.true, np.nan)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _plain_factor(suspect: Suspect, wrong: Mask) -> Iterator[_Explanation]:
    """The same factor in every row, whatever it is."""
    ratio = _ratios(suspect, wrong)
    if np.isfinite(ratio).sum() < _LEAST_ROWS:
        return
    middle = float(np.nanmedian(ratio))
    if middle:
        text = f"factor: every row is {middle:.10g} times the derivative"
        least = max(_LEAST_ROWS, int(wrong.sum()) // 2)
        yield _Explanation(middle * suspect.true, text, least)
    elif not suspect.author[wrong].any():
        zeros = np.zeros(len(wrong))
        yield _Explanation(zeros, "plateau: the cells are 0, the derivatives are not", 1)


def _factor_columns(suspect: Suspect, wrong: Mask) -> Iterator[_Explanation]:
    """A factor of the chain rule that was left out, or is one too many: a column beside."""
    for address, numbers in suspect.beside.items():
        if np.isfinite(numbers[wrong]).sum() < _LEAST_ROWS or len(set(numbers[wrong])) < 2:
            continue
        with np.errstate(all="ignore"):
            missing, surplus = suspect.true / numbers, suspect.true * numbers
        text = f"missing factor: times {address} they are right"
        yield _Explanation(missing, text, _LEAST_ROWS)
        text = f"surplus factor: divided by {address} they are right"
        yield _Explanation(surplus, text, _LEAST_ROWS)


def runs(cells: Sequence[CellAddress], chosen: Mask) -> str:
    """Addresses of the chosen cells, neighbours in a column or row as a range."""
    parts: list[list[CellAddress]] = []
    for cell in (cell for cell, is_in in zip(cells, chosen, strict=True) if is_in):
        if parts:
            first, last = parts[-1][0], parts[-1][-1]
            down = cell.column == last.column == first.column and cell.row == last.row + 1
            across = cell.row == last.row == first.row and cell.column == last.column + 1
            if down or across:
                parts[-1].append(cell)
                continue
        parts.append([cell])
    texts = [p[0].a1 if len(p) == 1 else f"{p[0].a1}:{p[-1].a1}" for p in parts[:_RUNS]]
    return ", ".join(texts) + (f" and {len(parts) - _RUNS:,} more" if len(parts) > _RUNS else "")
