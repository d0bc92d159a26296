"""Hostile workbooks, options and data in a short run; ``just fuzz`` makes a long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INPUTS = 80

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")


@pytest.mark.slow
def test_hostile_input_is_refused_in_words() -> None:
    """No command fails with a traceback, hangs, or writes what it should not."""
    # A process of its own: children are forked before torch has threads.
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzzer.py")), str(INPUTS)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_input_is_the_same_on_each_run() -> None:
    """A seed, a number and a class say which input it is."""
    from fuzzer import MUTATIONS, spoiled_case  # needs modules that only Unix has

    for name in MUTATIONS:
        for number in range(5):
            first, second = spoiled_case(0, number, name), spoiled_case(0, number, name)
            assert first[0].workbook() == second[0].workbook()
            assert first[0].data == second[0].data and first[0].notes == second[0].notes
            assert first[1] == second[1] == (name,)
