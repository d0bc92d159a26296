"""Programs computed on another device or in another precision, their parameters left alone."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import fx, nn

from xl2torch.errors import SelectionError, first_line
from xl2torch.ir.device import placed_graph, retarget_constants
from xl2torch.lowering.module import assembled
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.options import FitOptions

_Module = TypeVar("_Module", bound=fx.GraphModule)
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def find_device(text: str) -> torch.device:
    """A device of torch that is there, by its name. Raises SelectionError."""
    try:
        device = torch.device(text)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        there = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        raise SelectionError(
            f"`device={text!r}` is not there ({first_line(error)}); there is {there}"
        ) from None
    if device.type == "meta":
        raise SelectionError('`device="meta"` computes nothing: choose cpu or cuda')
    return device


def find_dtype(text: str) -> torch.dtype:
    """A precision by its name. Raises SelectionError."""
    if text not in DTYPES:
        raise SelectionError(f"no `dtype={text!r}`; there are {', '.join(DTYPES)}")
    return DTYPES[text]


@dataclass(frozen=True)
class Placement:
    """Where programs compute, and in which precision."""

    device: torch.device
    dtype: torch.dtype

    @classmethod
    def of(cls, options: FitOptions) -> Placement:
        """The place that options name. Raises SelectionError."""
        return cls(find_device(options.device), find_dtype(options.dtype))

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} on {self.device}"

    @property
    def is_default(self) -> bool:
        """Whether it is where models are compiled: the CPU, in float64."""
        return self.device.type == "cpu" and self.dtype == torch.float64

    def tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        """Data at the place."""
        kind = self.dtype if tensor.is_floating_point() else tensor.dtype
        return tensor.to(self.device, kind)

    def program(self, module: _Module) -> _Module:
        """A program with its data at the place; the parameters are the program's own.

        They stay in float64 on the CPU, as weights do in mixed precision, and are sent to the place
        at each call (Micikevicius et al., Mixed precision training, 2018); the result comes back.
        """
        if self.is_default:
            return module
        root = nn.Module()
        for name, parameter in module.named_parameters():
            root.register_parameter(name, parameter)
        for name, buffer in module.named_buffers():
            if "." not in name:
                root.register_buffer(name, self.tensor(buffer).clone(), persistent=False)
        for name, part in module.named_children():
            moved = copy.deepcopy(part).to(self.device, self.dtype)
            retarget_constants(moved, self.device, self.dtype)
            root.add_module(name, moved)
        graph = placed_graph(module, self.device, self.dtype)
        if isinstance(module, SheetModel):
            placed = assembled(SheetModel, root, graph).made_from(module.compiled)
            return cast(_Module, placed)
        return cast(_Module, assembled(fx.GraphModule, root, graph))
