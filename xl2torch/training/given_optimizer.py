"""An optimizer as Python takes it: a name, a class, an instance, or a function that makes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch

from xl2torch.errors import SelectionError
from xl2torch.training.arguments import reworded
from xl2torch.training.methods import torch_optimizers

Optimizer = torch.optim.Optimizer
Factory = Callable[[Iterable[torch.nn.Parameter]], Optimizer]
"""Makes an optimizer of parameters."""
Given = str | type[Optimizer] | Optimizer | Callable[..., Optimizer]

_WANTED = (
    'an optimizer is a name ("adam"), a class of torch.optim, an optimizer of model.parameters() '
    "or a function that makes one of parameters"
)


def named(
    given: Given | None, lr: float | None, arguments: dict[str, Any], taken: Collection[str] = ()
) -> tuple[str | None, Factory | None]:
    """The name of an optimizer, and what makes it where it is none of torch's by its name.

    ``taken`` are names that mean something else. Raises SelectionError.

    >>> named(torch.optim.AdamW, None, {})
    ('adamw', None)
    """
    if given is None or isinstance(given, str):
        return given, None
    if isinstance(given, Optimizer):
        return _instance(given, lr, arguments, taken)
    for name, kind in torch_optimizers().items():
        if kind is given:
            return name, None
    if not callable(given):
        raise SelectionError(f"{_WANTED}, not {given!r}")
    name = _name_of(given, taken)
    options = arguments if lr is None else {"lr": lr, **arguments}

    def make(parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        with reworded(f"the optimizer {name}"):
            made = given(parameters, **options)
        if not isinstance(made, Optimizer):
            raise SelectionError(f"{_WANTED}; {name} made {made!r}")
        return _stepping(made)

    return name, make


def _instance(
    given: Optimizer, lr: float | None, arguments: dict[str, Any], taken: Collection[str]
) -> tuple[str, Factory]:
    """An optimizer that is there, with what it remembers of steps it made."""
    name = _name_of(type(given), taken)
    if lr is not None or arguments:
        raise SelectionError(f"{name} has its own lr and arguments: leave out lr and arguments")
    own = {id(item) for group in given.param_groups for item in group["params"]}

    def make(parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        if own != {id(item) for item in parameters}:
            raise SelectionError(
                f"this {name} steps other parameters than those that are trained: make it of "
                "model.parameters(), or give its class (other devices and starts have copies)"
            )
        return _stepping(given)

    return name, make


def _stepping(made: Optimizer) -> Optimizer:
    """The optimizer. Raises SelectionError where its step wants to be told the loss."""
    step = inspect.signature(type(made).step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise SelectionError(
            f"{_name_of(type(made))} asks for a closure at each step: give optimizer='lbfgs'"
        )
    return made


def _name_of(given: Any, taken: Collection[str] = ()) -> str:
    """What it is called, in small letters; "own" before a name that is taken."""
    kind = getattr(given, "func", given)  # functools.partial
    name = str(getattr(kind, "__name__", type(kind).__name__)).lower()
    return f"own {name.strip('<>')}" if name in taken or not name.isidentifier() else name
