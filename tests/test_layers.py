"""Data flows one way: a module imports only from its own stage and the stages before it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "xl2torch"
STAGES = (
    "errors", "limits", "plain_text", "notebook", "address", "values", "workbook", "formula",
    "ir", "functions", "graph", "wording", "candidates", "problem", "prediction", "row_module",
    "sheet_rows", "model", "jacobian", "residuals", "linearity", "constraints", "optimality",
    "linear_program", "piecewise_linear", "highs", "binary_program", "ranging", "recalculation",
    "verification", "inspection", "gradients", "training", "estimators", "replay", "reports",
    "plots", "exports", "cli", "__main__",
)  # fmt: skip
FACADE = "__init__"  # names every stage, lazily


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def stage_of(module: str) -> str:
    """Stage of ``xl2torch.graph.lower`` is ``graph``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FACADE


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, at the top or inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "xl2torch":
                found |= {f"xl2torch.{alias.name}" for alias in node.names}
            elif node.module.startswith("xl2torch."):
                found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            found.add("relative import")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("xl2torch.")}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_back(path: Path) -> None:
    relative = path.relative_to(PACKAGE).with_suffix("")
    stage = relative.parts[0]
    if stage == FACADE:
        return
    for module in imported(path):
        target = stage_of(module)
        if target == "__version__":
            continue
        assert target in STAGES, f"{relative} imports {module}, which is in no stage"
        assert STAGES.index(target) <= STAGES.index(stage), f"{relative} imports {module}"


def test_every_module_has_a_stage() -> None:
    first = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in modules()}
    assert first - {FACADE} == set(STAGES)


@pytest.mark.parametrize("code", ["import xl2torch", "import xl2torch.cli"])
def test_light_imports(code: str) -> None:
    check = (
        f"{code}; import sys; print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_class_names_are_unique() -> None:
    """One name, one thing: who reads of a class need not ask which."""
    homes: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert not {name: places for name, places in homes.items() if len(places) > 1}
