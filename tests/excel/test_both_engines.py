"""A function means one thing: the sheet as verify computes it, and the module that is trained.

Every function and operator with arguments that mix trained cells with constants of every kind,
alone, copied with conditions that vary by row, and in array formulas; equal, or refused.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from both_engines import Outcome, compare, copied_unlike_alone
from engine_cases import cases, data_cells
from grids import grid

import xl2torch

PARTS = 8
OF_EACH = 2
POINTS = (3.0, 0.0, -1.5)
LEAST = 20_000 // PARTS
BEYOND_ALL_NUMBERS = ("POWER", "PMT", "LOGINV", "large")
"""Here IFERROR does not see yet that a trained number grew beyond 1.8E308, and a recognised sigmoid
is 0 where its EXP is #NUM!: training looks at the sheet itself in the end."""


def part(number: int) -> Outcome:
    """Every so-manieth case through both engines."""
    outcome = Outcome()
    every = cases(OF_EACH)[number::PARTS]
    for at in range(0, len(every), 400):
        outcome.add(compare(data_cells(), every[at : at + 400], POINTS))
    return outcome


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("number", range(PARTS))
def test_sheet_and_module_say_the_same(number: int) -> None:
    torch.set_num_threads(1)
    outcome = part(number)
    assert outcome.crashes == []
    assert [item for item in outcome.unequal if item.case.function not in BEYOND_ALL_NUMBERS] == []
    assert outcome.compared > LEAST


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_formula_copied_and_alone_says_the_same() -> None:
    every = cases(OF_EACH)
    unlike = [
        item for at in range(0, len(every), 400)
        for item in copied_unlike_alone(data_cells(), every[at : at + 400], POINTS[0])
    ]  # fmt: skip
    assert unlike == []


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ('SUM(IFERROR(LOOKUP(C1:C3*A1,"x"),7))', 21.0),
        ('SUM(IFERROR(MATCH(C1:C3*A1,{"a"},0),7))', 21.0),
        ('SUM(IFERROR(MATCH(C1:D3*A1,{"a";"b"},0),1))', 6.0),
        ('ROWS(MATCH(C1:C3*A1,{"a","b"},0))', 3.0),
    ],
)
def test_trained_keys_that_no_text_meets(formula: str, value: float, tmp_path: Path) -> None:
    """All of them miss at once: the answer has as many elements as there are keys."""
    text = f"1 =(A1-3)^2+SUMPRODUCT({formula}) 1 2\n2 2 2 3\n3 3 3 4"
    model = xl2torch.compile(grid(tmp_path, text), objective="B1", variables="A1")
    assert model().item() == 4.0 + value
