"""Programs follow their parameters: to another precision, and to another device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from corpus import CORPUS, SAMPLES
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode

import xl2torch
from xl2torch.ir.device import placed_graph
from xl2torch.ir.trace import take
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.solver_model import solver_models

BOOKS = [
    *SAMPLES,
    *sorted(CORPUS.glob("fastai*/*.xls?")),
    *sorted(CORPUS.glob("nist/*_start1.xlsx")),
]
CUDA = torch.device("cuda")


def models(path: Path) -> list[SheetModel]:
    workbook = xl2torch.load(path)
    return [xl2torch.compile(workbook, item.sheet) for item in solver_models(workbook)]


class OnAnotherDevice(fx.Interpreter):
    """Runs a placed program without the device: what is sent there are tensors without data."""

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        tensor = super().get_attr(target, args, kwargs)
        if isinstance(tensor, torch.nn.Parameter):
            return tensor
        return torch.empty_like(tensor, device=CUDA, dtype=precision(tensor))

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is torch.Tensor.to and isinstance(args[1], torch.device):
            tensor, device, dtype = args
            return torch.empty(tensor.shape, device=device, dtype=dtype)
        if target is take:  # torch indexes on a device only where it is built for one
            data, *index = args
            assert {item.device for item in args} == {data.device}
            shape = sum(index).shape
            return torch.empty(shape, device=data.device, dtype=data.dtype)
        return super().call_function(target, args, kwargs)


def precision(tensor: torch.Tensor) -> torch.dtype:
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_left_on_the_cpu(path: Path) -> None:
    """Mixing devices is an error of the fake tensors, as it is of real ones."""
    for model in models(path):
        placed = fx.GraphModule(model, placed_graph(model, CUDA, torch.float32))
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            result = OnAnotherDevice(placed).run()
        assert result.device.type == "cpu" and result.dtype == torch.float64


def test_numbers_left_on_the_cpu_would_be_noticed() -> None:
    model = models(SAMPLES[0])[0]
    graph = placed_graph(model, CUDA, torch.float32)
    (output,) = graph.find_nodes(op="output")
    back = output.args[0]
    with graph.inserting_before(back):
        made = graph.call_function(torch.zeros, (2,))
        total = graph.call_function(torch.add, (back.args[0], made))
    back.replace_input_with(back.args[0], total)
    with (
        pytest.raises(RuntimeError, match="device"),
        FakeTensorMode(allow_non_fake_inputs=True),
    ):
        OnAnotherDevice(fx.GraphModule(model, graph)).run()


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_model_is_moved_as_any_module(path: Path) -> None:
    """Its objective and gradient in float32 are those in float64, as far as float32 goes."""
    for model in models(path):
        before = model()
        slopes = torch.autograd.grad(before, list(model.parameters()), allow_unused=True)
        model.to(torch.float32)
        after = model()
        again = torch.autograd.grad(after, list(model.parameters()), allow_unused=True)
        torch.testing.assert_close(after.double(), before, rtol=2e-5, atol=1e-6)
        for single, double in zip(again, slopes, strict=True):
            if single is not None and double is not None:
                assert single.dtype == torch.float32
                largest = float(double.abs().max())
                torch.testing.assert_close(
                    single.double(), double, rtol=1e-3, atol=1e-3 * largest + 1e-6
                )
        model.double()
        torch.testing.assert_close(model(), before, rtol=1e-5, atol=1e-6)
