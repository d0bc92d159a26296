"""Writes the table in docs/gradients.md: ``python docs/make_gradients.py CORPUS``.

The workbooks are not part of the project; CORPUS is the folder that holds them.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import xl2torch
from xl2torch.teach.derivatives.sheet_derivatives import check_written

PATH = Path(__file__).with_name("gradients.md")
BEGIN, END = "<!-- table: docs/make_gradients.py -->\n", "<!-- end of table -->\n"
GRADDESC = "fastai-2017/graddesc.xlsm"
LAYERS = "fastai-2017/layers_example.xlsx"
BY_HAND = "ai-by-hand/Backpropgation.xlsx"
ENTROPY = "=-SUM($V$34:$W$36*LN($S$34:$T$36))"

CHECKS: tuple[tuple[str, str, str, str, str], ...] = (
    (GRADDESC, "basic SGD", "F4:F32", "C4:D32", "K4:L32"),
    (GRADDESC, "basic SGD", "F4:F32", "C4:C32,D4:D32", "H4:H32,J4:J32"),
    (GRADDESC, "momentum", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (GRADDESC, "adagrad", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (GRADDESC, "rmsprop", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (GRADDESC, "adam", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (GRADDESC, "eve", "F4:F32", "C4:D32", "G4:H32"),
    (GRADDESC, "adagrad_ann", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (GRADDESC, "adam_ann", "=(E4-B4)^2", "C4:D32", "F4:G32"),
    (LAYERS, "fixed", "E32", "B28:C28", "H30:I30"),
    (LAYERS, "fixed", "E32", "B24:C26", "H24:I26"),
    (BY_HAND, "Backprop", ENTROPY, "P34:Q36", "Y34:Z36"),
    (BY_HAND, "Backprop", ENTROPY, "J34:N36", "S24:U28"),
    (BY_HAND, "Backprop", ENTROPY, "P24:Q27", "J30:M31"),
    (BY_HAND, "Backprop", ENTROPY, "M24:N27", "P20:S21"),
)
"""Workbook, sheet, what is differentiated, by which cells, where the author wrote it."""

HEAD = """| workbook, sheet | derivatives | of | by | agree | largest difference | finding |
| --- | --- | --- | --- | --- | --- | --- |
"""


def table(corpus: Path) -> str:
    """One row per column (or block) of derivatives."""
    rows = [HEAD]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {check[0] for check in CHECKS}
        books = {name: xl2torch.load(corpus / name) for name in names}
    for name, sheet, of, wrt, against in CHECKS:
        for line in check_written(books[name], of, wrt, against, sheet=sheet).lines:
            place = f"{Path(name).name}, {sheet}"
            finding = line.reason or "right"
            share = f"{line.max_rel_diff:.1e}" if line.max_rel_diff > 1e-12 else "< 1e-12"
            rows.append(
                f"| {place} | {line.cells} {line.label} | `{line.of}` | {line.wrt} | "
                f"{line.agreeing} of {line.rows} | {share} | {finding} |\n"
            )
    return "".join(rows)


def page(corpus: Path) -> str:
    """The page with its table made anew."""
    text = PATH.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(corpus) + END + rest.split(END)[1]


if __name__ == "__main__":
    PATH.write_text(page(Path(sys.argv[1])), encoding="utf-8")
