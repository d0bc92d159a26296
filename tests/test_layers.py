"""Data flows one way: a module imports only from its own stage and the stages before it."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "xl2torch"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_imports_point_back() -> None:
    """Between stages and inside each, as ``.importlinter`` orders them; no module is left out."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_imports_are_absolute() -> None:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


def test_the_listing_is_the_code() -> None:
    """docs/architecture.md is made by docs/make_listing.py; run that after a change."""
    made = runpy.run_path(str(ROOT / "docs" / "make_listing.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"]()


@pytest.mark.parametrize("code", ["import xl2torch", "import xl2torch.cli"])
def test_light_imports(code: str) -> None:
    check = (
        f"{code}; import sys; print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = {path.relative_to(PACKAGE).as_posix() for path in modules()}
    known = paths | {Path(path).name for path in paths}
    for name in re.findall(r"`([a-z_/]+\.py)`", text):
        assert name in known or (ROOT / name).is_file(), name
