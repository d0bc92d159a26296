"""Spoils workbooks, options and data, and sees whether the commands take it like adults.

    python tests/fuzz/fuzzer.py 1000 --seed 0

Input k of seed S is the same on each run. A finding is printed with the command that repeats it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import IO, NoReturn

import torch
from fuzz_books import Case, sound_case
from fuzz_content import spoil_formulas, spoil_names
from fuzz_judge import SECONDS, Finding, judge
from fuzz_options import spoil_data, spoil_options
from fuzz_package import spoil_package, spoil_xml

MUTATIONS = {
    "xml": spoil_xml, "package": spoil_package, "names": spoil_names, "formulas": spoil_formulas,
    "options": spoil_options, "data": spoil_data,
}  # fmt: skip
BATCH = 50
ADDRESS_SPACE = 8 * 2**30
_LITERAL = re.compile(r"\d[\d.e+\-]*|'[^']*'|\"[^\"]*\"")
_FRAME = re.compile(r'File "[^"]*?/(xl2torch/[^"]+)", line (\d+) in (\S+)')


@dataclass(frozen=True)
class Outcome:
    """What became of one input."""

    number: int
    classes: tuple[str, ...]
    outcome: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def spoiled_case(seed: int, number: int, only: str | None = None) -> tuple[Case, tuple[str, ...]]:
    """Input ``number`` of a seed, and the classes of its one to three mutations."""
    random = Random(f"{seed}/{number}/{only or ''}")
    case = sound_case(random)
    count = random.randint(1, 3)
    classes = [only] * count if only else random.choices(sorted(MUTATIONS), k=count)
    for name in classes:
        case = MUTATIONS[name](random, case)
    return case, tuple(dict.fromkeys(classes))


# ---------------------------------------------------------------- children


def hunt(seed: int, numbers: Iterable[int], only: str | None = None) -> Iterator[Outcome]:
    """Judge inputs in forked children; one that kills its child is told, and the rest goes on."""
    left = list(numbers)
    while left:
        done = 0
        for outcome in _batch(seed, left[:BATCH], only):
            done += 1
            yield outcome
        if not done:
            raise RuntimeError("a child ended before its first input began")
        left = left[done:]


def _batch(seed: int, numbers: list[int], only: str | None) -> Iterator[Outcome]:
    """Outcomes of a child, as far as it comes."""
    with tempfile.TemporaryFile("w+") as trace:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _live(seed, numbers, only, os.fdopen(writing, "w"), trace)
        os.close(writing)
        started: int | None = None
        with os.fdopen(reading) as lines:
            for line in lines:
                message = json.loads(line)
                if isinstance(message, int):
                    started = message
                else:
                    started = None
                    findings = tuple(Finding(**item) for item in message.pop("findings"))
                    yield _outcome(message, findings)
        _, status = os.waitpid(child, 0)
        if started is not None:
            trace.seek(0)
            yield _death(seed, started, only, os.waitstatus_to_exitcode(status), trace.read())


def _outcome(message: dict[str, object], findings: tuple[Finding, ...]) -> Outcome:
    classes, notes = message["classes"], message["notes"]
    assert isinstance(classes, list) and isinstance(notes, list)
    return Outcome(
        int(str(message["number"])), tuple(classes), str(message["outcome"]), findings, tuple(notes)
    )


def _death(seed: int, number: int, only: str | None, code: int, trace: str) -> Outcome:
    """The outcome of an input that ended its child: by a signal, or hung where nothing stops it."""
    frame = _FRAME.search(trace)
    where = f"{frame[1]}:{frame[2]} {frame[3]}" if frame else ""
    kind = "hang" if "Timeout" in trace else "died"
    finding = Finding(kind, "any", where, f"the process ended with {code}")
    case, classes = spoiled_case(seed, number, only)
    return Outcome(number, classes, kind, (finding,), case.notes)


def _live(
    seed: int, numbers: list[int], only: str | None, pipe: IO[str], trace: IO[str]
) -> NoReturn:
    """A child's life: whatever happens, it does not go on with what its parent does."""
    status = 1
    try:
        _work(seed, numbers, only, pipe, trace)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _work(seed: int, numbers: list[int], only: str | None, pipe: IO[str], trace: IO[str]) -> None:
    """Says of each input when it starts and how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    faulthandler.enable(trace)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 1)  # libraries that are no Python print past the runner
    for number in numbers:
        print(json.dumps(number), file=pipe, flush=True)
        faulthandler.dump_traceback_later(6 * SECONDS, exit=True, file=trace)
        case, classes = spoiled_case(seed, number, only)
        with tempfile.TemporaryDirectory(prefix="xl2torch-fuzz-") as folder:
            verdict = judge(case, Path(folder))
            os.chdir("/")
        message = {"number": number, "classes": classes, "notes": case.notes, **asdict(verdict)}
        print(json.dumps(message), file=pipe, flush=True)
        if any(finding.kind == "memory" for finding in verdict.findings):
            break  # the peak hides what later inputs take
    faulthandler.cancel_dump_traceback_later()


# ---------------------------------------------------------------- the report


def _repeat(seed: int, number: int, only: str | None) -> str:
    more = f" --only {only}" if only else ""
    return f"python tests/fuzz/fuzzer.py 1 --seed {seed} --first {number}{more}"


def _counts(outcomes: list[Outcome]) -> list[str]:
    """How inputs ended, by class of their mutations."""
    columns = sorted({item.outcome for item in outcomes})
    table = [["class", "inputs", *columns]]
    for name in MUTATIONS:
        chosen = Counter(item.outcome for item in outcomes if name in item.classes)
        if chosen:
            table.append([name, str(chosen.total()), *(str(chosen[key]) for key in columns)])
    every = Counter(item.outcome for item in outcomes)
    table.append(["all", str(every.total()), *(str(every[key]) for key in columns)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]


def _groups(outcomes: list[Outcome], seed: int, only: str | None) -> Iterator[str]:
    """Findings by the line where they arise, the most frequent first."""
    found: dict[tuple[str, str, str], list[tuple[Outcome, Finding]]] = defaultdict(list)
    for outcome in outcomes:
        for item in outcome.findings:
            name = _LITERAL.sub("…", item.detail.partition(":")[0])
            found[item.kind, item.where, name].append((outcome, item))
    for (kind, where, _), cases in sorted(found.items(), key=lambda pair: -len(pair[1])):
        outcome, item = cases[0]
        inputs = len({outcome.number for outcome, _ in cases})
        commands = ", ".join(sorted({item.command for _, item in cases}))
        yield f"{kind} {where or '-'} | {inputs} inputs | {commands} | {item.detail}"
        yield f"    {outcome.notes}"[:400]
        yield f"    {_repeat(seed, outcome.number, only)}"


def main() -> None:
    """Run the fuzzer from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="How many inputs.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="Number of the first input.")
    parser.add_argument("--only", choices=sorted(MUTATIONS), help="One class of mutations.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    numbers = range(options.first, options.first + options.count)
    for outcome in hunt(options.seed, numbers, options.only):
        outcomes.append(outcome)
        for item in outcome.findings:
            print(f"{outcome.number}: {item.kind} {item.where} {item.detail}", file=sys.stderr)
        if len(outcomes) % 25 == 0:
            spent = time.monotonic() - began
            print(f"{len(outcomes)} of {options.count} in {spent:.0f} s", file=sys.stderr)
    print("\n".join(_counts(outcomes)))
    findings = list(_groups(outcomes, options.seed, options.only))
    if findings:
        print("\nFindings by line:", *findings, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
