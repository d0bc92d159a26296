"""Outputs that are a sum, a mean, or the root of one over rows: their program for some rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.errors import ModelError, equals
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import nearest_line, node_name, parameter_nodes, with_graph
from xl2torch.passes.layout.transpose_weights import undo_transpose_weights
from xl2torch.rows.gather_to_weights import weigh_rows
from xl2torch.rows.normalisers import Divisors
from xl2torch.rows.prune_rows import only_needed_rows
from xl2torch.rows.row_search import RowAnalysis, RowsMix, is_even
from xl2torch.rows.row_trials import RowDim, RowMapping, resized

WHOLE = "Train on all data at once: leave out `batch_size` and `validation`"


@dataclass(eq=False)
class RowObjective:
    """A program whose output is computed row by row and then put together.

    ``cells`` are those rows of the sheet, in the column nearest before the output; ``form`` says
    what is done with them. For some of the rows the output is what its cell would say if the sheet
    had only these: a mean is theirs, a sum is theirs. What the sheet computes from its data alone
    (a largest value that it divides by) stays as it is. ``left_out`` are rows that add nothing,
    whatever the variable cells are.
    """

    module: fx.GraphModule
    cells: CellRange
    form: str
    left_out: torch.Tensor
    _found: Mapping[fx.Node, RowDim]
    _ways: Mapping[fx.Node, RowMapping]
    _means: Mapping[fx.Node, torch.Tensor]
    _sums: Collection[fx.Node]
    _roots: Collection[fx.Node]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.cells.rows

    def shares_rows(self, other: RowObjective) -> bool:
        """Whether another output is over the same rows, as far as both stand on the same sheets."""
        ours, theirs = self._tops, other._tops
        sheets = ours.keys() & theirs.keys()
        return self.count == other.count and not any(
            ours[sheet].isdisjoint(theirs[sheet]) for sheet in sheets
        )

    @property
    def _tops(self) -> dict[str, set[int]]:
        """Collect the first row of each range that has one row per sample, by sheet."""
        found = {self.cells.sheet: {self.cells.top}}
        for node in self._found:
            cells = facts(node).cells
            if cells is not None and cells.rows == self.count:
                found.setdefault(cells.sheet, set()).add(cells.top)
        return found

    @property
    def is_sum(self) -> bool:
        """Whether it grows with the number of rows."""
        return "mean" not in self.form

    @cached_property
    def has_other_terms(self) -> bool:
        """Whether variable cells reach the output past its sums: by a penalty on the weights, say.

        Such a term counts in full beside any number of rows.
        """
        past = set(parameter_nodes(self.module))
        for node in self.module.graph.nodes:
            if node not in self._sums and not past.isdisjoint(node.all_input_nodes):
                past.add(node)
        return self.is_sum and any(node.op == "output" for node in past)

    @property
    def inputs(self) -> list[tuple[torch.Tensor, RowDim]]:
        """What the program is given some rows of: data, numbers of rows, counts of a mean."""
        given = [
            (self.module.get_buffer(str(node.target)), self._found[node]) for node in self._data
        ]
        if self._rowed_parameters:
            given.append((torch.arange(self.count), RowDim(0)))
        return given + [(counts, RowDim(0)) for counts in self._uneven.values()]

    @property
    def data(self) -> dict[str, fx.Node]:
        """The data among the ``inputs``, by name."""
        return {str(node.target): node for node in self._data}

    @property
    def names(self) -> list[str]:
        """Names of the ``inputs``, those of data from the sheet's headings."""
        given = list(self.data)
        given += ["row_numbers"] * bool(self._rowed_parameters)
        return given + [f"counts_of_{node.name}" for node in self._uneven]

    def program(self, count: int, as_many: int | None = None) -> fx.GraphModule:
        """The program for ``count`` rows; its arguments are those rows of all ``inputs``.

        What is a sum over them is one over ``as_many`` such rows, where that is asked for.
        """
        as_many = as_many or count
        graph = fx.Graph()
        chosen = {node: graph.placeholder(f"rows_of_{node.name}") for node in self._data}
        rowed = self._rowed_parameters
        numbers = graph.placeholder("row_numbers") if rowed else None
        counts = {node: graph.placeholder(f"counts_of_{node.name}") for node in self._uneven}
        copies: dict[fx.Node, fx.Node] = {}
        for node in self.module.graph.nodes:
            way = self._ways.get(node)

            def operand(item: fx.Node, way: RowMapping | None = way) -> fx.Node:
                whole = way is None or way.operands.get(item) is None
                return copies[item] if whole else chosen.get(item, copies[item])

            copies[node] = graph.node_copy(node, operand)
            if node in rowed:
                place = (copies[node], self._found[node].dim, numbers)
                chosen[node] = graph.call_function(torch.index_select, place)
            if way is not None and way.sizes:
                copies[node].args = resized(node.args, way.sizes, self.count, count, operand)
            share: float | fx.Node = 1.0
            if node in self._means:
                share = self._share(graph, node, counts.get(node), count)
            elif node in self._sums:
                share = as_many / count
            if node in self._roots and share != 1.0:
                share = math.sqrt(share) if isinstance(share, float) else graph.call_function(
                    torch.sqrt, (share,)
                )  # fmt: skip
            if share != 1.0:
                copies[node] = graph.call_function(torch.mul, (copies[node], share))
        root = with_graph(self.module, graph)
        undo_transpose_weights(root.graph, count / self.count)
        root.recompile()
        return root

    @property
    def uneven(self) -> int:
        """How many of the inputs, the last ones, are counts of a mean."""
        return len(self._uneven)

    @property
    def only_uneven(self) -> bool:
        """Whether nothing but means of such counts is added up."""
        return 0 < len(self._uneven) == len(self._means) and not self._sums

    @property
    def _leaves(self) -> list[fx.Node]:
        return [node for node in self._found if node.op == "get_attr"]

    @property
    def _rowed_parameters(self) -> list[fx.Node]:
        parameters = set(parameter_nodes(self.module))
        return [node for node in self._leaves if node in parameters]

    @property
    def _data(self) -> list[fx.Node]:
        parameters = set(self._rowed_parameters)
        return [node for node in self._leaves if node not in parameters]

    @property
    def _uneven(self) -> dict[fx.Node, torch.Tensor]:
        """Means of other numbers than all of each row, with those counts."""
        return {node: counts for node, counts in self._means.items() if not is_even(counts)}

    def _share(
        self, graph: fx.Graph, node: fx.Node, counts: fx.Node | None, count: int
    ) -> float | fx.Node:
        """Write how many numbers the mean counts in all rows, relative to those in some of them."""
        if counts is None:
            return self.count / count
        present = graph.call_function(torch.sum, (counts,))
        share = graph.call_function(torch.div, (float(self._means[node].sum()), present))
        # A mean of which some rows hold nothing adds nothing: it is 0 · 0, not 0 · ∞.
        return graph.call_function(torch.nan_to_num, (share, 0.0, 0.0, 0.0))


def find_row_objective(
    module: fx.GraphModule, name: str, remedy: str = WHOLE, divisors: Divisors | None = None
) -> RowObjective:
    """Find the rows over which an output is a sum, a mean, or the root of either.

    ``divisors`` say what its formula divides by, as it is written.

    Raises ModelError with the cell where rows mix; ``name`` is that of the output.
    """
    module = weigh_rows(only_needed_rows(module))
    first: RowsMix | None = None
    for cells in _tables(module):
        try:
            search = RowAnalysis(module, cells, divisors or Divisors())
            total = search.output()
        except RowsMix as mixed:
            first = first or mixed
            continue
        form = f"{'root of the ' if total.root else ''}{'mean' if total.mean else 'sum'} over rows"
        left_out = search.left_out
        if left_out is None:
            left_out = torch.zeros(cells.rows, dtype=torch.bool)
        return RowObjective(
            module, cells, form, left_out, search.found, search.ways, search.means, total.sources,
            search.roots,
        )  # fmt: skip
    if first is None:
        raise ModelError(
            f"{name} is no sum or mean over rows: nothing that it reads has several rows. {remedy}"
        )
    line = nearest_line(first.node)
    cell = name if line is None else str(facts(line).cells)
    formula = "" if line is None else facts(line).formula
    raise ModelError(
        f"{name} is no sum, mean, or root of one over the rows of the sheet, one row after the "
        f"other: in {cell}{f' ({equals(formula)})' if formula else ''} {first.reason}. "
        f"{remedy}"
    )


def _tables(module: fx.GraphModule) -> list[CellRange]:
    """Cells of several rows, the nearest before the output first, one for each number of rows."""
    found: dict[int, CellRange] = {}
    parameters = parameter_nodes(module)
    for node in reversed(module.graph.nodes):
        cells = facts(node).cells
        if cells is not None and cells.rows > 1 and node.op != "output" and node not in parameters:
            found.setdefault(cells.rows, cells)
        for part, _ in reversed(facts(node).parts):
            if part.rows > 1:
                found.setdefault(part.rows, part)
        joined = _joined(node)
        if joined is not None:
            found.setdefault(joined.rows, joined)
    return list(found.values())


def _joined(node: fx.Node) -> CellRange | None:
    """Cells that formulas one above the other are put together to, with constants among them."""
    if node_name(node) != "cat":
        return None
    pieces: Any = node.args[0]
    whole: CellRange | None = None
    constants = 0
    for part in pieces:
        size = value_of(part).shape[0] if value_of(part).dim() else 1
        while facts(part).cells is None and len(part.all_input_nodes) == 1:
            (part,) = part.all_input_nodes
        area: CellRange | None = facts(part).cells
        if area is None and part.op == "get_attr":
            constants += size
        elif whole is None:
            whole, constants = area, 0
        elif area is None or area.top != whole.bottom + constants + 1:
            return None
        else:
            whole, constants = replace(whole, bottom=area.bottom), 0
    return whole
