"""torch.compile, where a compiler is present and a compiled step is faster.

Objective and gradient are compiled as one program without autograd between the two: what is left of
a step are the products and a few loops.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import fx
from torch.func import functional_call, functionalize, grad_and_value
from torch.fx.experimental.proxy_tensor import make_fx

from xl2torch.errors import first_line
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.loss import Differentiated, loss_of

Program = Callable[[], Differentiated]
_BLOCKS, _STEPS = 11, 5
_PAYS = 0.95
"""A compiled step has to take less than this part of a plain one's time."""
_SAME = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative difference of objective and gradient."""
_SHIFT = 1e-2
"""How far parameters are moved, beside their size or 1, to compare at another point."""


def compiled_program(model: SheetModel, dtype: torch.dtype) -> tuple[Program | None, str]:
    """Objective, loss and gradient compiled, and what came of it in words; None if not used."""
    if model.drawn:
        return None, "`compile`: random cells are drawn anew at each step, so it is not used"
    began = time.perf_counter()
    plain = plain_program(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = compile_program(model)
            same = _agree(model, compiled, plain, _SAME[dtype])
    except Exception as error:  # no compiler, or a program that it does not take
        reason = first_line(error)[:200]
        return None, f"`compile`: torch.compile does not work here ({reason}), so it is not used"
    seconds = time.perf_counter() - began
    if not same:
        return None, "`compile`: the compiled program gives other numbers, so it is not used"
    ratio = _ratio(compiled, plain)
    spent = f"compiling took {seconds:.0f} s"
    if ratio > _PAYS:
        slower = f"a compiled step takes {ratio:.2f} of a plain one's time"
        return None, f"`compile`: {slower}, so it is not used; {spent}"
    return compiled, f"`compile`: a step takes {ratio:.2f} of a plain one's time; {spent}"


def plain_program(model: SheetModel) -> Program:
    """Objective, loss and gradients by autograd."""
    parameters = [model.parameter(variable) for variable in model.variables]
    loss_at = loss_of(model.problem)

    def evaluate() -> Differentiated:
        objective = model()
        loss = loss_at(objective)
        return Differentiated(
            objective.detach(), loss.detach(),
            torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True),
        )  # fmt: skip

    return evaluate


def compile_program(model: SheetModel) -> Program:
    """Objective, loss and gradients as one compiled program. Raises what torch raises."""
    parameters = [model.parameter(variable) for variable in model.variables]
    names = [variable.name for variable in model.variables]
    loss_at = loss_of(model.problem)

    def loss(*values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        objective = functional_call(model, dict(zip(names, values, strict=True)), ())
        return loss_at(objective), objective

    inputs = [parameter.detach() for parameter in parameters]
    both = grad_and_value(loss, argnums=tuple(range(len(inputs))), has_aux=True)
    with torch.no_grad():
        traced = make_fx(functionalize(both))(*inputs)
        lay_out(traced, inputs)
        compiled: Any = torch.compile(traced, dynamic=False, fullgraph=True)

    def evaluate() -> Differentiated:
        with torch.no_grad():
            gradients, (value, objective) = compiled(*inputs)
        # A gradient may be an input itself, or that of two parameters. Fused optimizers read it as
        # if it lay in memory as its parameter does.
        whole = torch.contiguous_format
        found = [gradient.clone(memory_format=whole) for gradient in gradients]
        return Differentiated(objective, value, found)

    evaluate()
    return evaluate


def lay_out(program: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
    """Compute each product of matrices as AB or as (BᵀAᵀ)ᵀ, whichever is faster here.

    The two differ in how the result lies in memory, and a library has other kernels for each. A
    copy that only changes the layout of an operand goes: the product takes it as it lies.
    """
    aten = torch.ops.aten
    graph = program.graph
    for node in graph.find_nodes(op="call_function", target=aten.clone.default):
        if _only_multiplied(node):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    program.recompile()
    products = [node for node in graph.nodes if node.target in _PRODUCTS]
    recorder = _ValueRecorder(program, {item for node in products for item in node.args[-2:]})
    recorder.run(*inputs)
    for node in products:
        if len(node.args) + len(node.kwargs) != (2 if node.target is aten.mm.default else 3):
            continue  # α and β
        *bias, left, right = node.args
        first, second = recorder.values[left], recorder.values[right]
        if first.device.type != "cpu" or not _turning_pays(first, second):
            continue
        with graph.inserting_before(node):
            turned = [graph.call_function(aten.t.default, (item,)) for item in (right, left)]
            result = graph.call_function(aten.mm.default, tuple(turned))
            result = graph.call_function(aten.t.default, (result,))
            if bias:
                result = graph.call_function(aten.add.Tensor, (result, bias[0]))
        node.replace_all_uses_with(result)
        graph.erase_node(node)
    program.recompile()


_PRODUCTS = torch.ops.aten.mm.default, torch.ops.aten.addmm.default


def _only_multiplied(node: fx.Node) -> bool:
    """Whether all that a tensor is used for are products of matrices."""
    return all(
        user.target in _PRODUCTS
        or (user.target is torch.ops.aten.t.default and _only_multiplied(user))
        for user in node.users
    )


class _ValueRecorder(fx.Interpreter):
    """Keeps what some nodes were."""

    def __init__(self, program: fx.GraphModule, wanted: set[Any]) -> None:
        super().__init__(program)
        self.wanted = wanted
        self.values: dict[Any, torch.Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        found = super().run_node(n)
        if n in self.wanted:
            self.values[n] = found
        return found


def _turning_pays(first: torch.Tensor, second: torch.Tensor) -> bool:
    as_is, turned = [], []
    for _ in range(_BLOCKS):
        as_is.append(_seconds(lambda: torch.mm(first, second)))
        turned.append(_seconds(lambda: torch.mm(second.t(), first.t())))
    return statistics.median(turned) < _PAYS * statistics.median(as_is)


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@torch.no_grad()
def _agree(model: SheetModel, first: Program, second: Program, tolerance: float) -> bool:
    """Whether two programs give the same here and at a point nearby."""
    parameters = [model.parameter(variable) for variable in model.variables]
    saved = [parameter.detach().clone() for parameter in parameters]
    generator = torch.Generator().manual_seed(0)
    try:
        for shift in (0.0, _SHIFT):
            for parameter, old in zip(parameters, saved, strict=True):
                noise = torch.randn(old.shape, generator=generator, dtype=old.dtype)
                parameter.copy_(old + shift * (1 + old.abs()) * noise)
            with torch.enable_grad():
                if not _same(first(), second(), tolerance):
                    return False
    finally:
        for parameter, old in zip(parameters, saved, strict=True):
            parameter.copy_(old)
    return True


def _same(found: Differentiated, wanted: Differentiated, tolerance: float) -> bool:
    """Whether objective and gradients are equal, up to rounding of the size of the gradient."""
    largest = max(float(gradient.abs().max()) for gradient in wanted.gradients)
    slack = tolerance * (largest if math.isfinite(largest) else 0.0)
    pairs = [
        (found.objective, wanted.objective),
        *zip(found.gradients, wanted.gradients, strict=True),
    ]
    return all(torch.allclose(a, b, rtol=tolerance, atol=slack, equal_nan=True) for a, b in pairs)


def _block(program: Program) -> None:
    for _ in range(_STEPS):
        program()


def _ratio(first: Program, second: Program) -> float:
    """Median ratio of the times of alternating blocks."""
    ratios = []
    for _ in range(_BLOCKS):
        times = [_seconds(partial(_block, run)) for run in (first, second)]
        ratios.append(times[0] / times[1])
    return statistics.median(ratios)
