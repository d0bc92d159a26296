"""A hundred starts beside one: where they end and what they cost.

    python benchmarks/multistart.py CORPUS [STARTS] [ITERATIONS]

titanic.xlsx, sheet mmult, where Excel's Solver stopped at 0.14315. The time is that of one random
start with as many iterations; one that ends earlier is counted as if it went on.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import xl2torch
from xl2torch.cli.threads import use_one_thread_for_small

SEEDS = range(5)


def main(corpus: Path, starts: int = 100, iterations: int = 200) -> None:
    """Print one line per seed, and the medians."""
    model = xl2torch.compile(xl2torch.load(corpus / "fastai-2022" / "titanic.xlsx"), "mmult")
    use_one_thread_for_small(model)
    ends, ratios = [], []
    print(f"seed  best of {starts}  one random start  seconds  ratio")
    for seed in SEEDS:
        many = xl2torch.fit(model, init="file", starts=starts, seed=seed, epochs=iterations)
        one = xl2torch.fit(model, init="uniform", seed=seed, epochs=iterations)
        ratio = (many.seconds / many.epochs) / (one.seconds / one.epochs)
        ends.append(many.final)
        ratios.append(ratio)
        print(f"{seed:4}  {many.final:12.7f}  {one.final:16.7f}  {many.seconds:7.2f}  {ratio:5.1f}")
    print(f"median {statistics.median(ends):.7f}, {statistics.median(ratios):.1f} times the time")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
