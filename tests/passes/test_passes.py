"""Simplification passes on text fixtures: program in, program out, same value and gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cells import SHEET, trained, workbook
from grids import grid
from torch import fx
from torch.linalg import vector_norm
from torch.nn.functional import conv2d, linear, logsigmoid, max_pool2d, mse_loss

import xl2torch
from xl2torch.cells.address import column_letters, moved, parse_a1
from xl2torch.ir.facts import Kind, facts, note, value_of
from xl2torch.ir.share_equal_nodes import share_equal_nodes
from xl2torch.passes import PASSES, simplify
from xl2torch.passes.clean.cancel_moves import cancel_moves
from xl2torch.passes.fuse.merge_like_columns import merge_like_columns
from xl2torch.passes.fuse.merge_stacks import merge_stacks
from xl2torch.passes.fuse.sum_columns import sum_columns
from xl2torch.passes.recognise.recognise_linear import recognise_linear
from xl2torch.passes.recognise.recognise_log_density import recognise_log_density
from xl2torch.passes.recognise.recognise_log_softmax import recognise_log_softmax
from xl2torch.passes.recognise.recognise_loss import recognise_loss
from xl2torch.passes.recognise.recognise_mean import recognise_mean
from xl2torch.passes.recognise.recognise_norm import recognise_norm
from xl2torch.passes.recognise.recognise_relu import recognise_relu
from xl2torch.passes.recognise.recognise_sigmoid import recognise_sigmoid
from xl2torch.passes.recognise.recognise_softmax import recognise_softmax
from xl2torch.workbook.read.reader import Workbook

NAMES: dict[str, Any] = {
    "torch": torch, "operator": operator, "linear": linear, "logsigmoid": logsigmoid,
    "mse_loss": mse_loss, "vector_norm": vector_norm,
}  # fmt: skip

CASES: list[tuple[Callable[[fx.Graph], fx.Graph], str, str]] = [
    (share_equal_nodes, "torch.exp(x) + torch.exp(x)", "(exp := torch.exp(x)) + exp"),
    (share_equal_nodes, "torch.exp(x) + torch.sin(x)", "torch.exp(x) + torch.sin(x)"),
    (recognise_relu, "torch.where(x < 0, 0.0, x)", "torch.relu(x)"),
    (recognise_relu, "torch.where(x <= 0, 0.0, x)", "torch.relu(x)"),
    (recognise_relu, "torch.where(x > 0, x, 0.0)", "torch.relu(x)"),
    (recognise_relu, "torch.where(x >= 0, x, 0.0)", "torch.relu(x)"),
    (recognise_relu, "torch.where(x < 1, 0.0, x)", "torch.where(x < 1, 0.0, x)"),
    (recognise_relu, "torch.where(x < 0, x, 0.0)", "torch.where(x < 0, x, 0.0)"),
    (recognise_relu, "torch.where(x < 0, 0.0, x + 1)", "torch.where(x < 0, 0.0, x + 1)"),
    (
        merge_like_columns,
        "torch.stack([torch.matmul(x, torch.select(w, 0, 0)),"
        " torch.matmul(x, torch.select(w, 0, 1))], dim=1)",
        "torch.matmul(x, torch.t(w))",
    ),
    (
        merge_like_columns,
        "torch.stack([torch.matmul(x, torch.select(w, 1, 1)),"
        " torch.matmul(x, torch.select(w, 1, 2))], dim=1)",
        "torch.matmul(x, torch.narrow(w, 1, 1, 2))",
    ),
    (  # not in the order of the weights
        merge_like_columns,
        "torch.stack([torch.matmul(x, torch.select(w, 0, 1)),"
        " torch.matmul(x, torch.select(w, 0, 0))], dim=1)",
        "torch.matmul(x, torch.t(torch.stack((torch.select(w, 0, 1), torch.select(w, 0, 0)))))",
    ),
    (
        merge_like_columns,
        "torch.stack([torch.tanh(torch.matmul(x, torch.select(w, 0, 0)) + 1.0),"
        " torch.tanh(torch.matmul(x, torch.select(w, 0, 1)) + 1.0)], dim=1)",
        "torch.tanh(torch.matmul(x, torch.t(w)) + 1.0)",
    ),
    (  # different functions
        merge_like_columns,
        "torch.stack([torch.tanh(torch.select(w, 0, 0)), torch.exp(torch.select(w, 0, 1))], dim=1)",
        "torch.stack([torch.tanh(torch.select(w, 0, 0)), torch.exp(torch.select(w, 0, 1))], dim=1)",
    ),
    (
        sum_columns,
        "torch.select(x, 1, 0) + torch.select(x, 1, 1) + torch.select(x, 1, 2)",
        "torch.sum(x, dim=1)",
    ),
    (
        sum_columns,
        "torch.select(x, 1, 1) + torch.select(x, 1, 2)",
        "torch.sum(torch.narrow(x, 1, 1, 2), dim=1)",
    ),
    (
        sum_columns,
        "torch.select(x, 1, 0) + torch.select(x, 1, 2)",
        "torch.select(x, 1, 0) + torch.select(x, 1, 2)",
    ),
    (recognise_relu, "(x + torch.abs(x)) / 2", "torch.relu(x)"),
    (cancel_moves, "torch.squeeze(torch.unsqueeze(x, 1), 1)", "x"),
    (cancel_moves, "torch.select(torch.unsqueeze(x, 0), 0, 0)", "x"),
    (cancel_moves, "torch.t(torch.t(x))", "x"),
    (cancel_moves, "torch.sin(torch.narrow(torch.reshape(x, (4, 3)), 1, 0, 3))", "torch.sin(x)"),
    (
        cancel_moves,
        "torch.unsqueeze(torch.select(x, 0, 0), 0)",
        "torch.unsqueeze(torch.select(x, 0, 0), 0)",
    ),
    (recognise_relu, "(x + torch.abs(x)) / 3", "(x + torch.abs(x)) / 3"),
    (recognise_sigmoid, "1 / (1 + torch.exp(-x))", "torch.sigmoid(x)"),
    (recognise_sigmoid, "1 / (torch.exp(x) + 1)", "torch.sigmoid(-x)"),
    (recognise_sigmoid, "(exp := torch.exp(x)) / (1 + exp)", "torch.sigmoid(x)"),
    (recognise_sigmoid, "1 / (2 + torch.exp(-x))", "1 / (2 + torch.exp(-x))"),
    (recognise_log_density, "torch.log(torch.sigmoid(x))", "logsigmoid(x)"),
    (recognise_log_density, "torch.log(1 - torch.sigmoid(x))", "logsigmoid(-x)"),
    (recognise_log_density, "torch.log(torch.special.ndtr(x))", "torch.special.log_ndtr(x)"),
    (recognise_log_density, "torch.log(1 - torch.special.ndtr(x))", "torch.special.log_ndtr(-x)"),
    (
        recognise_softmax,
        "(exp := torch.exp(x)) / torch.unsqueeze(torch.sum(exp, dim=1), 1)",
        "torch.softmax(x, dim=1)",
    ),
    (
        recognise_softmax,
        "(exp := torch.exp(x)) / torch.sum(exp, dim=0)",
        "torch.softmax(x, dim=0)",
    ),
    (
        recognise_softmax,
        "(exp := torch.exp(x - torch.unsqueeze(torch.amax(x, 1), 1)))"
        " / torch.unsqueeze(torch.sum(exp, dim=1), 1)",
        "torch.softmax(x, dim=1)",
    ),
    (
        recognise_softmax,
        "(exp := torch.exp(x)) / torch.sum(exp)",
        "(exp := torch.exp(x)) / torch.sum(exp)",
    ),
    (recognise_log_softmax, "torch.log(torch.softmax(x, dim=1))", "torch.log_softmax(x, dim=1)"),
    (
        recognise_log_softmax,
        "x - torch.unsqueeze(torch.log(torch.sum(torch.exp(x), dim=1)), 1)",
        "torch.log_softmax(x, dim=1)",
    ),
    (recognise_mean, "torch.sum(x) / 12", "torch.mean(x)"),
    (recognise_mean, "torch.sum(x) / 11", "torch.sum(x) / 11"),
    (recognise_mean, "torch.mean(-x)", "-torch.mean(x)"),
    (recognise_mean, "-(-x)", "x"),
    (recognise_loss, "torch.mean((x - torch.sin(x)) ** 2)", "mse_loss(x, torch.sin(x))"),
    (
        recognise_loss,
        "torch.sum((x - torch.sin(x)) ** 2)",
        "mse_loss(x, torch.sin(x), reduction='sum')",
    ),
    (recognise_loss, "torch.mean((x - torch.sin(x)) ** 3)", "torch.mean((x - torch.sin(x)) ** 3)"),
    (recognise_norm, "torch.sqrt(torch.sum(x ** 2))", "vector_norm(x)"),
    (
        recognise_norm,
        "torch.sqrt(mse_loss(x, torch.sin(x)))",
        "vector_norm(x - torch.sin(x)) / 3.4641016151377544",
    ),
    (recognise_linear, "torch.matmul(x, torch.t(w))", "linear(x, w)"),
    (
        recognise_linear,
        "torch.matmul(x, torch.t(w)) + torch.select(w, 1, 0)",
        "linear(x, w, torch.select(w, 1, 0))",
    ),
    (
        recognise_linear,
        "torch.select(w, 1, 0) + torch.matmul(x, torch.tanh(w))",
        "torch.addmm(torch.select(w, 1, 0), x, torch.tanh(w))",
    ),
    (
        merge_stacks,
        "torch.cat((torch.unsqueeze(x, 0), torch.unsqueeze(torch.sin(x), 0)))",
        "torch.stack((x, torch.sin(x)))",
    ),
    (
        merge_stacks,
        "torch.cat((torch.unsqueeze(torch.stack((x, torch.sin(x))), 0),"
        " torch.reshape(torch.stack((torch.cos(x), torch.exp(x))), (1, 2, 4, 3))))",
        "torch.reshape(torch.stack((x, torch.sin(x), torch.cos(x), torch.exp(x))), (2, 2, 4, 3))",
    ),
]


def tensors(source: str) -> dict[str, torch.Tensor]:
    """Inputs away from kinks: x is 4×3 or, beside w, what w fits."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (4, 3), "w": (2, 3) if "select(w, 0" in source or "t(w)" in source else (3, 3)}
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def graph_of(source: str) -> fx.Graph:
    """The program as a graph whose nodes carry their values."""
    program: Callable[..., Any] = eval(f"lambda x, w: {source}", NAMES)
    graph = fx.symbolic_trace(program).graph
    values = iter(tensors(source).values())
    for node in graph.nodes:
        if node.op == "placeholder":
            note(node, kind=Kind.INPUT, value=next(values))
        elif node.op == "call_function":
            node.args = fx.node.map_aggregate(node.args, lambda item: item)
            concrete: Any = fx.node.map_arg(node.args, value_of)
            note(node, value=node.target(*concrete, **node.kwargs))
    return graph


def code(graph: fx.Graph) -> str:
    return graph.python_code("self").src


def value_and_gradients(graph: fx.Graph, source: str) -> list[torch.Tensor]:
    inputs = {name: tensor.requires_grad_() for name, tensor in tensors(source).items()}
    value = fx.GraphModule({}, graph)(*inputs.values())
    gradients = torch.autograd.grad(value.sum(), list(inputs.values()), allow_unused=True)
    return [value, *(torch.zeros(()) if item is None else item for item in gradients)]


@pytest.mark.parametrize(("run", "before", "after"), CASES)
def test_pass(run: Callable[[fx.Graph], fx.Graph], before: str, after: str) -> None:
    graph = graph_of(before)
    expected = value_and_gradients(graph_of(before), before)
    simplified = run(graph)
    simplified.eliminate_dead_code()
    simplified.lint()
    names = [node.name for node in simplified.nodes]
    assert len(names) == len(graph_of(after).nodes)
    targets = [node.target for node in simplified.nodes if node.op == "call_function"]
    assert targets == [n.target for n in graph_of(after).nodes if n.op == "call_function"]
    for ours, wanted in zip(value_and_gradients(simplified, before), expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-12, atol=1e-12)


GUARDED = [
    # formula of the objective, whether its guards are needed
    ("=1/A1+LN(A1)", False),
    ("=SUM(A1^2,SQRT(A1))", False),
    ("=EXP(-1/A1)", True),
    ("=IFERROR(1/A1,0)+A1", True),
    ("=IF(A1>0,LN(A1),0)+A1", True),
    ("=MAX(LN(A1),2)+A1", True),
]


@pytest.mark.parametrize(("formula", "needed"), GUARDED)
def test_guards_that_nothing_catches_are_dropped(
    formula: str, needed: bool, tmp_path: Path
) -> None:
    model = xl2torch.compile(grid(tmp_path, f"0.5 {formula}"), objective="B1", variables="A1")
    kept = [node for node in model.graph.nodes if facts(node).guard]
    assert bool(kept) is needed
    assert torch.isfinite(model())


def test_relu_slope_at_zero_is_zero_in_every_spelling() -> None:
    for spelling in ("torch.where(x < 0, 0.0, x)", "torch.where(x > 0, x, 0.0)"):
        graph = simplify(graph_of(spelling))
        x = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
        fx.GraphModule({}, graph)(x, x).sum().backward()
        assert x.grad is not None and not x.grad.any()


def test_passes_are_named_after_their_files() -> None:
    for run in PASSES:
        assert run.__module__.split(".")[-1] == run.__name__


# ---------------------------------------------------------------- pictures

KERNELS = "A10:C12,E10:G12"
PICTURE = "\n".join(" ".join(str((3 * r + 5 * c + r * c) % 11) for c in range(8)) for r in range(8))


def written(area: str, formula: str, array: bool = False) -> dict[str, str]:
    """A formula copied over a range of a sheet."""
    target = parse_a1(area, SHEET)
    assert target is not None
    cells = {}
    for place in target.cells():
        text = moved(formula, place.row - target.top, place.column - target.left)
        cells[f"{place.a1}:{place.a1}" if array else place.a1] = (
            f"{{={text}}}" if array else f"={text}"
        )
    return cells


def picture(cells: dict[str, str]) -> Workbook:
    """The picture in A1:H8, two kernels below it, and formulas."""
    grid_ = {
        f"{column_letters(column + 1)}{row + 1}": text
        for row, line in enumerate(PICTURE.splitlines())
        for column, text in enumerate(line.split())
    }
    kernels = {f"{letter}{row}": repr(0.1 * row - 0.37 * index)
               for index, letter in enumerate("ABCEFG") for row in (10, 11, 12)}  # fmt: skip
    return workbook("", {**grid_, **kernels, **cells})


WINDOWS = "SUM(A1:C3*$A$10:$C$12)"
TWO = {
    **written("J1:O6", "MAX(0,SUM(A1:C3*$A$10:$C$12))", array=True),
    **written("J10:O15", "MAX(0,SUM(A1:C3*$E$10:$G$12))", array=True),
    **written("Q1:T4", "SUM(J1:L3*$A$10:$C$12)+SUM(J10:L12*$E$10:$G$12)", array=True),
    "V1": "=SUMSQ(Q1:T4)",
}
POOLED = {
    **written("J1:O6", WINDOWS, array=True),
    **{f"{'QRSTUV'[c]}{r + 1}": f"=MAX({'JKLMNO'[c]}{r + 1}:{'KLMNOP'[c]}{r + 2})"
       for r in (0, 2, 4) for c in (0, 2, 4)},
    **{f"{'ABCDE'[c]}{r + 20}": str(r + c + 1) for r in (0, 2, 4) for c in (0, 2, 4)},
    "X1": "=SUMPRODUCT(A20:E24,Q1:U5)",
}  # fmt: skip
PICTURES = [
    # formulas, objective, calls of torch functions that must be there, and how many nodes at most
    (TWO, "V1", {conv2d: 2, torch.relu: 1}, 18),
    ({**written("J1:O6", WINDOWS, array=True), "Q1": "=SUMSQ(J1:O6)"}, "Q1", {conv2d: 1}, 9),
    (POOLED, "X1", {conv2d: 1, max_pool2d: 1}, 14),
]


@pytest.mark.parametrize(("cells", "objective", "calls", "most"), PICTURES)
def test_pictures(
    cells: dict[str, str], objective: str, calls: dict[Any, int], most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Convolutions and pools are found, and mean what the unsimplified graph means."""
    book = picture(cells)
    model = xl2torch.compile(book, objective=objective, variables=KERNELS.split(","))
    targets = [node.target for node in model.graph.nodes]
    assert {target: targets.count(target) for target in calls} == calls
    assert len(targets) <= most
    got, gradient = trained(book, objective, KERNELS)
    monkeypatch.setattr("xl2torch.passes.PASSES", ())
    expected, slopes = trained(book, objective, KERNELS)
    assert got == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-12)
