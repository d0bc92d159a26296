"""The table of docs/replay.md, made from the workbook of the corpus.

python docs/make_replay.py CORPUS
"""

from __future__ import annotations

import sys
from pathlib import Path

import xl2torch
from xl2torch.teach.replay.run import Replay, replay_all

PAGE = Path(__file__).with_name("replay.md")
_START, _END = "<!-- table -->\n", "<!-- end of table -->\n"


def row(item: Replay) -> str:
    """A sheet: its rule, the options of torch, the largest difference."""
    where = f", from {item.first_divergence.a1} on" if item.first_divergence else ""
    return (
        f"| {item.descent.sheet} | {item.match.rule} | `{item.match.code}` | "
        f"{item.largest:.1e}{where} |"
    )


def table(corpus: Path) -> str:
    """The table of all sheets of graddesc.xlsm."""
    found, _ = replay_all(xl2torch.load(corpus / "fastai-2017" / "graddesc.xlsm"))
    head = "| sheet | its rule | torch | largest relative difference |\n| --- | --- | --- | --- |\n"
    return head + "".join(row(item) + "\n" for item in found)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(_START)
    _, after = rest.split(_END)
    PAGE.write_text(before + _START + table(Path(sys.argv[1])) + _END + after, encoding="utf-8")
