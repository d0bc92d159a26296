"""The house style, as far as a test can tell."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "xl2torch"
DENSE = 10
"""Branches above which a function has to say why."""


def test_class_names_are_unique() -> None:
    """One name, one thing: who reads of a class need not ask which."""
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert not {name: places for name, places in homes.items() if len(places) > 1}


def dense_functions() -> list[tuple[Path, int]]:
    """Functions of many branches, by file and line, as ruff counts them."""
    command = [
        sys.executable, "-m", "ruff", "check", str(PACKAGE), "--select", "C901",
        "--config", f"lint.mccabe.max-complexity={DENSE}", "--output-format", "json", "--no-cache",
    ]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [(Path(item["filename"]), item["location"]["row"]) for item in json.loads(run.stdout)]


def test_dense_functions_have_a_comment() -> None:
    """A function of more than ten branches has a comment that says why, or is cut."""
    found = dense_functions()
    assert found
    silent = []
    for path, line in found:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.lineno == line:
                lines = text.split("\n")[node.lineno : node.end_lineno]
                if not any(re.search(r"#(?! fmt| type| noqa)", item) for item in lines):
                    silent.append(f"{path.relative_to(ROOT)}:{line} {node.name}")
    assert not silent


def test_every_module_and_package_says_what_it_is_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
