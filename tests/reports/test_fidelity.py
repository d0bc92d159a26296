"""After training only what had to change has changed, and other programs agree with the rest.

On generated workbooks that hold what real files hold, and on every corpus workbook that trains.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from corpus import CORPUS, requires_corpus
from generated_books import BOOKS, VARIANTS, make_book, make_variant
from judges import (
    cached_values,
    recalculate_many,
    requires_libreoffice,
    requires_validator,
    validation_errors,
)
from packages import CALC_CHAIN, CONTENT_TYPES, WORKBOOK, WORKBOOK_RELS, read

import xl2torch
from xl2torch.lowering.schedule import Evaluation
from xl2torch.reports.save import Saved
from xl2torch.workbook.read.reader import load

GENERATED = [*BOOKS, *VARIANTS]
Choice = tuple[str, str | None, str | None, tuple[str, ...] | None]
REAL: list[Choice] = [
    ("fastai-2022/titanic.xlsx", "mmult", None, None),
    ("fastai-2022/titanic.xlsx", "nnet", None, None),
    ("fastai-2022/titanic.xlsx", "linear", None, None),
    ("fastai-2022/collab_filter.xlsx", "dotprod", None, None),
    ("fastai-2022/collab_filter.xlsx", "movielens_emb", None, None),
    ("fastai-2022/collab_filter.xlsx", "bias", None, None),
    ("fastai-2017/collab_filter.xlsx", "dotprod", None, None),
    ("fastai-2017/collab_filter.xlsx", "movielens_emb", None, None),
    ("fastai-2017/collab_filter.xlsx", "bias", None, None),
    ("fastai-2017/layers_example.xlsx", "random", None, None),
    ("fastai-2017/graddesc.xlsm", "basic SGD", "F32", ("C1:C2",)),
    ("fastai-2022/conv-example.xlsx", "conv-example", "EN4", ("AD11:AF13", "AD38:AF40")),
]
NIST = sorted(path.name for path in CORPUS.glob("nist/*.xlsx"))
TOLERANCE = 1e-9
EXPECTED = {CONTENT_TYPES, WORKBOOK, WORKBOOK_RELS, "xl/styles.xml"}
CELL = re.compile(
    rb"<((?:\w+:)?c)(?=[\s/>])(?:[^>\"']|\"[^\"]*\"|'[^']*')*?(?:/>|>.*?</\1\s*>)", re.DOTALL
)


@dataclass(frozen=True)
class Run:
    """A workbook, what training made of it, and what was said to have changed."""

    before: Path
    after: Path
    saved: Saved


def train(book: Path, after: Path, choice: Choice | None = None) -> Run:
    _, sheet, objective, variables = choice or ("", None, None, None)
    model = xl2torch.compile(load(book), sheet, objective, variables)
    return Run(book, after, xl2torch.save(xl2torch.fit(model, epochs=30), after))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("generated")
    runs = {}
    for name in GENERATED:
        book = make_book(name, folder) if name in BOOKS else make_variant(name, folder)
        runs[name] = train(book, book.with_name(f"{book.stem}-trained{book.suffix}"))
    return runs


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[Choice, Run]:
    folder = tmp_path_factory.mktemp("real")
    choices: list[Choice] = [*REAL, *((f"nist/{name}", None, None, None) for name in NIST)]
    return {
        choice: train(CORPUS / choice[0], folder / f"{number}{Path(choice[0]).suffix}", choice)
        for number, choice in enumerate(choices)
    }


def check_parts(run: Run) -> None:
    """Untouched parts are byte for byte the same; touched sheets differ in changed cells only."""
    before, after = read(run.before), read(run.after)
    book = load(run.before)
    parts = {sheet.part: sheet.name for sheet in book.sheets}
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == set(run.saved.changed_parts)
    assert set(after) - set(before) == set(run.saved.added_parts)
    assert changed <= EXPECTED | set(parts) | {CALC_CHAIN}
    assert [name for name in after if name in before] == [n for n in before if n in after]
    differing = {
        (parts[part], place)
        for part in changed & set(parts)
        for place in check_sheet(before[part], after[part])
    }
    assert differing == {(cell.sheet, cell.a1) for cell in run.saved.cells}


def check_sheet(before: bytes, after: bytes) -> set[str]:
    """Cells that differ; all bytes between cells are equal, but for new rows."""
    old, new = list(pieces(before)), list(pieces(after))
    old_cells = {place: text for place, text in old if place}
    new_cells = {place: text for place, text in new if place}
    assert old_cells.keys() <= new_cells.keys()
    differing = {place for place, text in new_cells.items() if old_cells.get(place) != text}
    between_old = b"".join(text for place, text in old if not place)
    between_new = b"".join(text for place, text in new if not place)
    if new_cells.keys() > old_cells.keys():  # a blank variable cell: its row may be new, too
        between_new = re.sub(rb"<(?:\w+:)?row r=\"\d+\"></(?:\w+:)?row>", b"", between_new)
        between_old = re.sub(rb"<(?:\w+:)?row r=\"\d+\"></(?:\w+:)?row>", b"", between_old)
    assert between_old == between_new
    return differing


def pieces(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Cells by their place, and what stands between them under the place ''."""
    inside = re.search(rb"<(?:\w+:)?sheetData>.*?</(?:\w+:)?sheetData>", data, re.DOTALL)
    assert inside
    position = 0
    for match in CELL.finditer(data, *inside.span()):
        place = re.search(rb"""\sr\s*=\s*["']([A-Z]+[0-9]+)["']""", match[0])
        assert place
        yield "", data[position : match.start()]
        yield place[1].decode(), match[0]
        position = match.end()
    yield "", data[position:]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("name", GENERATED)
def test_generated_parts(generated: dict[str, Run], name: str) -> None:
    check_parts(generated[name])


@requires_corpus
@pytest.mark.parametrize("choice", REAL, ids=lambda c: f"{c[0]}-{c[1]}".replace("/", "-"))
def test_real_parts(real: dict[Choice, Run], choice: Choice) -> None:
    check_parts(real[choice])


@requires_corpus
@pytest.mark.parametrize("name", NIST)
def test_nist_parts(real: dict[Choice, Run], name: str) -> None:
    check_parts(real[f"nist/{name}", None, None, None])


# ---------------------------------------------------------------- other programs


def check_validity(runs: list[Run]) -> None:
    """The Open XML SDK says nothing of the result that it did not say of the source."""
    errors = validation_errors([path for run in runs for path in (run.before, run.after)])
    for run in runs:
        fresh = Counter(errors[run.after]) - Counter(errors[run.before])
        assert not fresh, run.before.name


def check_recalculation(runs: list[Run], folder: Path) -> None:
    """LibreOffice computes what we cached, where it computed what the source cached.

    Not compared: cells that draw random numbers, which are new each time.
    """
    books = list(dict.fromkeys(path for run in runs for path in (run.before, run.after)))
    recalculated = recalculate_many(books, folder)
    for run in runs:
        source, theirs = cached_values(run.before), cached_values(recalculated[run.before])
        drawn = volatile_cells(run.before)
        trusted = {place for place, value in source.items() if _agree(value, theirs.get(place))}
        ours, again = cached_values(run.after), cached_values(recalculated[run.after])
        doubtful = drawn | {(cell.sheet, cell.a1) for cell in run.saved.stale}
        checked = [place for place in ours if place in trusted and place not in doubtful]
        assert len(checked) > 0.5 * (len(source) - len(drawn)), run.before.name
        wrong = {
            place: (ours[place], again.get(place))
            for place in checked if not _agree(ours[place], again.get(place))
        }  # fmt: skip
        assert not wrong, run.before.name


def volatile_cells(book: Path) -> set[tuple[str, str]]:
    """Cells that call RAND or its kin, and those that depend on them."""
    evaluation = Evaluation(load(book))
    evaluation.compute_all()
    units = {unit for unit in evaluation.all_units() if unit.volatile}
    units |= evaluation.descendants(units)
    return {(cell.sheet, cell.a1) for unit in units for cell in unit.area.cells()}


def _agree(first: object, second: object) -> bool:
    """Equal within the tolerance; LibreOffice writes its own code for some of Excel's errors."""
    if isinstance(first, str) and first.startswith("#"):
        return isinstance(second, str) and second.startswith("#")
    if isinstance(first, bool) or not isinstance(first, float):
        return first == second
    return isinstance(second, float) and abs(first - second) <= TOLERANCE * max(1.0, abs(first))


@requires_validator
def test_generated_validity(generated: dict[str, Run]) -> None:
    check_validity(list(generated.values()))


@requires_corpus
@requires_validator
def test_real_validity(real: dict[Choice, Run]) -> None:
    # The second start of a NIST dataset is the same sheet with other numbers.
    check_validity([run for choice, run in real.items() if "_start2" not in choice[0]])


@pytest.mark.slow
@requires_libreoffice
def test_generated_recalculation(generated: dict[str, Run], tmp_path: Path) -> None:
    check_recalculation(list(generated.values()), tmp_path)


@pytest.mark.slow
@requires_corpus
@requires_libreoffice
def test_real_recalculation(real: dict[Choice, Run], tmp_path: Path) -> None:
    check_recalculation(list(real.values()), tmp_path)
