"""The model as one file of PyTorch that a person would write, with the sheet's names.

Cell text stands in comments, docstrings and string literals only: no code comes from it. What was
written is parsed before it is given away.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import math
import os
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.errors import ModelError, SelectionError, Xl2TorchError
from xl2torch.exports.constants import (
    blank_text,
    cells_text,
    fingerprint,
    literal_lines,
    quoted_path,
    says_text,
)
from xl2torch.exports.folded import Opened, open_constants, read_directly
from xl2torch.exports.own_functions import NUMPY, SCIPY, WIDTH, OwnFunctions
from xl2torch.exports.row_part import find_row_part
from xl2torch.ir.facts import facts
from xl2torch.ir.loop import Recurrence
from xl2torch.ir.ops import is_own
from xl2torch.ir.printing import Printer, short_name
from xl2torch.model.sheet_model import SheetModel, Variable
from xl2torch.safety.plain_text import plain, quoted

_INDENT = " " * 8
_UNTYPED = "  # type: ignore[no-untyped-def]"
_MODULES = "torch", "F", "nn", "np", "math", "operator", "special", "self", "row", "rows"
_STANDARD = frozenset({"import math", "import operator"})
_DEFINING = (
    ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef, ast.If,
)  # fmt: skip
_LARGEST_TABLE = 1_000_000
"""Cells that are looked through for texts."""
_DEEPEST = 40
"""Operators within each other in one statement; Python's parser takes 100."""
_TAKEN = frozenset({"Path", "F", "WORKBOOK", *dir(builtins), *keyword.kwlist})
"""Names that a class does not take: those of Python, and of the file itself."""

_CELLS = '''
def values(book, sheet, area):
    """Values of a range, row by row; rows below the last that the file has are blank."""
    left, top, right, bottom = range_boundaries(area)
    rows = [*book[sheet].iter_rows(top, bottom, left, right, values_only=True)]
    return rows + [(None,) * (right - left + 1)] * (bottom - top + 1 - len(rows))


def cells(book, sheet, area, others=0):
    """Numbers of a range as stored in the workbook; ``others`` of them are none, and count 0."""
    raw = values(book, sheet, area)
    table = [[number(value) for value in row] for row in raw]
    found = sum(number(cell) is None or isinstance(cell, bool) for row in raw for cell in row)
    if found != others:
        raise ValueError(
            f"cells of {sheet}!{area} that are no numbers: {found}, where this file was written "
            f"{others}. Export the model of this workbook anew"
        )
    plain = [[value or 0.0 for value in row] for row in table]
    return torch.tensor(plain, dtype=torch.float64).squeeze()


def number(value):
    """A cell's value as a number, None where it is none; dates count days."""
    if isinstance(value, datetime | date | time | timedelta):
        return to_excel(value)
    return float(value) if isinstance(value, int | float) else None
'''
_BLANK = '''
def blank(book, sheet, area):
    """Which cells of a range are blank."""
    return torch.tensor([[value is None for value in row] for row in values(book, sheet, area)])
'''
_SAYS = '''
def says(book, sheet, area, text):
    """Which cells of a range hold a text, whatever its capitals."""
    table = values(book, sheet, area)
    return torch.tensor(
        [[isinstance(value, str) and value.lower() == text for value in row] for row in table]
    )
'''
_NUMBERS = '''
def numbers(text, dtype, shape):
    """A constant that the sheet's formulas make of its cells, packed."""
    packed = bytearray(zlib.decompress(base64.b64decode(text)))
    return torch.frombuffer(packed, dtype=getattr(torch, dtype)).reshape(shape).clone()
'''


_NAMED = 6
_FIXED = '''
def refuse_others(book):
    """Refuse a workbook in which cells differ that this file does not read, but computed with."""
    for sheet, area, known in FIXED:
        if fingerprint(book, sheet, area) != known:
            raise ValueError(
                f"{sheet}!{area} holds other values than where this file was written, and numbers "
                "in it were computed from them: export the model of this workbook anew"
            )
'''
_TWINS = '''
def refuse_unlike(book):
    """Refuse a workbook in which ranges differ that are one in this file."""
    for first, cells_there, second, cells_here in SAME:
        if values(book, first, cells_there) != values(book, second, cells_here):
            raise ValueError(
                f"{first}!{cells_there} and {second}!{cells_here} held the same where this file "
                "was written: export the model of this workbook anew"
            )
'''
_ROWS = '''
def column(rows, name):
    """A column of new rows, by its heading in the sheet."""
    return torch.as_tensor(rows[name], dtype=torch.float64).reshape(-1)
'''


def python_source(model: SheetModel, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Source text of a file in ``folder``, and notes on the workbooks that it takes.

    Raises ModelError or SelectionError.
    """
    opened = open_constants(model, lambda other: _Writer(other, folder).text())
    text = _Writer(opened.model, folder, opened, model).text()
    _check(text)
    notes = [f"in another workbook {one} and {two} have to hold the same"
             for one, two in opened.twins]  # fmt: skip
    if opened.fixed:
        areas = ", ".join(str(area) for area, _ in opened.fixed[:_NAMED])
        more = f" and {len(opened.fixed) - _NAMED} more" if len(opened.fixed) > _NAMED else ""
        notes.append(f"it refuses a workbook that holds other values in {areas}{more}")
    return text, tuple(notes)


def _check(text: str) -> None:
    """Raise ModelError where a file would do more than define its functions and its class."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ModelError(
            f"the program cannot be written as Python source ({type(error).__name__}): export "
            '`to="pt2"` or onnx'
        ) from None
    docstring, *others = statements
    if not isinstance(docstring, ast.Expr) or not all(isinstance(o, _DEFINING) for o in others):
        raise ModelError("text of the workbook would become code: please report it")


class _Writer:
    def __init__(
        self, model: SheetModel, folder: Path, opened: Opened | None = None,
        predicting: SheetModel | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.predicting = predicting
        data = opened.data if opened else ()
        self.fixed = opened.fixed if opened else ()
        self.twins = opened.twins if opened else ()
        self.weights = [item for item in model.variables if item.cells not in data]
        self.data = [item for item in model.variables if item.cells in data]
        self.folder = folder
        self.workbook = model.compiled.workbook
        self.problem = model.problem
        self.kept: set[fx.Node] = set()
        self.own = OwnFunctions()
        self.names: dict[fx.Node, str] = {}
        self.notes: dict[fx.Node, tuple[CellRange, str]] = {}
        self._refuse_unsaved()

    def _refuse_unsaved(self) -> None:
        for variable in self.model.variables:
            present = self.model.parameter(variable).detach().cpu().to(variable.start.dtype)
            if not torch.equal(present, variable.start):
                raise SelectionError(
                    "the weights of the file are read from the workbook, and the model has others: "
                    "save the result, and export the model of the saved workbook"
                )

    # ------------------------------------------------------------ the file

    def text(self) -> str:
        """The whole file."""
        self._rename(self.model.graph)
        loops = [self._loop(node) for node in self.model.graph.nodes if node.op == "call_module"]
        predict, forward = self._forward()
        raw = [] if predict else self._predict()
        inputs = self._inputs()
        body = "\n".join(inputs)
        helpers = [_CELLS]
        if "blank(book" in body:
            helpers.append(_BLANK)
        if "says(book" in body:
            helpers.append(_SAYS)
        if "numbers(\n" in body:
            helpers.append(_NUMBERS)
        if self.fixed:
            helpers += [f"\n{inspect.getsource(fingerprint).replace(_UNTYPED, '')}", _FIXED]
        if self.twins:
            helpers.append(_TWINS)
        if raw:
            helpers.append(_ROWS)
        own = self.own.texts()
        name = self._class_name()
        code = "\n".join([*forward, *predict, *raw, *own, *loops])
        if re.search(r"^[^#\n]*\boperator\.", code, re.MULTILINE):
            self.own.imports.add("import operator")
        uses_functional = re.search(r"^[^#\n]*\bF\.[a-z]\w*\(", code, re.MULTILINE) is not None
        parts = [self._head(body, uses_functional), *helpers, *own, *loops]
        parts.append(
            f"\nclass {name}(nn.Module):\n"
            f'    """{self._clean(self._purpose())}"""\n\n'
            "    def __init__(self, book):\n        super().__init__()\n"
            + ("        refuse_others(book)\n" if self.fixed else "")
            + ("        refuse_unlike(book)\n" if self.twins else "")
            + body
            + ("\n\n" + "\n".join(predict) if predict else "")
            + "\n\n    def forward(self):\n"
            + "\n".join(forward)
            + "\n"
            + "\n".join(raw)
        )
        parts.append(self._main(name))
        return "\n".join(parts)

    def _class_name(self) -> str:
        words = re.findall(r"[A-Za-z0-9]+", self.problem.sheet)
        name = "".join(word[:1].upper() + word[1:] for word in words)
        free = name[:1].isalpha() and name not in _TAKEN and name not in self.own.sources
        return name if free else f"Sheet{name}"

    def _purpose(self) -> str:
        goal = {"min": "as small", "max": "as large"}.get(self.problem.sense)
        what = f"{goal} as can be" if goal else f"equal to {self.problem.target:g}"
        return f"{self.problem.objective}, to be made {what} by training."

    def _head(self, body: str, uses_functional: bool) -> str:
        path = self.workbook.path
        try:
            relative = os.path.relpath(path.resolve(), self.folder.resolve()).replace("\\", "/")
        except ValueError:  # another drive of Windows
            relative = path.resolve().as_posix()
        notes = ""
        if self.problem.constraints:
            notes = "\nThe constraints of the Solver model are not kept here, bounds are.\n"
        packed = "import base64\nimport zlib\n" if "numbers(\n" in body else ""
        packed += "import hashlib\n" if self.fixed else ""
        functional = "import torch.nn.functional as F\n" if uses_functional else ""
        standard = sorted(
            [*packed.splitlines(), *(self.own.imports & _STANDARD), "import argparse", "import sys"]
        )
        numpy, scipy = (f"{line}\n" if line in self.own.imports else "" for line in (NUMPY, SCIPY))
        sheet, name = self._clean(self.problem.sheet), self._clean(path.name)
        title = textwrap.fill(f'"""Sheet {sheet} of {name} as PyTorch, line by line.', WIDTH)
        return (
            f"{title}\n{notes}\n"
            "Written by xl2torch. Data and weights are read from the workbook, which stays as it "
            "is; run\nas a program, it trains the weights and prints the objective before and "
            "after.\n"
            '"""\n\n'
            + "\n".join(standard)
            + "\nfrom datetime import date, datetime, time, timedelta\nfrom pathlib import Path\n\n"
            f"{numpy}import openpyxl\n{scipy}import torch\n{functional}"
            "from openpyxl.utils.cell import range_boundaries\n"
            "from openpyxl.utils.datetime import to_excel\nfrom torch import nn\n\n"
            f"WORKBOOK = Path(__file__).parent / {quoted_path(relative)}\n" + self._fixed_cells()
        )

    def _fixed_cells(self) -> str:
        """Ranges whose values are in the file, with what they are, and pairs that hold the same."""
        pairs = "".join(
            f'    ({quoted(one.sheet)}, "{one.a1}", {quoted(two.sheet)}, "{two.a1}"),\n'
            for one, two in self.twins
        )
        same = f"SAME = (\n{pairs})\n" if pairs else ""
        if not self.fixed:
            return same
        lines = "".join(
            f'    ({quoted(area.sheet)}, "{area.a1}",\n     "{known}"),\n'
            for area, known in self.fixed
        )
        return f"FIXED = (\n{lines})\n{same}"

    def _main(self, name: str) -> str:
        loss = {"min": "model()", "max": "-model()"}.get(
            self.problem.sense, f"(model() - {self.problem.target!r}) ** 2"
        )
        bounds = [line for variable in self.weights for line in _bounds(variable)]
        kept = ""
        if bounds:
            inside = "\n".join(f"            {line}" for line in bounds)
            kept = f"        with torch.no_grad():\n{inside}\n"
        return (
            "\ndef train(model, steps=1000, lr=0.01):\n"
            '    """What Solve does in Excel: change the weights; the best that were met stay."""\n'
            "    optimizer = torch.optim.Adam(model.parameters(), lr=lr)\n"
            "    weights = [item.detach().clone() for item in model.parameters()]\n"
            '    best = float("inf")\n'
            "    for _ in range(steps + 1):\n"
            "        optimizer.zero_grad()\n"
            f"        loss = {loss}\n"
            "        if loss.item() < best:\n"
            "            best = loss.item()\n"
            "            weights = [item.detach().clone() for item in model.parameters()]\n"
            "        loss.backward()\n"
            f"        optimizer.step()\n{kept}"
            "    with torch.no_grad():\n"
            "        for item, weight in zip(model.parameters(), weights, strict=True):\n"
            "            item.copy_(weight)\n"
            "\n\n"
            "def main():\n"
            '    """Train the model of a workbook, and print the objective before and after."""\n'
            "    parser = argparse.ArgumentParser(description=main.__doc__)\n"
            '    parser.add_argument("workbook", nargs="?", default=WORKBOOK, help="with the same '
            'layout")\n'
            '    parser.add_argument("--steps", type=int, default=1000)\n'
            '    parser.add_argument("--lr", type=float, default=0.01, help="learning rate")\n'
            "    given = parser.parse_args()\n"
            "    book = openpyxl.load_workbook(given.workbook, read_only=True, data_only=True)\n"
            "    try:\n"
            f"        model = {name}(book)\n"
            "    except ValueError as error:\n"
            "        sys.exit(str(error))\n"
            '    print("objective in the workbook:", model().item())\n'
            "    train(model, given.steps, given.lr)\n"
            '    print("after training:", model().item())\n'
            "\n\n"
            'if __name__ == "__main__":\n'
            "    main()\n"
        )

    # ------------------------------------------------------------ data and weights

    def _inputs(self) -> list[str]:
        lines: list[str] = []
        nodes = [node for node in self.model.graph.nodes if node.op == "get_attr"]
        areas = [cells for node in nodes if (cells := facts(node).cells) is not None]
        parameters = {variable.name for variable in self.model.variables}
        for node in nodes:
            if str(node.target) in parameters:
                continue
            value = getattr(self.model, str(node.target))
            cells = facts(node).cells
            text = cells_text(self.workbook, cells, value)
            text = text or blank_text(self.workbook, areas, value)
            text = text or says_text(self.workbook, self._texts, value)
            source = [text] if text else literal_lines(value)
            lines += _called(f'self.register_buffer("{node.target}", ', source)
        for variable in [*self.data, *self.weights]:
            text = cells_text(self.workbook, variable.cells, variable.start)
            source = [text] if text else literal_lines(variable.start)
            call = (
                "self.{} = nn.Parameter("
                if variable in self.weights
                else 'self.register_buffer("{}", '
            )
            lines += _called(call.format(variable.name), source)
        return lines

    @cached_property
    def _texts(self) -> list[CellRange]:
        """Columns that the trained formulas read, which may be of text."""
        return [
            replace(area, left=place, right=place)
            for area in read_directly(self.model)
            for place in range(area.left, area.right + 1)
            if area.size <= _LARGEST_TABLE
        ]

    # ------------------------------------------------------------ the program

    def _forward(self) -> tuple[list[str], list[str]]:
        """The methods ``predict``, where rows are predicted in the program, and ``forward``."""
        graph = self.model.graph
        (output,) = (node for node in graph.nodes if node.op == "output")
        result: Any = output.args[0]
        if isinstance(result, fx.Node) and result.op == "call_function":
            self.kept.add(result)
        part = None if self.predicting is None else find_row_part(self.model, self.weights)
        if part is None:
            return [], self._body(graph, result, set(graph.nodes))
        self.kept.add(part.output)
        rows = {node: str(node.target) for node in part.rows}
        self.names |= rows
        head = _in_brackets("def predict(", ["self", *rows.values()], "):", "    ")
        cells = [facts(node).cells for node in rows]
        shown = ", ".join(
            f"{name} {area.a1}" for name, area in zip(rows.values(), cells, strict=True) if area
        )
        about = f'{_INDENT}"""Predictions of rows, given as the sheet has them: {shown}."""'
        predict = [*head, *_in_words(about), *self._body(graph, part.output, part.inner)]
        for node in rows:
            del self.names[node]
        call = _in_brackets(
            f"{self._name(part.output)} = self.predict(",
            [f"self.{name}" for name in rows.values()], ")", _INDENT,
        )  # fmt: skip
        return predict, [*call, *self._body(graph, result, set(graph.nodes) - part.inner)]

    def _body(self, graph: fx.Graph, result: Any, only: Collection[fx.Node]) -> list[str]:
        """Statements of some nodes, which return a result."""
        lines = self._lines(graph, result, only)
        if result not in self.kept:
            lines.append(f"{_INDENT}return {self._printer().operand(result)}")
        return lines

    def _predict(self) -> list[str]:
        """A method from new rows to predictions; nothing where the sheet predicts no rows alone."""
        if self.predicting is None:
            return []
        try:
            rows = self.predicting.predictor().rows
            with torch.no_grad():
                rows.check(lambda given: rows.module.forward(*given), fewest=2)
        except (Xl2TorchError, RuntimeError):  # of another number of rows, or none
            return []
        graph = rows.module.graph
        if any(node.op == "call_module" for node in graph.nodes):
            return []
        self._rename(graph)
        weights = {variable.name for variable in self.weights}
        lines = [
            "", "    def predict(self, rows):",
            '        """Predictions for new rows, a dict of columns by heading.', "",
            "        What the sheet computes over all its rows is that of the workbook which this",
            '        file was written for."""',
        ]  # fmt: skip
        for node in graph.find_nodes(op="placeholder"):
            self.names[node] = name = f"new_{node.name}"
            heading = quoted(rows.headers[str(node.target)])
            lines.append(f"{_INDENT}{name} = column(rows, {heading})")
        for count, node in enumerate(graph.find_nodes(op="get_attr")):
            if str(node.target) not in weights:
                self.names[node] = f"constant_{count}"
                lines += _called_plain(f"constant_{count} = ", literal_lines(
                    rows.module.get_buffer(str(node.target))))  # fmt: skip
        (output,) = graph.find_nodes(op="output")
        results: Any = output.args[0]
        self.kept.update(item for item in results if item.op == "call_function")
        lines += self._lines(graph, None)
        names = [self._printer().operand(item) for item in results]
        return [*lines, f"{_INDENT}return {', '.join(names)}", ""]

    def _rename(self, graph: fx.Graph) -> None:
        """Give names of their own to values that are called as a function or a module is."""
        calls = [node for node in graph.nodes if node.op in ("call_function", "call_module")]
        own = {short_name(n.target) for n in calls if n.op == "call_module" or is_own(n.target)}
        taken, names = {*_MODULES, *own}, {node.name for node in graph.nodes}
        for node in calls:
            name = node.name
            while name in taken or (name != node.name and name in names):
                name += "_"
            if name != node.name:
                self.names[node] = name
                taken.add(name)

    def _lines(
        self, graph: fx.Graph, result: fx.Node | None, only: Collection[fx.Node] | None = None
    ) -> list[str]:
        """Statements of a program, or some of its nodes, with cells and formulas above them."""
        depths: dict[fx.Node, int] = {}
        for node in graph.nodes:
            if node.op not in ("call_function", "call_module"):
                continue
            below = [depths.get(item, 0) for item in node.all_input_nodes]
            depths[node] = 1 + max(below, default=0)
            if self._stands_alone(node) or depths[node] > _DEEPEST:
                self.kept.add(node)
                depths[node] = 0
        while True:
            statements = [(node, self._statement(node, result)) for node in graph.nodes
                          if node in self.kept]  # fmt: skip
            long = [node for node, text in statements if len(text) > WIDTH - 8]
            if not self._hoist_all(long, result):
                break
        lines: list[str] = []
        for node, text in statements:
            if only is not None and node not in only:
                continue
            lines += self._comments(node)
            lines += _wrapped(text)
        return lines

    def _loop(self, call: fx.Node) -> str:
        """A function for formulas that run down the rows, each reading those before."""
        loop = self.model.get_submodule(str(call.target))
        assert isinstance(loop, Recurrence)
        graph = loop.body.graph
        self._rename(graph)
        changing, fixed = loop.counts
        starts = [f"{{}}_{index}_{-place}" for index, place in loop.starts]
        arguments = [
            *(f"x_{number}" for number in range(changing)),
            *(f"fixed_{number}" for number in range(fixed)),
            *(text.format("start") for text in starts), *(text.format("mask") for text in starts),
        ]  # fmt: skip
        head = []
        for node, (kind, place) in zip(
            graph.find_nodes(op="placeholder"), loop.inputs, strict=True
        ):
            word, _, number = kind.partition(" ")
            if word in ("x", "fixed"):
                self.names[node] = f"x_{place}[row]" if word == "x" else f"fixed_{place}"
                continue
            back, masked = abs(place), word == "mask"
            name = self.names[node] = f"{'valid' if masked else 'before'}_{number}_{back}"
            first = [
                f"{'mask' if masked else 'start'}_{number}_{back - row}" for row in range(back)
            ]
            before = f"rows[row - {back}][{2 * int(number) + masked}]"
            opening, closing = ("", "") if back == 1 else ("(", ")[row]")
            opening = f"{name} = {before} if row >= {back} else {opening}"
            head += _in_brackets(opening, first, closing, _INDENT)
        constants = []
        for count, node in enumerate(graph.find_nodes(op="get_attr")):
            self.names[node] = f"constant_{count}"
            start, *rest = literal_lines(loop.body.get_buffer(str(node.target)))
            constants += [f"    constant_{count} = {start}", *(f"    {line}" for line in rest)]
        (output,) = graph.find_nodes(op="output")
        self.kept.update(item for item in output.all_input_nodes if item.op == "call_function")
        found: Any = output.args[0]
        used = {user.args[1]: facts(user) for user in call.users}
        for output_place, known in used.items():
            item = found[output_place]
            if isinstance(item, fx.Node) and known.cells is not None:
                self.notes[item] = (known.cells, known.formula or "")
        lines = self._lines(graph, None)
        printed = [self._printer().operand(item) for item in found]
        turned = "" if loop.in_order else ".flip(0)"
        results = [
            "None"
            if item is None or place not in used
            else f"torch.stack([row[{place}] for row in rows]){turned}"
            for place, item in enumerate(found)
        ]
        text = [
            *_in_brackets(f"def {short_name(call.target)}(", arguments, "):", ""),
            f'    """{loop.steps} rows one after the other; each reads what came before."""',
            *constants,
            "    rows = []",
            f"    for row in range({loop.steps}):",
            *head,
            *lines,
            *_in_brackets("rows.append((", printed, "))", _INDENT),
            "    return (",
            *(f"{_INDENT}{item}," for item in results),
            "    )",
        ]
        return "\n" + "\n".join(text) + "\n"

    def _stands_alone(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return True
        if not isinstance(facts(node).value, torch.Tensor):
            return False  # the parts of a split are printed as slices
        if facts(node).cells is not None:
            return True
        moves = (torch.t, torch.select, torch.squeeze, torch.clone)
        piece = node.target in moves or getattr(node.target, "__name__", "") == "getitem"
        return len(node.users) > 1 and not piece

    def _hoist_all(self, long: list[fx.Node], result: fx.Node | None) -> bool:
        """Shorten statements by names for their parts, and these in turn; whether any was."""
        changed = False
        while long:
            before = set(self.kept)
            shortened = [node for node in long if self._hoist(node)]
            changed = changed or bool(shortened)
            fresh = [*shortened, *(self.kept - before)]
            long = [node for node in fresh if len(self._statement(node, result)) > WIDTH - 8]
        return changed

    def _hoist(self, node: fx.Node) -> bool:
        """Give the longest part of an expression a name of its own."""
        printer = self._printer()
        parts = [
            item
            for item in node.all_input_nodes
            if item.op == "call_function" and item not in self.kept
            and isinstance(facts(item).value, torch.Tensor)
        ]  # fmt: skip
        longest = max(parts, key=lambda item: len(printer.operand(item)), default=None)
        if longest is None or len(printer.operand(longest)) < 20:
            return False
        self.kept.add(longest)
        return True

    def _printer(self) -> Printer:
        return Printer(self._name, qualified=True)

    def _name(self, node: fx.Node) -> str | None:
        if node.op == "call_function" and node not in self.kept:
            return None
        if node in self.names:
            return self.names[node]
        if node.op == "get_attr":
            return f"self.{node.target}"
        return node.name if node in self.kept else None

    def _statement(self, node: fx.Node, result: fx.Node | None) -> str:
        for item in self._reached(node):
            if is_own(item.target):
                self.own.call(item.target)
        text = self._printer().expression(node)
        return f"return {text}" if node is result else f"{self._name(node)} = {text}"

    def _reached(self, node: fx.Node) -> list[fx.Node]:
        found = [node]
        for item in found:
            found += [inner for inner in item.all_input_nodes if inner not in self.kept]
        return found

    def _comments(self, node: fx.Node) -> list[str]:
        lines = [*facts(node).parts]
        if node in self.notes:
            lines.append(self.notes[node])
        if (cells := facts(node).cells) is not None:
            lines.append((cells, facts(node).formula or ""))
        return [f"{_INDENT}# {self._place(cells)}: ={self._clean(formula)}"[:WIDTH].rstrip()
                for cells, formula in lines]  # fmt: skip

    def _place(self, cells: CellRange) -> str:
        text = cells.a1 if cells.sheet == self.problem.sheet else str(cells)
        return self._clean(text)

    @staticmethod
    def _clean(text: str) -> str:
        """Text of the workbook that cannot leave the comment or the docstring it stands in."""
        shown = plain(text).replace("_xlfn.", "").replace("\\", "/")
        return shown.replace('"""', "'''").rstrip('"')


def _bounds(variable: Variable) -> list[str]:
    """Statements that keep a weight within its limits."""
    if not variable.bounded:
        return []
    limits = []
    for limit, empty in ((variable.lower, -math.inf), (variable.upper, math.inf)):
        values = sorted(set(limit.reshape(-1).tolist()))
        if values == [empty]:
            limits.append("None")
        elif len(values) == 1:
            limits.append(repr(values[0]))
        else:
            text = repr(limit.tolist()).replace("inf", 'float("inf")')
            limits.append(f"torch.tensor({text}, dtype=torch.float64)")
    return [f"model.{variable.name}.clamp_({limits[0]}, {limits[1]})"]


def _in_words(text: str) -> list[str]:
    """A docstring over several lines where it is long."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=_INDENT, break_on_hyphens=False)


def _called_plain(opening: str, value: Sequence[str]) -> list[str]:
    """An assignment of code of some lines."""
    first, *rest = value
    return [f"{_INDENT}{line}" for line in (opening + first, *rest)]


def _called(opening: str, value: Sequence[str]) -> list[str]:
    """A call whose last argument is code of some lines."""
    first, *rest = value
    if len(value) == 1 and len(_INDENT + opening + first) >= WIDTH:
        return [f"{_INDENT}{opening}".rstrip(), f"{_INDENT}    {first}", f"{_INDENT})"]
    lines = [f"{_INDENT}{line}" for line in (opening + first, *rest)]
    return [*lines[:-1], lines[-1] + ")"]


def _wrapped(statement: str, indent: str = _INDENT) -> list[str]:
    """A statement in lines of the width; broken after commas of its outermost call."""
    if len(statement) <= WIDTH - len(indent):
        return [indent + statement]
    broken = _broken(statement, indent)
    return broken or [f"{indent}# fmt: off", indent + statement + "  # noqa: E501"]


def _broken(text: str, indent: str, end: str = "") -> list[str]:
    """A call or a tuple over several lines; empty where the text is neither."""
    opening = text.find("(")
    if opening < 0 or not _closes_at_end(text[opening:]):
        return []
    items = [item for item in _arguments(text[opening + 1 : -1]) if item]
    is_call = text[:opening][-1:].isalnum() or text[:opening].endswith("_")
    if not is_call and "," not in text:
        return []  # an expression in brackets: a comma would make it a tuple
    return _in_brackets(text[: opening + 1], items, f"){end}", indent)


def _closes_at_end(text: str) -> bool:
    """Whether the bracket that a text begins with is closed by its last character."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return place == len(text) - 1
    return False


def _in_brackets(opening: str, items: Sequence[str], closing: str, indent: str) -> list[str]:
    """Items by comma between brackets, over several lines where they do not fit into one."""
    single = f"{indent}{opening}{', '.join(items)}{closing}"
    if len(single) <= WIDTH:
        return [single]
    lines, current = [indent + opening], ""
    for item in items:
        broken = []
        if len(indent) + len(item) + 5 > WIDTH:
            broken = _broken(item, indent + "    ", ",")
        if broken:
            lines += [f"{indent}    {current}".rstrip()] * bool(current)
            lines, current = lines + broken, ""
            continue
        if current and len(indent) + len(current) + len(item) + 6 > WIDTH:
            lines.append(f"{indent}    {current}".rstrip())
            current = ""
        current += f"{item}, "
    lines += [f"{indent}    {current}".rstrip()] * bool(current)
    return [*lines, f"{indent}{closing}"]


def _arguments(text: str) -> Sequence[str]:
    """Arguments of a call, split at commas outside of brackets."""
    found, depth, start = [], 0, 0
    for place, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            found.append(text[start:place].strip())
            start = place + 1
    return [*found, text[start:].strip()]
