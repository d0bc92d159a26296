"""Time to load and verify workbooks whose formulas are no copies of each other.

    python benchmarks/irregular.py [--json]

A network written out by hand, each weight and each gradient a formula of its own, and searches for
words, each in another cell. "Alone": with every formula computed for itself. Imports are excluded.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import openpyxl
from openpyxl.utils import get_column_letter

import xl2torch
from xl2torch.evaluate.verification import verify
from xl2torch.lowering import schedule

ROUNDS = 3
WORDS = ["alpha", "beta", "gamma", "delta", "river", "stone", "water", "cloud", "table", "paper"]


def network(count: int) -> Iterator[tuple[int, int, float | str]]:
    """Weighted sums, sigmoids and products of single cells, layer by layer."""
    draw = random.Random(3)
    layer = [(row, column) for row in range(1, 61) for column in range(1, 4)]
    yield from ((row, column, round(draw.uniform(-1, 1), 3)) for row, column in layer)
    made, column = 0, 5
    while made < count:
        fresh = []
        for row in range(1, 92):
            if made == count:
                break
            cells = [f"${get_column_letter(c)}${r}" for r, c in draw.choices(layer, k=60)]
            pairs = "+".join(f"{a}*{b}" for a, b in zip(cells[::2], cells[1::2], strict=True))
            forms = (
                f"=0.05*({pairs})", f"=1/(1+EXP(-({cells[0]}*{cells[1]}+{cells[2]})))",
                f"={cells[0]}*{cells[1]}*(1-{cells[2]})-{cells[3]}",
            )  # fmt: skip
            yield row, column, forms[made % 3]
            fresh.append((row, column))
            made += 1
        layer, column = [*fresh, *draw.sample(layer, 20)], column + 1


def searches(count: int) -> Iterator[tuple[int, int, float | str]]:
    """Searches for words in a thousand texts."""
    draw = random.Random(4)
    for row in range(1, 1001):
        yield row, 1, " ".join(draw.choices(WORDS, k=8))
    for made in range(count):
        row, part = draw.randint(1, 1000), draw.choice(WORDS)[: draw.randint(3, 5)]
        forms = (
            f'=IF(ISNUMBER(SEARCH("{part}",$A${row})),1,0)',
            f'=IFERROR(FIND("{part}",A{row}),{made % 7})',
            f'=IF(ISNUMBER(SEARCH("{part}",$A${row})),"{draw.choice(WORDS)}{made % 50}","")',
        )  # fmt: skip
        yield made % 1000 + 1, made // 1000 + 3, forms[made % 3]


def seconds_of(path: Path) -> tuple[float, float]:
    """Seconds to load and to verify."""
    began = time.perf_counter()
    workbook = xl2torch.load(path)
    loaded = time.perf_counter()
    verify(workbook)
    return loaded - began, time.perf_counter() - loaded


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name, count, cells in (
            ("network by hand", 5_460, network), ("searches for words", 35_000, searches),
        ):  # fmt: skip
            path = Path(folder) / "book.xlsx"
            book = openpyxl.Workbook()
            for row, column, value in cells(count):
                book.worksheets[0].cell(row, column, value)
            book.save(path)
            times = [seconds_of(path) for _ in range(ROUNDS)]
            with mock.patch.object(schedule, "find_families", lambda *_: []):
                alone = seconds_of(path)[1]
            load, check = (statistics.median(part) for part in zip(*times, strict=True))
            results.append({"name": name, "formulas": count, "load": load, "verify": check,
                            "alone": alone})  # fmt: skip
    if options.json:
        print(json.dumps({"results": results}, indent=2))
        return
    for item in results:
        print(
            f"{item['name']:20} {item['formulas']:>6,} formulas: load {item['load']:.2f} s, "
            f"verify {item['verify']:.2f} s, alone {item['alone']:.2f} s"
        )


if __name__ == "__main__":
    main()
