"""The program as a picture: lines of the sheet as boxes, what they read as arrows (SVG)."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from torch import fx

from xl2torch.errors import SelectionError
from xl2torch.exports.atomic_write import atomic_write
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import parameter_nodes
from xl2torch.ir.printing import expression, is_line
from xl2torch.model.sheet_model import SheetModel
from xl2torch.safety.plain_text import short

_WIDTH, _LINE, _GAP, _DOWN, _MARGIN = 300, 17, 30, 54, 24
_LETTERS = 42
_COLOURS = {
    "parameter": ("#FFF2CC", "#BF9000"), "data": ("#F2F2F2", "#7F7F7F"),
    "line": ("#D9E2F3", "#1F3864"), "objective": ("#C6E0B4", "#548235"),
}  # fmt: skip


@dataclass
class _Box:
    """A node of the picture, and where it stands."""

    kind: str
    texts: list[str]
    rank: int
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> int:
        return _LINE * len(self.texts) + 14


def drawing(model: SheetModel) -> str:
    """The program of a model as SVG text: name and torch, formula, cells and shape."""
    boxes: dict[fx.Node, _Box] = {}
    arrows: list[tuple[fx.Node, fx.Node]] = []
    parameters = set(parameter_nodes(model))
    shown = [n for n in model.graph.nodes if n.op == "get_attr" or is_line(n)]
    for node in shown:
        sources = _sources(node) if node.op != "get_attr" else []
        rank = 1 + max((boxes[source].rank for source in sources), default=-1)
        kind = "line"
        if node.op == "get_attr":
            kind = "parameter" if node in parameters else "data"
        elif node is shown[-1]:
            kind = "objective"
        boxes[node] = _Box(kind, _texts(node), rank)
        arrows += [(source, node) for source in sources]
    _draw_in(boxes, arrows)
    _place(boxes, arrows)
    return _svg(boxes, arrows)


def _sources(node: fx.Node) -> list[fx.Node]:
    """Boxes that a line reads, behind the nodes that are no lines of their own."""
    found: dict[fx.Node, None] = {}
    stack = list(node.all_input_nodes)
    while stack:
        item = stack.pop()
        if item.op == "get_attr" or is_line(item):
            found[item] = None
        else:
            stack += item.all_input_nodes
    return list(found)


def _texts(node: fx.Node) -> list[str]:
    shape = "×".join(map(str, value_of(node).shape)) or "scalar"
    known = facts(node)
    cells = str(known.cells) if known.cells is not None else ""
    where = f"{cells}  {shape}".strip()
    if node.op == "get_attr":
        return [node.name, where]
    parts = [f"={formula}" for _, formula in known.parts]
    formula = "=" + (known.formula or "")
    return [f"{node.name} = {expression(node)}", *parts, formula, where]


def _draw_in(boxes: dict[fx.Node, _Box], arrows: list[tuple[fx.Node, fx.Node]]) -> None:
    """Put data and weights in the row above the first line that reads them."""
    for node, box in boxes.items():
        if node.op == "get_attr":
            users = [boxes[target].rank for source, target in arrows if source is node]
            box.rank = max(min(users, default=1) - 1, 0)


def _place(boxes: dict[fx.Node, _Box], arrows: list[tuple[fx.Node, fx.Node]]) -> None:
    """Rows by rank; within a row in the order of what is read, to cross few arrows."""
    top = float(_MARGIN)
    order: dict[fx.Node, float] = {}
    for rank in sorted({box.rank for box in boxes.values()}):
        row = [node for node, box in boxes.items() if box.rank == rank]

        def middle(node: fx.Node) -> float:
            places = [order[source] for source, target in arrows
                      if target is node and source in order]  # fmt: skip
            return sum(places) / len(places) if places else 0.0

        row.sort(key=middle)
        for place, node in enumerate(row):
            order[node] = place - (len(row) - 1) / 2
            boxes[node].x = order[node] * (_WIDTH + _GAP)
            boxes[node].y = top
        top += max(boxes[node].height for node in row) + _DOWN
    left = min(box.x for box in boxes.values()) - _MARGIN
    for box in boxes.values():
        box.x -= left


def _svg(boxes: dict[fx.Node, _Box], arrows: list[tuple[fx.Node, fx.Node]]) -> str:
    width = max(box.x for box in boxes.values()) + _WIDTH + _MARGIN
    height = max(box.y + box.height for box in boxes.values()) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="Calibri, Arial, sans-serif" '
        'font-size="12">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#7F7F7F"/></marker>'
        "</defs>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for source, target in arrows:
        first, second = boxes[source], boxes[target]
        x1, y1 = first.x + _WIDTH / 2, first.y + first.height
        x2, y2 = second.x + _WIDTH / 2, second.y
        bend = max((y2 - y1) / 2, 16)
        lines.append(
            f'<path d="M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} '
            f'{x2:.0f} {y2:.0f}" fill="none" stroke="#7F7F7F" marker-end="url(#tip)"/>'
        )
    for box in boxes.values():
        fill, stroke = _COLOURS[box.kind]
        lines.append(
            f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{_WIDTH}" height="{box.height}" rx="4" '
            f'fill="{fill}" stroke="{stroke}"/>'
        )
        for place, text in enumerate(box.texts):
            style = ' font-weight="bold"' if place == 0 else ' fill="#404040"'
            y = box.y + 19 + place * _LINE
            lines.append(f'<text x="{box.x + 8:.0f}" y="{y:.0f}"{style}>{_short(text)}</text>')
    return "\n".join([*lines, "</svg>\n"])


def _short(text: str) -> str:
    return html.escape(short(text, _LETTERS), quote=False)


def write_drawing(model: SheetModel, path: Path, force: bool = False) -> None:
    """Write the picture. Raises SelectionError or OutputError."""
    if path.suffix.lower() != ".svg":
        raise SelectionError(f"{path.name}: the picture is an SVG: name it .svg")
    with atomic_write(path, force, [model.compiled.workbook.path]) as partial:
        partial.write_text(drawing(model), encoding="utf-8")
