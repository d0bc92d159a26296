"""How a written program comes by its data: cells of the workbook, else numbers in the file."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
import zlib
from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from openpyxl.utils.cell import range_boundaries

from xl2torch.cells.address import CellRange
from xl2torch.cells.values import BLANK, NUMBER, TEXT
from xl2torch.errors import ModelError
from xl2torch.lowering.blocks import stored
from xl2torch.safety.plain_text import quoted
from xl2torch.workbook.read.reader import Workbook

_FEW = 12
_MOST_TEXTS = 50
_MOST_BYTES = 1_000_000
_WIDTH = 84
_PATH_WIDTH = 60


def quoted_path(path: str) -> str:
    """A path as a string literal, in brackets over several lines where it is long."""
    if len(path) <= _PATH_WIDTH:
        return quoted(path)
    pieces = re.findall(f"[^/]{{1,{_PATH_WIDTH - 1}}}/?|/", path)
    lines = [""]
    for piece in pieces:
        if len(lines[-1] + piece) > _PATH_WIDTH:
            lines.append("")
        lines[-1] += piece
    return "(\n" + "".join(f"    {quoted(line)}\n" for line in lines) + ")"


def cells_text(workbook: Workbook, cells: CellRange | None, value: torch.Tensor) -> str | None:
    """Code that reads a tensor from cells; None where the file's cells hold something else."""
    if cells is None or value.dtype == torch.bool:
        return None
    array = stored(workbook, cells)
    numbers = torch.from_numpy(np.nan_to_num(array.numpy()[0, 0].copy(), nan=0.0))
    others = int((array.full_kinds != NUMBER).sum())
    more = f", others={others}" if others else ""
    call = f'cells(book, {quoted(cells.sheet)}, "{cells.a1}"{more})'
    for source, suffix in ((numbers, ""), (numbers.T, ".T")):
        flat, wanted = source.reshape(-1), value.detach().reshape(-1)
        if flat.shape != wanted.shape or not torch.equal(flat, wanted.to(flat.dtype)):
            continue
        shape = [size for size in source.shape if size > 1]
        text = call + (suffix if len(shape) > 1 else "")
        if list(value.shape) != shape:
            text += f".reshape({', '.join(map(str, value.shape)) or '()'})"
        return text if value.is_floating_point() else f"{text}.long()"
    return None


def blank_text(workbook: Workbook, areas: Sequence[CellRange], value: torch.Tensor) -> str | None:
    """Code that tells the blank cells of a range, where that is what a mask says."""
    if value.dtype != torch.bool:
        return None
    for cells in areas:
        if cells.size != value.numel():
            continue
        blank = torch.from_numpy((stored(workbook, cells).full_kinds[0, 0] == BLANK).copy())
        for mask, sign in ((blank, ""), (~blank, "~")):
            if torch.equal(mask.reshape(value.shape), value):
                call = f'blank(book, {quoted(cells.sheet)}, "{cells.a1}")'
                return f"{sign}{call}.reshape({_shape(value) or '()'})"
    return None


def says_text(workbook: Workbook, areas: Sequence[CellRange], value: torch.Tensor) -> str | None:
    """Code that tells which cells of a column hold a text, where that is what a mask says."""
    if not bool(((value == 0) | (value == 1)).all()) or not value.dim():
        return None
    for cells in areas:
        array = stored(workbook, cells)
        if cells.size != value.numel() or not (array.full_kinds == TEXT).any():
            continue
        held = np.array([str(text).lower() for text in array.full_texts.reshape(-1)])
        words = sorted(set(held[array.full_kinds.reshape(-1) == TEXT].tolist()))[:_MOST_TEXTS]
        for sign, text in product(("", "~"), words):
            here = torch.from_numpy(held == text)
            if not torch.equal((~here if sign else here).to(value.dtype), value.reshape(-1)):
                continue
            call = f'{sign}says(book, {quoted(cells.sheet)}, "{cells.a1}", {quoted(text)})'
            kind = "" if value.dtype == torch.bool else f".to({value.dtype})"
            call = f"({call})" if sign and kind else call
            return f"{call}{kind}.reshape({_shape(value)})"
    return None


def fingerprint(book, sheet, area):  # type: ignore[no-untyped-def]
    """What the values of a range are, in a number of 64 digits; book: of openpyxl."""
    left, top, right, bottom = range_boundaries(area)
    rows = book[sheet].iter_rows(top, bottom, left, right, values_only=True)
    plain = [[float(value) if isinstance(value, int) else value for value in row] for row in rows]
    while plain and not any(value is not None for value in plain[-1]):
        plain.pop()
    return hashlib.sha256(repr(plain).encode("utf-8", "backslashreplace")).hexdigest()


def literal_lines(value: torch.Tensor) -> list[str]:
    """Code of a tensor's own numbers, in lines. Raises ModelError where they are too many."""
    plain = value.detach()
    if plain.numel() <= _FEW:
        numbers = repr(plain.tolist()).replace("nan", 'float("nan")').replace("inf", 'float("inf")')
        text = f"torch.tensor({numbers}, dtype={value.dtype})"
        if len(text) <= _WIDTH:
            return [text]
        wrapped = textwrap.wrap(numbers, _WIDTH)
        return ["torch.tensor(", *(f"    {line}" for line in wrapped[:-1]), f"    {wrapped[-1]},",
                f"    dtype={value.dtype},", ")"]  # fmt: skip
    raw = plain.contiguous().numpy().tobytes()
    if len(raw) > _MOST_BYTES:
        raise ModelError(
            f"a constant of {plain.numel():,} numbers is no range of the sheet, and too large for "
            'Python source: export `to="pt2"` or onnx'
        )
    text = base64.b64encode(zlib.compress(raw, 9)).decode("ascii")
    pieces = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    name = str(value.dtype).removeprefix("torch.")
    shape = f"({_shape(plain)},)"
    return ["numbers(", *(f'    "{piece}"' for piece in pieces[:-1]), f'    "{pieces[-1]}",',
            f'    "{name}", {shape},', ")"]  # fmt: skip


def _shape(value: torch.Tensor) -> str:
    return ", ".join(map(str, value.shape))
