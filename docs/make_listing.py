"""Writes the listing in docs/architecture.md from the code: ``python docs/make_listing.py``.

Folders and modules stand in the order of the layers in ``.importlinter``, from the bottom up, each
with the first line of its docstring.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- listing: docs/make_listing.py -->\n", "<!-- end of the listing -->\n"


def layers() -> dict[str, list[str]]:
    """Packages, and the names in them in the order of their layers, from the bottom up."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter", encoding="utf-8")
    return {
        section["containers"]: [
            name.strip()
            for layer in reversed(section["layers"].split("\n"))
            for name in layer.split("|")
            if name.strip()
        ]
        for section in config.values()
        if "containers" in section
    }


def listing() -> str:
    """The stages and their modules, a line for each."""
    return "".join(_lines("xl2torch", layers(), 0))


def _lines(package: str, order: dict[str, list[str]], depth: int) -> Iterator[str]:
    folder = ROOT / package.replace(".", "/")
    found = {path.stem for path in folder.iterdir() if _is_module(path)} - {"__init__"}
    known = [name for name in order.get(package, ()) if name in found]
    for name in [*known, *sorted(found - set(known))]:
        path = folder / name
        if path.is_dir():
            yield f"{'  ' * depth}- **{name}/** {_summary(path / '__init__.py')}\n"
            yield from _lines(f"{package}.{name}", order, depth + 1)
        else:
            yield f"{'  ' * depth}- `{name}` {_summary(path.with_suffix('.py'))}\n"


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def _summary(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def page() -> str:
    """The page, with the listing as the code has it."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}{listing()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
