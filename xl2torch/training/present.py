"""A model's present parameters as a result: what reports and save take beside one of ``fit``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar, cast

from xl2torch.errors import SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.fit import fit
from xl2torch.training.methods import BY_HAND
from xl2torch.training.result import Result
from xl2torch.training.solvers.protocol import full_name
from xl2torch.training.stopping import SET_IN_PYTHON, Stop

_Options = ParamSpec("_Options")
_Made = TypeVar("_Made")


def as_result(given: Result | SheetModel) -> Result:
    """A result; of a model, its present parameters, whoever set them. Raises what ``fit`` does."""
    if isinstance(given, Result):
        return given
    if not isinstance(given, SheetModel):
        raise SelectionError(
            f"a result of xl2torch.fit or a model is wanted, not {type(given).__name__}"
        )
    found = fit(given, epochs=0)
    settings = replace(
        found.settings, optimizer=BY_HAND, solver=full_name(BY_HAND),
        reason="by a program of your own",
    )  # fmt: skip
    return replace(found, stop=Stop(SET_IN_PYTHON), settings=settings)


def takes_models(
    function: Callable[Concatenate[Result, _Options], _Made],
) -> Callable[Concatenate[Result | SheetModel, _Options], _Made]:
    """Let a function of a result take a model too.

    While it runs the model has the weights of the result, even where it was trained on since.
    """

    @functools.wraps(function)
    def wrapped(
        result: Result | SheetModel, *positional: _Options.args, **named: _Options.kwargs
    ) -> _Made:
        result = as_result(result)
        with result.applied():
            return function(result, *positional, **named)

    return cast(Callable[Concatenate[Result | SheetModel, _Options], _Made], wrapped)
