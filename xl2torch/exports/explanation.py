"""The sheet's formulas beside the lines of torch, for those who know one of the two."""

from __future__ import annotations

import re

from xl2torch.ir.facts import facts
from xl2torch.ir.naming import identifier, label
from xl2torch.ir.nodes import parameter_nodes
from xl2torch.ir.ops import operators, operators_in
from xl2torch.ir.printing import expression, is_line
from xl2torch.model.sheet_model import SheetModel
from xl2torch.safety.plain_text import plain

_GRAVE, _BAR = "\u02cb", "\\|"
"""For a backtick and a bar within a code span."""
_ALWAYS = (
    ("variable cells", "parameters, `nn.Parameter`"),
    ("data cells", "buffers, `register_buffer`"),
    ("objective cell", "loss"),
    ("recalculation", "forward pass, `model()`"),
    ("Solver's differences, one cell after the other", "`loss.backward()`"),
    ("Solve", "`optimizer.step()`, again and again"),
    ("iteration", "epoch (one step on all data)"),
)


def explanation(model: SheetModel) -> str:
    """Markdown: every formula with its line of torch, and a table of correspondences."""
    lines = [
        f"# Sheet {_text(model.problem.sheet)} as PyTorch",
        "",
        "| cells | Excel | torch |",
        "| --- | --- | --- |",
    ]
    for variable in model.variables:
        lines.append(_row(str(variable.cells), "variable cells", f"{variable.name} (parameter)"))
    parameters = set(parameter_nodes(model))
    for node in model.graph.nodes:
        cells = facts(node).cells
        if node.op == "get_attr" and cells is not None and node not in parameters:
            lines.append(_row(str(cells), "data", f"{node.name} (buffer)"))
        if not is_line(node):
            continue
        for part, formula in facts(node).parts:
            name = identifier(label(model.compiled.workbook, part), part)
            lines.append(_row(str(part), f"={formula}", f"{name}: within the next line"))
        text = f"{node.name} = {expression(node)}"
        lines.append(_row(str(cells), f"={facts(node).formula or ''}", text))
    called = {row.taught for row in operators_in(model.graph)}
    words = (row.taught for row in operators() if row.taught in called)
    taught = dict.fromkeys(item for item in words if item is not None)
    lines += ["", "| in the sheet | in PyTorch |", "| --- | --- |"]
    lines += [f"| {sheet} | {code} |" for sheet, code in (*taught, *_ALWAYS)]
    return "\n".join(lines)


def _row(cells: str, excel: str, code: str) -> str:
    shown = _code(excel) if excel[:1] == "=" else excel
    return f"| {_text(cells)} | {shown} | {_code(code)} |"


def _text(text: str) -> str:
    """Text that is no markup of Markdown, nor of HTML within it."""
    return re.sub(r"([\\`*_{}\[\]<>|&~])", r"\\\1", plain(text))


def _code(text: str) -> str:
    """A code span of a table; nothing in it ends it."""
    return f"`{plain(text).replace('`', _GRAVE).replace('|', _BAR)}`"
