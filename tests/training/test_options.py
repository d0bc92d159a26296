"""The options of a training stand in one place: ``FitOptions``, from which all else is made."""

from __future__ import annotations

import ast
import json
import re
import runpy
from dataclasses import fields
from pathlib import Path

import click
import pytest
from grids import grid

import xl2torch
from xl2torch.cli import main
from xl2torch.cli.printing import as_flags, print_json
from xl2torch.errors import SelectionError
from xl2torch.training.options import OPTIONS, FitKeywords, FitOptions

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "xl2torch"
MOST_FILES = 3
HELD = {"settings", "options", "known"}
"""Names of variables that hold options."""


def test_keywords_are_the_fields() -> None:
    assert {*FitKeywords.__annotations__, "optimizer"} == {item.name for item in fields(FitOptions)}
    assert set(OPTIONS) == {item.name for item in fields(FitOptions)}


def test_an_options_value_and_keywords_are_the_same(tmp_path: Path) -> None:
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-3)^4"), objective="B1", variables="A1")
    first = xl2torch.fit(model, "adam", lr=0.1, epochs=7, init="file")
    options = FitOptions(optimizer="adam", lr=0.5, epochs=7, init="file")
    again = xl2torch.fit(model, options=options, lr=0.1)
    assert (again.final, again.epochs) == (first.final, 7)
    assert first.settings.given["lr"] == 0.1 and first.settings.optimizer == "adam"


def test_options_are_fit_options(tmp_path: Path) -> None:
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-3)^4"), objective="B1", variables="A1")
    with pytest.raises(TypeError, match=r"options are xl2torch.FitOptions, not \{'lr': 1\}"):
        xl2torch.fit(model, options={"lr": 1})  # type: ignore[arg-type]


def test_what_is_no_option_is_said(tmp_path: Path) -> None:
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-3)^4"), objective="B1", variables="A1")
    with pytest.raises(TypeError, match="no option 'epohcs'; there are"):
        xl2torch.fit(model, epohcs=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", -1, "`epochs` is a whole number at least 0, not -1"),
        ("epochs", 1.5, "`epochs` is a whole number at least 0, not 1.5"),
        ("lr", True, "`lr` is a number above 0, not True"),
        ("convergence", 1, "`convergence` is a number at least 0 and below 1, not 1"),
        ("starts", 20_000, "`starts` is a whole number at least 1 and at most 10,000, not 20000"),
        ("max_time", float("nan"), "`max_time` is a number above 0, not nan"),
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense(name: str, value: object, words: str, tmp_path: Path) -> None:
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-3)^4"), objective="B1", variables="A1")
    with pytest.raises(SelectionError, match=re.escape(words)):
        xl2torch.fit(model, **{name: value})  # type: ignore[arg-type]


def test_every_option_is_a_flag_of_train() -> None:
    train = main.commands["train"]
    flags = {item.name: item for item in train.params if isinstance(item, click.Option)}
    for name, option in OPTIONS.items():
        assert f"--{option.flag or name.replace('_', '-')}" in flags[name].opts
        assert flags[name].help == option.help


def test_the_table_in_the_docs_is_made_from_them() -> None:
    """docs/training.md has the table of docs/make_options.py; run that after a change."""
    made = runpy.run_path(str(ROOT / "docs" / "make_options.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"]()


def test_the_docstring_of_fit_tells_them() -> None:
    assert xl2torch.fit.__doc__ is not None
    for name in OPTIONS:
        assert name == "optimizer" or f"``{name}``:" in xl2torch.fit.__doc__


def spellings(path: Path) -> set[str]:
    """Options that a module names: as an attribute of options, a keyword, or a text."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            holder = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if holder in HELD:
                found.add(node.attr)
    return found & set(OPTIONS)


COMMON = {"optimizer", "epochs", "batch_size", "lr", "seed", "starts", "arguments"}
"""What a run is: read where solvers are chosen, where they work, and in reports."""


def test_an_option_stands_in_few_files() -> None:
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in spellings(path):
            homes.setdefault(name, []).append(str(path.relative_to(PACKAGE)))
    many = {name: files for name, files in homes.items() if len(files) > MOST_FILES}
    assert not {name: files for name, files in many.items() if name not in COMMON}


# ---------------------------------------------------------------- no command line in the library

MARK = re.compile(r"`([a-z_]+)(?:=[^`]*)?`")


def messages(path: Path) -> list[str]:
    """Texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    return [
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and id(node) not in documentation
    ]  # fmt: skip


OTHER_PROGRAMS = {"soffice --convert-to xlsx ", "parser.add_argument("}


def library() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "cli" not in path.parts]


def test_the_library_does_not_speak_command_line() -> None:
    for path in library():
        for text in messages(path):
            other = any(word in text for word in OTHER_PROGRAMS)
            assert other or not re.search(r"--[a-z{]", text), (path, text)


def test_what_a_message_names_is_a_flag_of_a_command() -> None:
    flags = {
        flag
        for command in main.commands.values() for item in command.params
        for flag in (*item.opts, *item.secondary_opts)
    }  # fmt: skip
    named = {found[0] for path in library() for text in messages(path)
             for found in MARK.finditer(text)}  # fmt: skip
    assert len(named) > 40
    strangers = {text for text in named if as_flags(text).split()[0] not in flags}
    assert strangers <= {"`mse_loss`", "`register_buffer`", "`others`"}  # torch's and Python's


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("leave out `batch_size`", "leave out --batch-size"),
        ('`init="normal"`', "--init normal"),
        ("`starts=20`", "--starts 20"),
        ("`sheet='My sheet'`", '--sheet "My sheet"'),
        ("`non_negative=False`", "--any-sign"),
        ("`watch_cells`", "--watch"),
        ("`B5` and `Total`", "`B5` and `Total`"),
    ],
)
def test_flags(text: str, shown: str) -> None:
    assert as_flags(text) == shown


def test_json_stays_json_where_a_message_names_options(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag's value has quotes of its own; what no message is stays as it is."""
    print_json({"remarks": ["try `sheet='My sheet'`"], "label": "`lr`", "error": '`init="normal"`'})
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "remarks": ['try --sheet "My sheet"'], "label": "`lr`", "error": "--init normal",
    }  # fmt: skip
