"""Random cells: drawn anew at each training step, kept in evaluation, repeatable by a seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from grids import grid, write_grid

import xl2torch
from xl2torch.cli import main
from xl2torch.errors import UnsupportedError
from xl2torch.reports.save import fill_cached_values

ROWS = 40
DROPOUT = "\n".join(
    f"{0.1 * row:.1f} =RAND() =IF(B{row}>0.4,$F$1*A{row},0) =(C{row}-A{row})^2"
    + (" =AVERAGE(D1:D40) 0.5" if row == 1 else "")
    for row in range(1, ROWS + 1)
)
"""x, a draw, a unit that is dropped at times, its squared error; loss in E1, weight in F1."""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The sheet with stored draws, as Excel would have saved it."""
    rows = DROPOUT.splitlines()
    drawn = torch.rand(ROWS, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    path = write_grid(tmp_path / "dropout.xlsx", "\n".join(rows))
    _store_draws(path, drawn.tolist())
    fill_cached_values(path)
    return path


def _store_draws(path: Path, numbers: list[float]) -> None:
    """Give the cells of RAND a stored value, as a program that recalculates does."""
    import re
    import zipfile

    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    values = iter(numbers)
    parts[name] = re.sub(
        rb"<f>RAND\(\)</f><v */>|<f>RAND\(\)</f><v></v>|<f>RAND\(\)</f>",
        lambda _: f"<f>RAND()</f><v>{next(values)!r}</v>".encode(),
        parts[name],
    )
    with zipfile.ZipFile(path, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)


def compiled(path: Path) -> xl2torch.SheetModel:
    return xl2torch.compile(xl2torch.load(path), objective="E1", variables="F1")


def test_evaluation_keeps_the_stored_draw(book: Path) -> None:
    model = compiled(book)
    stored = xl2torch.load(book).sheets[0].cells.value(1, 5)
    assert [str(area) for area in model.drawn] == ["S!B1:B40"]
    assert not model.training
    assert model().item() == model().item() == pytest.approx(stored, rel=1e-14)


def test_training_draws_anew(book: Path) -> None:
    model = compiled(book).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        values = [model().item() for _ in range(3)]
        torch.manual_seed(1)
        again = [model().item() for _ in range(3)]
    assert len(set(values)) == 3
    assert values == again


def test_the_share_that_is_dropped(book: Path) -> None:
    """The gradient by the weight, averaged over many draws, is that of the expectation."""
    model = compiled(book).train()
    (weight,) = model.parameters()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        slopes = [torch.autograd.grad(model(), weight)[0].item() for _ in range(3000)]
    squares = sum((0.1 * row) ** 2 for row in range(1, ROWS + 1)) / ROWS
    assert sum(slopes) / len(slopes) == pytest.approx(0.6 * 2 * (0.5 - 1) * squares, rel=0.02)


def test_fit_is_repeatable_by_its_seed(book: Path) -> None:
    first = xl2torch.fit(compiled(book), epochs=30, seed=5)
    again = xl2torch.fit(compiled(book), epochs=30, seed=5)
    other = xl2torch.fit(compiled(book), epochs=30, seed=6)
    assert first.settings.optimizer == "adam"
    assert first.history["objective"].tolist() == again.history["objective"].tolist()
    assert first.history["gradient_norm"].tolist() != other.history["gradient_norm"].tolist()
    assert first.final < first.start


def test_a_seed_is_chosen_and_told(book: Path) -> None:
    first = xl2torch.fit(compiled(book), epochs=5)
    assert first.settings.seed is not None
    again = xl2torch.fit(compiled(book), epochs=5, seed=first.settings.seed)
    assert first.history["objective"].tolist() == again.history["objective"].tolist()


def test_fitting_leaves_the_generator_alone(book: Path) -> None:
    state = torch.random.get_rng_state()
    xl2torch.fit(compiled(book), epochs=3, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_written_file_keeps_the_draw(book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    result = CliRunner().invoke(
        main, ["train", str(book), "--objective", "E1", "--variables", "F1", "--epochs", "20",
               "--seed", "3", "-o", str(out)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "drawn anew at each step: S!B1:B40" in result.output
    assert "seed 3: --seed 3 repeats the run" in result.output
    before, after = (xl2torch.load(path).sheets[0].cells for path in (book, out))
    assert [before.value(row, 2) for row in range(1, ROWS + 1)] == [
        after.value(row, 2) for row in range(1, ROWS + 1)
    ]
    assert xl2torch.verify(xl2torch.load(out), "S")["total"]["mismatched"] == 0


def test_drawing_functions(tmp_path: Path) -> None:
    """RANDBETWEEN stays whole and inside its limits, both included; RANDARRAY fills its size."""
    workbook = grid(tmp_path, "=RANDBETWEEN(1,3) =A1*B2\n. 2")
    path = workbook.path
    import zipfile

    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = (
        parts[name]
        .replace(b"<f>RANDBETWEEN(1,3)</f><v />", b"<f>RANDBETWEEN(1,3)</f><v>2</v>")
        .replace(b"<f>RANDBETWEEN(1,3)</f><v></v>", b"<f>RANDBETWEEN(1,3)</f><v>2</v>")
    )
    with zipfile.ZipFile(path, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    model = xl2torch.compile(xl2torch.load(path), objective="B1", variables="B2")
    assert model().item() == 4.0
    model.train()
    assert {model().item() / 2 for _ in range(200)} == {1.0, 2.0, 3.0}


def test_a_draw_beside_a_trained_value_is_refused(tmp_path: Path) -> None:
    workbook = grid(tmp_path, "0.5 =IF(RAND()>0.5,A1,0) =B1^2+A1")
    with pytest.raises(UnsupportedError, match="give RAND a cell of its own"):
        xl2torch.compile(workbook, objective="C1", variables="A1")


def test_random_numbers_that_were_never_drawn_are_refused(tmp_path: Path) -> None:
    """A program that writes formulas alone leaves no draw; a blank would count as 0."""
    book = write_grid(tmp_path / "b.xlsx", "2 =RAND() =B1*A1^2")
    with pytest.raises(UnsupportedError, match="the file holds no value of it"):
        xl2torch.compile(xl2torch.load(book), objective="C1", variables="A1")


def test_draws_in_single_precision(book: Path) -> None:
    """Other draws than in float64, and repeatable by the seed as these."""
    weights = []
    for seed in (3, 3, 4):
        model = compiled(book)
        result = xl2torch.fit(model, "adam", dtype="float32", seed=seed, epochs=5)
        assert result.final == float(model.eval()().detach())
        weights.append(float(model.cell_values().popitem()[1]))
    assert weights[0] == weights[1] != weights[2]
