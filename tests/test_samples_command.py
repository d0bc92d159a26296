"""``xl2torch samples``: copies of the sample workbooks, for those who have no checkout."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from xl2torch.cli import main
from xl2torch.cli.samples import SAMPLES

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["samples", *map(str, arguments)])


def test_every_sample_is_listed() -> None:
    assert {path.stem for path in (ROOT / "workbooks").glob("*.xlsx")} >= set(SAMPLES)
    built = {path.stem.removeprefix("build_") for path in (ROOT / "workbooks").glob("build_*.py")}
    assert set(SAMPLES) == built
    listed = run()
    assert listed.exit_code == 0 and all(name in listed.output for name in SAMPLES)
    assert json.loads(run("--json").output)["samples"] == SAMPLES


def test_copies_are_the_samples(tmp_path: Path) -> None:
    done = run("line", "moons.xlsx", "--to", tmp_path)
    assert done.exit_code == 0 and "xl2torch train" in done.output
    for name in ("line.xlsx", "moons.xlsx"):
        assert (tmp_path / name).read_bytes() == (ROOT / "workbooks" / name).read_bytes()
    again = run("line", "--to", tmp_path)
    assert again.exit_code == 1 and "give --force to overwrite it" in again.output
    assert run("line", "--to", tmp_path, "--force").exit_code == 0
    every = json.loads(run("all", "--to", tmp_path, "--force", "--json").output)
    assert len(every["written"]) == len(SAMPLES)


def test_mistakes(tmp_path: Path) -> None:
    wrong = run("lines", "--to", tmp_path)
    assert wrong.exit_code == 2 and "did you mean line?" in wrong.output
    nowhere = run("line", "--to", tmp_path / "nowhere")
    assert nowhere.exit_code == 1 and "does not exist" in nowhere.output
