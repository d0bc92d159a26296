"""The objective computed on another device or in another precision, its parameters left alone."""

from __future__ import annotations

import copy

import torch
from torch import nn

from xl2torch.errors import SelectionError, first_line
from xl2torch.graph.device import follow, placed_graph
from xl2torch.model import SheetModel, assembled

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def find_device(text: str) -> torch.device:
    """A device of torch that is there, by its name. Raises SelectionError."""
    try:
        device = torch.device(text)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        there = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        raise SelectionError(
            f"--device {text} is not there ({first_line(error)}); there is {there}"
        ) from None
    if device.type == "meta":
        raise SelectionError("--device meta computes nothing: choose cpu or cuda")
    return device


def find_dtype(text: str) -> torch.dtype:
    """A precision by its name. Raises SelectionError."""
    if text not in DTYPES:
        raise SelectionError(f"no --dtype {text!r}; there are {', '.join(DTYPES)}")
    return DTYPES[text]


def is_home(device: str, dtype: str) -> bool:
    """Whether it is where models are compiled: the CPU, in float64."""
    return find_device(device).type == "cpu" and find_dtype(dtype) == torch.float64


def placed(model: SheetModel, device: torch.device, dtype: torch.dtype) -> SheetModel:
    """The model with its data on a device and in a precision; the parameters are the model's own.

    They stay in float64 on the CPU, as weights do in mixed precision, and are sent to the device at
    each call (Micikevicius et al., Mixed precision training, 2018); the objective comes back.
    """
    root = nn.Module()
    for name, parameter in model.named_parameters():
        root.register_parameter(name, parameter)
    for name, buffer in model.named_buffers():
        if "." not in name:
            kind = dtype if buffer.is_floating_point() else buffer.dtype
            root.register_buffer(name, buffer.to(device, kind, copy=True), persistent=False)
    for name, part in model.named_children():
        moved = copy.deepcopy(part).to(device, dtype)
        follow(moved, device, dtype)
        root.add_module(name, moved)
    moved_model = assembled(SheetModel, root, placed_graph(model, device, dtype))
    moved_model.meta["compiled"] = model.compiled
    return moved_model
