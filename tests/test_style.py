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


HOLDERS = {"loss", "record", "model", "module", "run", "task", "drive", "settings", "whole"}
"""Names of variables, and of attributes, that hold an object of ours with a state of its own."""


def outside_writes(path: Path) -> list[str]:
    """Attributes of such objects that are assigned by others than themselves."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        parts = [part for item in targets
                 for part in (item.elts if isinstance(item, ast.Tuple) else [item])]  # fmt: skip
        for item in parts:
            if not isinstance(item, ast.Attribute):
                continue
            holder = item.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            if name in HOLDERS:
                found.append(f"{path.relative_to(ROOT)}:{item.lineno} {ast.unparse(item)}")
    return found


def test_nobody_changes_the_state_of_another() -> None:
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "highs.py"]
    assert not [text for path in paths for text in outside_writes(path)]
    assert outside_writes(PACKAGE / "analysis" / "highs.py")  # HiGHS is filled by attributes
