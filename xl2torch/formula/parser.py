"""From formula text to a tree. Names and structured references are resolved on the way.

Precedence as in Excel: references, then unary ``-``, ``%``, ``^`` (left-associative), ``* /``,
``+ -``, ``&``, comparisons.
"""

from __future__ import annotations

import contextlib
import math
import re

from xl2torch.cells.address import (
    MAX_COLUMN,
    MAX_ROW,
    CellAddress,
    CellRange,
    column_number,
    single_cell,
    unquote_sheet,
)
from xl2torch.cells.values import ERRORS, NAME, REF, VALUE
from xl2torch.errors import FormulaError
from xl2torch.formula.ast import (
    ADDRESS_ONLY,
    ArrayConstant,
    Binary,
    Bound,
    Call,
    Error,
    FunctionName,
    Invoke,
    Local,
    Logical,
    Missing,
    Node,
    Number,
    Opaque,
    Reference,
    Text,
    Unary,
    children,
)
from xl2torch.formula.lexer import Token, tokenize
from xl2torch.safety.limits import MOST_NAMES, MOST_NESTED, MOST_NESTED_NAMES
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Table

_BINDING = {
    "=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1,
    "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "^": 5,
}  # fmt: skip
_UNARY_BINDING = 6
_PREFIXES = re.compile(r"^(?:_XLFN\.|_XLWS\.|_?_XLUDF\.|_XLPM\.|_XLOP\.|_XLETA\.)+", re.IGNORECASE)
_BINDING_CALLS = frozenset({"LET", "LAMBDA"})
_TAKE_FUNCTIONS = frozenset({"MAP", "REDUCE", "SCAN", "MAKEARRAY", "BYROW", "BYCOL"})
_CELL = re.compile(r"(\$?)([A-Za-z]+)(\$?)([0-9]+)")
_AREA = r"(?:'(?:[^']|'')*'|[\w.]+)![$A-Za-z0-9:]+"
_AREAS = re.compile(f"{_AREA}(?:,{_AREA})*")
_THIS_WORKBOOK = "[0]!"
FOREIGN = "DUMMYFUNCTION"
"""Google Sheets' formula as a text: the cells that it reads become further arguments."""
SPILLED = ("COMPUTED_VALUE", '"COMPUTED_VALUE"')
"""The texts in a cell that another formula of Google Sheets fills."""
_GOOGLE_CELLS = re.compile(
    r"(?:(?:'(?:[^']|'')*'|[\w.]+)!)?\$?[A-Z]{1,3}\$?[0-9]+(?::\$?[A-Z]{1,3}\$?[0-9]+)?"
)


def parse(formula: str, cell: CellAddress, workbook: Workbook) -> Node:
    """Tree of a formula (without its ``=``) that stands in ``cell``. Raises FormulaError."""
    return _Parser(formula, cell, cell, workbook, 0, [MOST_NAMES]).parse()


class _Parser:
    """Precedence climbing over the tokens of one formula."""

    def __init__(
        self, formula: str, base: CellAddress, cell: CellAddress, workbook: Workbook, depth: int,
        names_left: list[int],
    ) -> None:  # fmt: skip
        formula = formula.replace(_THIS_WORKBOOK, "")
        self.formula = formula
        self.base = base
        self.cell = cell
        self.workbook = workbook
        self.name_depth = depth
        self.names_left = names_left
        self.depth = 0
        self.locals: frozenset[str] = frozenset()
        tokens = tokenize(formula)
        self.tokens = [
            token
            for index, token in enumerate(tokens)
            if token.kind != "space" or _intersects(tokens, index)
        ]
        self.tokens.append(Token("end", "", len(formula)))
        self.index = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def next(self) -> Token:
        token = self.token
        self.index += 1
        return token

    def fail(self, reason: str) -> FormulaError:
        return FormulaError(reason, self.formula, self.token.position)

    def expect(self, text: str) -> None:
        if self.token.text != text:
            raise self.fail(f"expected {text!r}")
        self.index += 1

    def parse(self) -> Node:
        node = self.expression(0)
        if self.token.kind != "end":
            raise self.fail(f"unexpected {self.token.text!r}")
        return node

    def expression(self, minimum: int) -> Node:
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self.fail("nested too deeply")
        left = self.operand()
        signs = 0
        while self.token.kind == "operator":
            operator = self.token.text
            if operator == "%":
                self.next()
                left = Unary("%", left)
                signs += 1
                if signs > MOST_NESTED:
                    raise self.fail("too many percent signs")
                continue
            binding = _BINDING.get(operator)
            if binding is None or binding <= minimum:
                break
            self.next()
            left = Binary(operator, left, self.expression(binding))
        self.depth -= 1
        return left

    def operand(self) -> Node:
        if self.token.text in ("-", "+") and self.token.kind == "operator":
            operator = self.next().text
            return Unary(operator, self.expression(_UNARY_BINDING))
        if self.token.text == "@":
            self.next()
            return Unary("@", self.reference_expression())
        return self.reference_expression()

    def reference_expression(self) -> Node:
        node = self.primary()
        for _ in range(MOST_NESTED):
            if self.token.text == "#" and self.token.kind == "operator":
                self.next()
                node = Call("ANCHORARRAY", (node,))
            elif self.token.text == "(" and isinstance(node, Call | Invoke | Local):
                self.next()
                node = Invoke(node, self.arguments())
            elif self.token.text == ":" or self.token.kind == "space":
                operator = " " if self.token.kind == "space" else ":"
                self.next()
                node = _combine(operator, node, self.primary())
            else:
                return node
        raise self.fail("too many operators of references in a row")

    def primary(self) -> Node:
        token = self.next()
        match token.kind:
            case "number":
                number = float(token.text)
                if math.isinf(number):
                    raise self.fail("a number beyond 1.7E308")
                return Number(number)
            case "string":
                return Text(token.text[1:-1].replace('""', '"'))
            case "error":
                return Error(ERRORS[token.text])
            case "cell" | "columns" | "rows":
                # XYZ1 is a cell, XYZA1 beyond the sheet is a name that looks like one.
                if not _on_sheet(token.text):
                    return self.name(token.text, token.text, None)
                return self.area(token, self.cell.sheet)
            case "sheet":
                return self.sheet_reference(token)
            case "function":
                return self.call(token)
            case "table":
                return self.structured(token)
            case "name":
                return self.name(token.text, token.text, None)
        if token.text == "(":
            node = self.expression(0)
            while self.token.text == ",":
                self.next()
                node = Call("UNION", (node, self.expression(0)))
            self.expect(")")
            return node
        if token.text == "{":
            return self.array_constant()
        self.index -= 1
        raise self.fail(
            "something is missing" if token.kind == "end" else f"unexpected {token.text!r}"
        )

    def call(self, token: Token) -> Node:
        written = _PREFIXES.sub("", token.text[:-1])
        name = written.upper()
        if name in _BINDING_CALLS:
            return self.binding_call(name)
        arguments = self.arguments(functions=name in _TAKE_FUNCTIONS)
        if written.lower() in self.locals:
            return Invoke(Local(written.lower()), arguments)
        if self.workbook.defined_name(written, self.cell.sheet) is not None:
            return Invoke(self.name(written, written, None), arguments)
        if name == FOREIGN and arguments:
            arguments += self.cells_in(arguments[0])
        return Call(name, arguments)

    def cells_in(self, argument: Node) -> tuple[Node, ...]:
        """The cells that a formula in a text reads, as far as Excel's grammar goes.

        Where it ends (open ranges, arrays of ranges) it is all that looks like cells.
        """
        if not isinstance(argument, Text):
            return ()
        try:
            stack = [self._parsed(argument.value.removeprefix("="))]
        except FormulaError:
            stack = []
            for match in _GOOGLE_CELLS.finditer(argument.value):
                with contextlib.suppress(FormulaError):
                    stack.append(self._parsed(match[0]))
        found: list[Node] = []
        while stack:
            node = stack.pop()
            if isinstance(node, Reference):
                found += [] if self._is_own(node) else [node]
            elif isinstance(node, Call) and node.function in ("INDIRECT", "OFFSET"):
                found.append(node)
            elif not (isinstance(node, Call) and node.function in ADDRESS_ONLY):
                stack += children(node)
        return tuple(found)

    def _parsed(self, formula: str) -> Node:
        return _Parser(
            formula, self.base, self.cell, self.workbook, self.name_depth, self.names_left
        ).parse()

    def _is_own(self, node: Reference) -> bool:
        """Whether a reference means the formula's own cell among others."""
        top, bottom = (bound.at(self.cell.row) for bound in (node.top, node.bottom))
        left, right = (bound.at(self.cell.column) for bound in (node.left, node.right))
        rows, columns = sorted((top, bottom)), sorted((left, right))
        area = CellRange(node.sheet, rows[0], columns[0], rows[1], columns[1])
        return area.contains(single_cell(self.cell))

    def arguments(self, functions: bool = False) -> tuple[Node, ...]:
        """Arguments up to the closing parenthesis; ``functions``: a bare name is a function."""
        found: list[Node] = []
        if self.token.text != ")":
            found.append(self.argument(functions))
            while self.token.text in (",", ";") and self.token.kind == "operator":
                self.next()
                found.append(self.argument(functions))
        self.expect(")")
        return tuple(found)

    def binding_call(self, function: str) -> Node:
        """LET and LAMBDA: a name that stands alone before a comma is defined here."""
        outer = self.locals
        arguments: list[Node] = []
        pending = ""
        while True:
            following = self.tokens[min(self.index + 1, len(self.tokens) - 1)].text
            bare = self.token.kind in ("name", "table") and following in (",", ";")
            if bare and (function == "LAMBDA" or len(arguments) % 2 == 0):
                optional = self.token.kind == "table" or self.token.text.lower()[:6] == "_xlop."
                name = _PREFIXES.sub("", self.next().text.strip("[]")).lower()
                arguments.append(Local(name, optional))
                if function == "LAMBDA":
                    self.locals |= {name}
                pending = name
            else:
                arguments.append(self.argument())
                self.locals |= {pending} if pending else set()
            if self.token.text not in (",", ";") or self.token.kind != "operator":
                break
            self.next()
        self.expect(")")
        self.locals = outer
        return Call(function, tuple(arguments))

    def argument(self, functions: bool = False) -> Node:
        if self.token.text in (",", ";", ")") and self.token.kind == "operator":
            return Missing()
        if functions and self.token.kind == "name" and self.tokens[self.index + 1].text in ",)":
            name = _PREFIXES.sub("", self.token.text)
            known = name.upper() in ("TRUE", "FALSE") or name.lower() in self.locals
            if not known and self.workbook.defined_name(name, self.cell.sheet) is None:
                self.next()
                return FunctionName(name.upper())
        return self.expression(0)

    def array_constant(self) -> Node:
        rows: list[tuple[Number | Text | Logical | Error, ...]] = []
        row: list[Number | Text | Logical | Error] = []
        while True:
            sign = 1.0
            while self.token.text in ("-", "+"):
                sign = -sign if self.next().text == "-" else sign
            item = self.primary()
            if isinstance(item, Number):
                row.append(Number(sign * item.value))
            elif isinstance(item, Text | Logical | Error):
                row.append(item)
            else:
                raise self.fail("an array constant holds only constants")
            separator = self.next().text
            if separator == ",":
                continue
            rows.append(tuple(row))
            row = []
            if separator == "}":
                if len({len(line) for line in rows}) != 1:
                    raise self.fail("rows of an array constant differ in length")
                return ArrayConstant(tuple(rows))
            if separator != ";":
                self.index -= 1
                raise self.fail("expected '}'")

    def sheet_reference(self, token: Token) -> Node:
        sheet = unquote_sheet(token.text[:-1])
        following = self.next()
        whole = token.text + following.text
        if following.kind == "error":
            return Error(REF)
        found = self.workbook.find_sheet(sheet)
        if "[" in sheet and (found is None or following.kind == "name"):
            return Opaque(whole, "a link to another workbook of which nothing is kept", closed=True)
        if found is None:
            if ":" in sheet:
                return Opaque(whole, "a reference through several sheets")
            if sheet.lower() == self.workbook.path.name.lower():
                return self.name(following.text, whole, None)
            return Error(REF)
        if following.kind in ("cell", "columns", "rows"):
            return self.area(following, found.name)
        if following.kind == "name":
            return self.name(following.text, whole, found.name)
        raise FormulaError("expected a cell after the sheet", self.formula, following.position)

    def area(self, first: Token, sheet: str) -> Node:
        if first.kind == "columns":
            start, _, end = first.text.partition(":")
            left, right = self.column_bound(start), self.column_bound(end)
            return _ordered(sheet, Bound(1, False), left, Bound(MAX_ROW, False), right)
        if first.kind == "rows":
            start, _, end = first.text.partition(":")
            top, bottom = self.row_bound(start), self.row_bound(end)
            return _ordered(sheet, top, Bound(1, False), bottom, Bound(MAX_COLUMN, False))
        top, left = self.cell_bounds(first.text)
        bottom, right = top, left
        if self.token.text == ":" and self.tokens[self.index + 1].kind == "cell":
            self.next()
            bottom, right = self.cell_bounds(self.next().text)
        return _ordered(sheet, top, left, bottom, right)

    def cell_bounds(self, text: str) -> tuple[Bound, Bound]:
        match = _CELL.fullmatch(text)
        assert match is not None  # the token pattern is narrower
        return self.row_bound(match[3] + match[4]), self.column_bound(match[1] + match[2])

    def row_bound(self, text: str) -> Bound:
        row = int(text.lstrip("$"))
        if not 1 <= row <= MAX_ROW:
            raise self.fail(f"no sheet has a row {row}")
        return Bound(row, False) if text[0] == "$" else Bound(row - self.base.row, True)

    def column_bound(self, text: str) -> Bound:
        column = column_number(text.lstrip("$"))
        if column > MAX_COLUMN:
            raise self.fail(f"no sheet has a column {text}")
        return Bound(column, False) if text[0] == "$" else Bound(column - self.base.column, True)

    def name(self, name: str, shown: str, sheet: str | None) -> Node:
        local = _PREFIXES.sub("", name).lower()
        if sheet is None and local in self.locals:
            return Local(local)
        if name.upper() in ("TRUE", "FALSE") and sheet is None:
            return Logical(name.upper() == "TRUE")
        table = self.workbook.table(name)
        if table is not None and sheet is None:
            return _table_area(table, 0, len(table.columns) - 1, {"#data"}, self.cell)
        defined = self.workbook.defined_name(name, sheet or self.cell.sheet)
        if defined is None:
            return Error(NAME)
        if self.name_depth >= MOST_NESTED_NAMES:
            return Opaque(shown, f"the name {name} refers to itself")
        self.names_left[0] -= 1
        if self.names_left[0] < 0:
            return Opaque(shown, f"more than {MOST_NAMES:,} names within names")
        base = CellAddress(sheet or self.cell.sheet, 1, 1)
        text = defined.text
        try:
            if "," in text and _AREAS.fullmatch(text):
                text = f"({text})"  # several areas
            return _Parser(
                text, base, self.cell, self.workbook, self.name_depth + 1, self.names_left
            ).parse()
        except FormulaError as error:
            return Opaque(shown, f"the name {name} does not parse: {error.reason}")

    def structured(self, token: Token) -> Node:
        """``Table[[#This Row],[A]:[B]]`` and its kin (ECMA-376 part 1, 18.17.6.5)."""
        name, _, inside = token.text.partition("[")
        inside = inside[:-1]
        table = self.workbook.table(name) if name else self.table_around()
        if table is None:
            return Error(REF if name else NAME)
        items: set[str] = set()
        columns: list[str] = []
        spans = 0
        if inside.startswith("@"):
            items.add("#this row")
            inside = inside[1:]
        if not re.match(r"\s*\[", inside):
            pieces = [inside] if inside.strip() else []
        else:
            pieces = re.findall(r"\[((?:[^\[\]']|'.)*)\]", inside)
            spans = len(re.findall(r"\]\s*:\s*\[", inside))
        for piece in pieces:
            plain = re.sub(r"'(.)", r"\1", piece)
            if piece.lstrip().startswith("#"):
                items.add(piece.strip().lower())
            elif piece.startswith("@"):
                items.add("#this row")
                columns.append(plain[1:])
            else:
                columns.append(plain)
        lowered = [column.lower() for column in table.columns]
        try:
            indices = [lowered.index(column.lower()) for column in columns]
        except ValueError:
            return Error(REF)
        if len(indices) > 1 and not spans:
            return Opaque(token.text, "a union of table columns")
        first, last = (min(indices), max(indices)) if indices else (0, len(lowered) - 1)
        return _table_area(table, first, last, items or {"#data"}, self.cell)

    def table_around(self) -> Table | None:
        """The table that holds the formula's own cell (``[@Age]`` without a name)."""
        for table in self.workbook.sheet(self.cell.sheet).tables:
            area = table.range
            inside = area.top <= self.cell.row <= area.bottom
            if inside and area.left <= self.cell.column <= area.right:
                return table
        return None


def _table_area(table: Table, first: int, last: int, items: set[str], cell: CellAddress) -> Node:
    area = table.range
    data_top, data_bottom = area.top + table.header_rows, area.bottom - table.totals_rows
    left, right = Bound(area.left + first, False), Bound(area.left + last, False)
    if "#this row" in items:
        if not data_top <= cell.row <= data_bottom:
            return Error(VALUE)
        row = Bound(0, True)
        return Reference(area.sheet, row, left, row, right)
    tops: list[int] = []
    bottoms: list[int] = []
    if items & {"#all", "#headers"} and table.header_rows:
        tops.append(area.top)
        bottoms.append(data_top - 1)
    if items & {"#all", "#data"}:
        tops.append(data_top)
        bottoms.append(data_bottom)
    if items & {"#all", "#totals"} and table.totals_rows:
        tops.append(data_bottom + 1)
        bottoms.append(area.bottom)
    if not tops:
        return Error(REF)
    top, bottom = Bound(min(tops), False), Bound(max(bottoms), False)
    return Reference(area.sheet, top, left, bottom, right)


def _ordered(sheet: str, top: Bound, left: Bound, bottom: Bound, right: Bound) -> Reference:
    if top.relative == bottom.relative and top.value > bottom.value:
        top, bottom = bottom, top
    if left.relative == right.relative and left.value > right.value:
        left, right = right, left
    return Reference(sheet, top, left, bottom, right)


def _combine(operator: str, left: Node, right: Node) -> Node:
    if operator == ":" and isinstance(left, Reference) and isinstance(right, Reference):
        hull = _hull(left, right)
        if hull is not None:
            return hull
    return Call("RANGE" if operator == ":" else "INTERSECTION", (left, right))


def _hull(left: Reference, right: Reference) -> Reference | None:
    """The smallest range around both, where that is the same for every copy."""
    bounds = []
    for sides, choose in (
        ((left.top, right.top), min), ((left.left, right.left), min),
        ((left.bottom, right.bottom), max), ((left.right, right.right), max),
    ):  # fmt: skip
        if sides[0].relative != sides[1].relative:
            return None
        bounds.append(choose(sides, key=lambda bound: bound.value))
    return Reference(left.sheet, *bounds) if left.sheet == right.sheet else None


def _on_sheet(text: str) -> bool:
    """Whether what looks like a cell is one: YTD2024 is a name."""
    return all(
        column_number(letters) <= MAX_COLUMN and (not digits or 1 <= int(digits) <= MAX_ROW)
        for letters, digits in re.findall(r"\$?([A-Za-z]*)\$?(\d*)", text)
        if letters or digits
    )


def _intersects(tokens: list[Token], index: int) -> bool:
    """Whether a blank is the intersection operator: between two references."""
    if index == 0 or index + 1 >= len(tokens):
        return False
    before, after = tokens[index - 1], tokens[index + 1]
    operands = ("cell", "columns", "rows", "name", "table", "sheet")
    return (before.kind in operands or before.text == ")") and (
        after.kind in operands or after.kind == "function"
    )
