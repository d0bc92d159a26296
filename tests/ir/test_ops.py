"""The table of operators: each row is tried out, and no other table of them stands anywhere."""

from __future__ import annotations

import ast
import importlib
import operator
import pkgutil
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import fx
from torch.nn import functional

import xl2torch
from xl2torch.analysis.linearity import operands
from xl2torch.errors import ModelError
from xl2torch.ir import ops
from xl2torch.ir.ops import Bend, Group, Operator, find_operator, operators, recorded
from xl2torch.ir.printing import function_name
from xl2torch.ir.spec import check
from xl2torch.ir.trace import Trace, apply

PACKAGE = Path(xl2torch.__file__).parent
for module in pkgutil.iter_modules([str(PACKAGE / "functions")]):  # rows of functions of our own
    importlib.import_module(f"xl2torch.excel.{module.name}")
importlib.import_module("xl2torch.lowering.growth")

Call = tuple[list[Any], dict[str, Any]]
RANGES = ((-3.0, 3.0), (0.1, 0.9), (1.1, 3.0), (3.0, 8.0))
"""Numbers of which some are in the domain of every function of numbers in the same place."""
DOMAINS = {
    "tan": (-1.4, 1.4), "lgamma": (0.2, 3.0), "reciprocal": (0.1, 3.0), "atan2": (0.1, 3.0),
    "truediv": (0.2, 3.0), "remainder": (0.3, 3.0), "fmod": (0.3, 3.0), "modulo": (0.3, 3.0),
    "pow": (0.2, 2.0), "round": (-3.0, 3.0),
}  # fmt: skip
"""Where functions with poles have none."""
FEWEST = {"clamp": {"min": -0.5, "max": 0.6}}
"""Options that a function has to have."""


def numbers(*shape: int, low: float = -3.0, high: float = 3.0, seed: int = 0) -> torch.Tensor:
    """Random numbers of a shape, none of them twice."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def places(*items: int) -> torch.Tensor:
    return torch.tensor(items)


_ALMOST_FLAT = ("nan_to_num", "fifteen_digits", "rounded_to")
"""Functions that step where numbers are not finite, or by their last digit."""
_FLAT = (Group.COMPARISON, Group.FILL)
"""Functions whose slope is 0 wherever they have one; so is that of these two."""
_STOPS = ("detach", "isfinite")

FLOWS = (torch.tensor([-9.0, 5, 6]), torch.tensor([0.0, 1, 2]))
ANNUITY = tuple(torch.tensor([number]) for number in (12.0, -10.0, 100.0, 0.0, 0.0))
SHARES = (numbers(5, low=0.3, high=0.6), *(numbers(5, low=1.5, high=3, seed=k) for k in (1, 2)))
COUNTS = (torch.full((5,), 3.0), torch.full((5,), 9.0), numbers(5, low=0.2, high=0.8))

CALLS: dict[str, Callable[[], Sequence[Call]]] = {
    "where": lambda: [([numbers(4) > 0, numbers(4), numbers(4, seed=1)], {})],
    "masked_fill": lambda: [([numbers(4), numbers(4, seed=2) > 0, 1.5], {})],
    "to": lambda: [([numbers(3), torch.float64], {})],
    "nan_to_num": lambda: [([numbers(3), 0.0, 0.0, 0.0], {})],
    "matmul": lambda: [
        ([numbers(3, 2), numbers(2, 4, seed=1)], {}), ([numbers(3), numbers(3)], {})
    ],
    "linear": lambda: [([numbers(3, 2), numbers(4, 2, seed=1), numbers(4, seed=2)], {})],
    "addmm": lambda: [([numbers(4), numbers(3, 2, seed=1), numbers(2, 4, seed=2)], {})],
    "einsum": lambda: [(["ij,jk->ik", numbers(3, 2), numbers(2, 4, seed=1)], {})],
    "kron": lambda: [([numbers(2, 2), numbers(2, 3, seed=1)], {})],
    "conv2d": lambda: [([numbers(1, 4, 4), numbers(2, 1, 2, 2, seed=1), numbers(2, seed=2)], {})],
    "max_pool2d": lambda: [([numbers(1, 4, 4), 2], {})],
    "softmax": lambda: [([numbers(3, 2)], {"dim": 1})],
    "log_softmax": lambda: [([numbers(3, 2)], {"dim": 1})],
    "embedding": lambda: [([places(2, 0, 2), numbers(3, 2)], {})],
    "mse_loss": lambda: [([numbers(4), numbers(4, seed=1)], {})],
    "linalg_vector_norm": lambda: [([numbers(4)], {})],
    "cross_entropy": lambda: [([numbers(3, 2), places(0, 1, 1)], {})],
    "binary_cross_entropy_with_logits": lambda: [
        ([numbers(3), numbers(3, low=0.1, high=0.9)], {})
    ],
    "amax": lambda: [([numbers(3, 2), 0], {}), ([numbers(4)], {})],
    "amin": lambda: [([numbers(3, 2), 0], {}), ([numbers(4)], {})],
    "argmax": lambda: [([numbers(3, 2), 0], {})],
    "argmin": lambda: [([numbers(3, 2), 0], {})],
    "argsort": lambda: [([numbers(5)], {})],
    "sort": lambda: [([numbers(5), 0], {})],
    "topk": lambda: [([numbers(5), 2, 0], {})],
    "kthvalue": lambda: [([numbers(5), 2, 0], {})],
    "median": lambda: [([numbers(5), 0], {})],
    "cummax": lambda: [([numbers(5), 0], {})],
    "cummin": lambda: [([numbers(5), 0], {})],
    "sum": lambda: [([numbers(3, 2)], {"dim": 1}), ([numbers(3)], {})],
    "mean": lambda: [([numbers(3, 2)], {"dim": 1})],
    "prod": lambda: [([numbers(3, 2), 1], {})],
    "all": lambda: [([torch.tensor([True, False])], {})],
    "any": lambda: [([torch.tensor([True, False])], {})],
    "cumsum": lambda: [([numbers(4), 0], {})],
    "cumprod": lambda: [([numbers(4), 0], {})],
    "linalg_inv": lambda: [([numbers(2, 2) + 4 * torch.eye(2)], {})],
    "linalg_det": lambda: [([numbers(2, 2)], {})],
    "getitem": lambda: [([(numbers(2), numbers(3, seed=1)), 1], {})],
    "reshape": lambda: [([numbers(2, 3), (3, 2)], {})],
    "squeeze": lambda: [([numbers(1, 3), 0], {})],
    "unsqueeze": lambda: [([numbers(3), 0], {})],
    "flatten": lambda: [([numbers(2, 3), 0, 1], {})],
    "unflatten": lambda: [([numbers(6), 0, (2, 3)], {})],
    "broadcast_to": lambda: [([numbers(3), (2, 3)], {}), ([numbers(3), (1, 3)], {})],
    "narrow": lambda: [([numbers(4), 0, 1, 2], {}), ([numbers(4), 0, 0, 4], {})],
    "select": lambda: [([numbers(1, 3), 0, 0], {})],
    "clone": lambda: [([numbers(3)], {})],
    "split_with_sizes": lambda: [([numbers(4), [1, 3]], {})],
    "stack": lambda: [([[numbers(2), numbers(2, seed=1)]], {})],
    "cat": lambda: [([[numbers(2), numbers(3, seed=1)]], {})],
    "t": lambda: [([numbers(2, 3)], {})],
    "permute": lambda: [([numbers(2, 3), (1, 0)], {})],
    "flip": lambda: [([numbers(3), (0,)], {})],
    "repeat_interleave": lambda: [([numbers(3), 2, 0], {})],
    "unfold": lambda: [([numbers(5), 0, 3, 1], {})],
    "pad": lambda: [([numbers(3), (1, 2)], {})],
    "index_select": lambda: [([numbers(3), 0, places(2, 0)], {})],
    "take_along_dim": lambda: [([numbers(3), places(2, 0), 0], {})],
    "gather": lambda: [([numbers(3), 0, places(2, 0)], {})],
    "take": lambda: [([numbers(3, 2), places(2, 0), places(1, 0)], {})],
    "full_like": lambda: [([numbers(3), 2.0], {})],
    "zeros_like": lambda: [([numbers(3)], {})],
    "ones_like": lambda: [([numbers(3)], {})],
    "rand": lambda: [([(2, 3)], {})],
    "place_by_halves": lambda: [([numbers(2, 1), numbers(5).sort().values.expand(2, 5)], {})],
    "place_running_down": lambda: [([numbers(2, 1), numbers(5).sort().values.expand(2, 5)], {})],
    "least_squares": lambda: [([numbers(5, 2), numbers(5, 1, seed=1)], {})],
    "is_singular": lambda: [([numbers(2, 2)], {})],
    "sorted_values": lambda: [([numbers(5), 0], {})],
    "running_largest": lambda: [([numbers(5), 0], {})],
    "running_smallest": lambda: [([numbers(5), 0], {})],
    "_all_so_far": lambda: [([torch.tensor([True, True, False]), 0], {})],
    "series_root": lambda: [([*FLOWS, torch.tensor(0.1)], {})],
    "series_rate": lambda: [([*FLOWS, torch.tensor(0.1), torch.tensor(0.14)], {})],
    "annuity_root": lambda: [([*ANNUITY, torch.tensor([0.1])], {})],
    "annuity_rate": lambda: [([*ANNUITY, torch.tensor([0.1]), torch.tensor([0.029])], {})],
    "nominal": lambda: [([numbers(5, low=0.1, high=0.5), torch.full((5,), 12.0)], {})],
    "modified_rate": lambda: [
        ([numbers(5, low=1, high=2), -numbers(5, low=1, high=2, seed=1), torch.full((5,), 3.0)], {})
    ],
    "beta_density": lambda: [([*SHARES, torch.zeros(5), torch.ones(5)], {})],
    "beta_distribution": lambda: [([*SHARES, torch.zeros(5), torch.ones(5)], {})],
    "confidence_student": lambda: [([numbers(5, low=0.1, high=0.4), *SHARES[1:]], {})],
    "_binomial_below_checked": lambda: [([*COUNTS, torch.full((5,), 6.0)], {})],
    "_binomial_checked": lambda: [([*COUNTS, torch.full((5,), 6.0)], {})],
    "logical_and": lambda: [([numbers(4) > 0, numbers(4, seed=1) > 0], {})],
    "logical_or": lambda: [([numbers(4) > 0, numbers(4, seed=1) > 0], {})],
    "logical_not": lambda: [([numbers(4) > 0], {})],
}  # fmt: skip
"""Calls of the functions whose operands are more than numbers in the same place."""


def found_calls(row: Operator) -> list[Call]:
    """Calls of a row; of numbers in the same place as many as the function takes."""
    if row.name in CALLS:
        return [call for call in CALLS[row.name]() if not isinstance(call, Exception)]
    options = FEWEST.get(row.name, {})
    ranges = [DOMAINS[row.name]] if row.name in DOMAINS else RANGES
    for count in range(1, 8):
        found: list[Call] = []
        for low, high in ranges:
            args: list[Any] = [numbers(5, low=low, high=high, seed=place) for place in range(count)]
            try:
                value = row.function(*args, **options)
            except (TypeError, RuntimeError, ValueError):
                continue
            if bool(torch.isfinite(value).all()) and value.shape == (5,):
                found.append((args, options))
        if found:
            return found
    raise AssertionError(f"{row.name}: no arguments were found, add a call of it to CALLS")


ROWS = list(operators())
each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def called(row: Operator, call: Call) -> list[torch.Tensor]:
    """Tensors that a call gives."""
    value = row.function(*call[0], **call[1])
    return (
        [value] if isinstance(value, torch.Tensor) else [item for item in value if item is not None]
    )


def changed(call: Call, change: Callable[[int, torch.Tensor], torch.Tensor]) -> Call:
    """A call with other operands, by their place among all operands."""
    place = -1

    def replaced(item: Any) -> Any:
        nonlocal place
        if isinstance(item, list | tuple) and any(isinstance(part, torch.Tensor) for part in item):
            return type(item)(replaced(part) for part in item)
        place += 1 if not isinstance(item, list | tuple) else len(item)
        return change(place, item) if isinstance(item, torch.Tensor) else item

    return [replaced(item) for item in call[0]], call[1]


def float_places(call: Call) -> list[int]:
    return [
        place for place, item in enumerate(operands(call[0]))
        if isinstance(item, torch.Tensor) and item.is_floating_point()
    ]  # fmt: skip


def along(row: Operator, call: Call, moving: Sequence[int], steps: torch.Tensor) -> torch.Tensor:
    """Results at points on a straight line along which some operands move."""
    results = []
    for step in steps.tolist():

        def moved(place: int, item: torch.Tensor, step: float = step) -> torch.Tensor:
            if place not in moving:
                return item
            return item + step * numbers(*item.shape, low=-1, high=1, seed=40 + place)

        parts = called(row, changed(call, moved))
        results.append(torch.cat([part.reshape(-1).to(torch.float64) for part in parts]))
    return torch.stack(results)


def is_affine(row: Operator, call: Call, moving: Sequence[int]) -> bool:
    """Whether results lie on a straight line, where operands do."""
    results = along(row, call, moving, torch.linspace(-0.9, 0.9, 7, dtype=torch.float64))
    bend = results[2:] - 2 * results[1:-1] + results[:-2]
    return bool((bend.abs() <= 1e-9 * (1 + results.abs().max())).all())


def bends(row: Operator, call: Call, reach: float = 0.8) -> bool:
    """Whether results jump, or their slopes do: second differences do not shrink as they should."""
    sizes = []
    for count in (241, 481):
        line = torch.linspace(-reach, reach, count, dtype=torch.float64)
        results = along(row, call, float_places(call), line)
        results = results[:, torch.isfinite(results).all(0)]
        if not results.numel():
            return False
        sizes.append((results[2:] - 2 * results[1:-1] + results[:-2]).abs().amax(0))
    return bool((sizes[1] > 0.4 * sizes[0] + 1e-10).any())


@each
def test_linear_where_it_says_so(row: Operator) -> None:
    calls = found_calls(row)
    for place in sorted({place for call in calls for place in float_places(call)}):
        straight = all(
            is_affine(row, call, [place]) for call in calls if place in float_places(call)
        )
        wanted = row.is_linear_in([place])
        if wanted or (
            row.bend is Bend.SMOOTH
            and row.group not in _FLAT
            and row.name not in _STOPS
            and not row.is_own
        ):
            assert straight == wanted, f"operand {place}"
    for call in calls:
        given = float_places(call)
        if len(given) > 1 and row.is_linear_in(given):
            assert is_affine(row, call, given)


@each
def test_bends_where_it_says_so(row: Operator) -> None:
    calls = [call for call in found_calls(row) if float_places(call)]
    smooth = [call for call in calls if called(row, call)[0].is_floating_point()]
    if row.bend in (Bend.SMOOTH, Bend.CHOICE):
        found = [
            bends(row, call, 0.02 if row.is_own or row.name in DOMAINS else 0.8) for call in smooth
        ]
        assert not any(found) or (row.is_own and not all(found))  # ours have poles of all kinds
    elif row.name not in _ALMOST_FLAT:
        assert any(bends(row, call, 3.0) for call in calls)


@each
def test_groups(row: Operator) -> None:
    for call in found_calls(row):
        before = called(row, call)
        if row.is_elementwise:

            def first(_: int, item: torch.Tensor) -> torch.Tensor:
                item = item.clone()
                item[0] = ~item[0] if item.dtype == torch.bool else item[0] * 1.01 + 0.001
                return item

            (after,) = called(row, changed(call, first))
            assert torch.equal(after[1:], before[0][1:])
        elif row.moves:
            data = [item for item in operands(call[0]) if isinstance(item, torch.Tensor)]
            known = {number for item in data for number in item.reshape(-1).tolist()}
            assert {number for item in before for number in item.reshape(-1).tolist()} <= known
        elif row.group is Group.FILL and row.name != "rand":
            other = called(row, changed(call, lambda _, item: item + 1))
            assert torch.equal(before[0], other[0])


@each
def test_what_is_not_finite_spreads(row: Operator) -> None:
    if not row.spreads:
        return
    for call in found_calls(row):
        for wanted in float_places(call):
            for number in (torch.inf, -torch.inf, torch.nan):
                spoilt = partial(_with_number, wanted, number)
                if row.name == "pow":
                    parts = [torch.pow(numbers(3).index_fill(0, places(0), number), 2.0)]
                else:
                    parts = called(row, changed(call, spoilt))
                assert not all(bool(torch.isfinite(part).all()) for part in parts)


def _with_number(wanted: int, number: float, place: int, item: torch.Tensor) -> torch.Tensor:
    if place != wanted:
        return item
    item = item.clone()
    item.view(-1)[0] = number
    return item


@each
def test_order_and_truth(row: Operator) -> None:
    if row.keeps_order:
        for call in found_calls(row):
            (value,) = called(row, call)
            if value.numel() == call[0][0].numel():
                assert torch.equal(value.reshape(-1), call[0][0].reshape(-1))
    if row.keeps_true or row.moves:
        for call in found_calls(row):

            def true(_: int, item: torch.Tensor) -> torch.Tensor:
                return (
                    item if item.dtype == torch.int64 else torch.ones_like(item, dtype=torch.bool)
                )

            if row.name != "embedding":  # takes no truth values
                assert all(bool(part.all()) for part in called(row, changed(call, true)))
    if row.absorbing is not None:
        decided = torch.tensor([bool(row.absorbing)] * 2)
        assert torch.equal(row.function(decided, torch.tensor([True, False])), decided)


@each
def test_names_are_those_of_code(row: Operator) -> None:
    if row.is_own or row.symbol:
        return
    names = {"torch": torch, "F": functional, "operator": operator}
    if row.is_method:
        assert callable(getattr(torch.Tensor, row.name))
    else:
        assert eval(function_name(row.function), names) is row.function


@each
def test_crossings_are_seen(row: Operator) -> None:
    if row.branch is None:
        return

    def turned(_: int, item: torch.Tensor) -> torch.Tensor:
        return -item.flip(0) if item.is_floating_point() else item

    def shrunk(_: int, item: torch.Tensor) -> torch.Tensor:
        return item * 0.1 if item.is_floating_point() else item

    states = [
        row.branch(row.function(*args, **options), *args, **options)
        for call in found_calls(row)
        for args, options in (call, changed(call, turned), changed(call, shrunk))
    ]
    assert any(
        not torch.equal(states[0], state) for state in states if state.shape == states[0].shape
    )


def test_one_row_for_each_function() -> None:
    with pytest.raises(ValueError, match="already"):
        recorded()(ops.find_operator(torch.relu).function)  # type: ignore[union-attr]


def test_a_function_that_is_in_no_row_is_refused() -> None:
    def unheard_of(x: torch.Tensor) -> torch.Tensor:
        return x * x

    trace = Trace()
    trace.output(apply(unheard_of, trace.parameter("x", torch.tensor(2.0))))
    with pytest.raises(ModelError, match=r"node 1 \(unheard_of\) after a test: .*no table"):
        check(trace, "a test")


def test_an_unknown_function_is_neither_linear_nor_smooth() -> None:
    graph = fx.Graph()
    node = graph.call_function(torch.erfinv, (graph.placeholder("x"),))
    assert find_operator(node) is None


def test_no_other_table() -> None:
    """A set of three operators or more, in names or functions, stands nowhere but in the table."""
    names = {name for row in ROWS if not row.is_own for name in (row.name, row.name.strip("_"))}
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE) == Path("ir/ops.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tables = {
            inner for item in tree.body if isinstance(item, ast.Assign | ast.AnnAssign)
            for inner in ast.walk(item)
        }  # fmt: skip
        for node in ast.walk(tree):
            items: list[Any] = []
            if isinstance(node, ast.Set | ast.Tuple | ast.List):
                items = list(node.elts)
            elif isinstance(node, ast.Dict):
                items = list(node.keys)
            found = [item for item in items if _operator_of(item, names)]
            most = 2 if node in tables else 4  # a walk over the graph looks for a pattern of a few
            assert len(found) <= most or len(found) < len(items), f"{path}:{items[0].lineno}"


def _operator_of(item: Any, names: set[str]) -> bool:
    if isinstance(item, ast.Constant):
        return isinstance(item.value, str) and item.value in names
    text = ast.unparse(item) if isinstance(item, ast.Attribute) else ""
    return (
        bool(re.fullmatch(r"(torch|operator)(\.\w+)?\.\w+", text)) and text.split(".")[-1] in names
    )
