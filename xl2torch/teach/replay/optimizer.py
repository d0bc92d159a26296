"""The optimizer of torch that a sheet's rule is, in code and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xl2torch.cells.address import column_letters
from xl2torch.teach.replay.descent import Descent
from xl2torch.teach.replay.gradient import Gradients, slips
from xl2torch.teach.replay.rules import State, Step

_ROUNDING = 1e-9
_LONG_AGO = 1e9
"""Steps after which no correction for the start is left: 1 - decay^t is 1 to the last bit."""


@dataclass(frozen=True)
class Match:
    """torch's optimizer for a rule: its class, arguments, a rate for each weight, state.

    ``code`` is how one would write it; ``remarks`` are where the sheet is not torch, in words.
    """

    kind: type[torch.optim.Optimizer]
    arguments: Mapping[str, Any]
    rates: tuple[float, ...]
    states: tuple[Mapping[str, float], ...]
    rule: str
    remarks: tuple[str, ...]

    @property
    def code(self) -> str:
        """It as a call, one rate for each weight where they differ."""
        same = len(set(self.rates)) == 1
        rate = f"{self.rates[0]:.10g}" if same else f"[{', '.join(f'{r:.6g}' for r in self.rates)}]"
        rest = "".join(f", {name}={_shown(value)}" for name, value in self.arguments.items())
        return f"torch.optim.{self.kind.__name__}(lr={rate}{rest})"

    def make(self, parameters: Sequence[nn.Parameter], with_state: bool) -> torch.optim.Optimizer:
        """The optimizer, a group for each weight, ``with_state`` where the sheet starts."""
        groups = [
            {"params": [parameter], "lr": rate}
            for parameter, rate in zip(parameters, self.rates, strict=True)
        ]
        arguments: dict[str, Any] = dict(self.arguments)
        optimizer: torch.optim.Optimizer = self.kind(groups, **arguments)
        for parameter, state in zip(parameters, self.states, strict=True) if with_state else ():
            optimizer.state[parameter] = {
                name: torch.tensor(value) if name == "step" else torch.full_like(parameter, value)
                for name, value in state.items()
            }
        return optimizer


def find_match(descent: Descent, gradients: Gradients, steps: Sequence[Step]) -> Match:
    """torch's optimizer for the steps of all weights."""
    first = steps[0]
    rates = tuple(step.rate for step in steps)
    remarks = [*_of_rates(descent, steps)]
    kind: type[torch.optim.Optimizer]
    arguments: dict[str, Any]
    if first.square is None and first.mean is None:
        kind, arguments = torch.optim.SGD, {}
        states: list[dict[str, float]] = [{} for _ in steps]
    elif first.square is None:
        assert first.mean is not None
        kind = torch.optim.SGD
        arguments = {"momentum": first.mean.decay, "dampening": _rest(first.mean.share)}
        states = [{"momentum_buffer": _start(step.mean)} for step in steps]
        remarks += _of_momentum(descent, steps)
    elif first.mean is None and first.square.decay == 1:
        kind, arguments = torch.optim.Adagrad, {"eps": 0.0}
        states = [{"sum": _start(step.square), "step": 0.0} for step in steps]
    elif first.mean is None:
        kind, arguments = torch.optim.RMSprop, {"alpha": first.square.decay, "eps": 0.0}
        states = [{"square_avg": _start(step.square), "step": 0.0} for step in steps]
        remarks += _of_roots(descent, steps)
    else:
        kind = torch.optim.Adam
        arguments = {"betas": (first.mean.decay, first.square.decay), "eps": 0.0}
        made = 0.0 if first.corrected else _LONG_AGO
        states = [
            {"exp_avg": _start(step.mean), "exp_avg_sq": _start(step.square), "step": made}
            for step in steps
        ]
        remarks += [*_of_adam(descent, steps), *_of_roots(descent, steps)]
    remarks += _of_shares(steps) if first.square is not None else []
    remarks += _of_slips(descent, gradients, steps)
    rule = "; ".join(
        _in_words(descent, place, gradients.columns[place], step)
        for place, step in enumerate(steps)
    )
    return Match(kind, arguments, rates, tuple(states), rule, tuple(remarks))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _rest(share: float) -> float:
    return float(f"{1 - share:.15g}")


def _start(state: State | None) -> float:
    return 0.0 if state is None else state.start


def _in_words(descent: Descent, place: int, gradient_column: int | None, step: Step) -> str:
    """The rule of a weight, with the letters of its columns."""
    weight = descent.weights[place]
    gradient = "gradient" if gradient_column is None else column_letters(gradient_column)
    rate = step.rate_cells or f"{step.rate:.6g}"
    moved = gradient if step.mean is None else column_letters(step.mean.column)
    text = f"new {weight.name} = {weight.name} - {rate}·{moved}"
    if step.square is not None:
        text += f"/√{column_letters(step.square.column)}"
        text += " of the row before" if step.earlier else ""
    if step.corrected:
        text += ", both corrected for their start"
    for state, power in ((step.mean, ""), (step.square, "²")):
        if state is not None:
            letter = column_letters(state.column)
            text += f", {letter} = {state.decay:.6g}·{letter} + {state.share:.6g}·{gradient}{power}"
    return text


def _of_rates(descent: Descent, steps: Sequence[Step]) -> list[str]:
    found = []
    if len({step.rate for step in steps}) > 1:
        rates = " and ".join(
            f"{step.rate_cells or 'a number'} = {step.rate:.6g} for {weight.name}"
            for step, weight in zip(steps, descent.weights, strict=True)
        )
        found.append(
            f"a fixed rate for each weight: {rates}. In torch each weight is a parameter group of "
            "its own. (torch's Adagrad divides by the root of a running sum of squared gradients, "
            "so that its rates fall from step to step.)"
        )
    divided = [step.rate_cells for step in steps if "/" in step.rate_cells]
    if divided:
        cell = divided[0].split("/")[1]
        value = descent.constants(descent.weights[0].new_column)[cell]
        found.append(
            f"the rate is divided by {cell}, which is {value:.10g} in this file and the same in "
            "all rows: a rate that follows the loss from run to run, as Eve's does (Koushik and "
            "Hayashi, Improving stochastic gradient descent with feedback, 2016)"
        )
    return found


def _of_momentum(descent: Descent, steps: Sequence[Step]) -> list[str]:
    mean = steps[0].mean
    assert mean is not None
    found = []
    if abs(mean.share - 1) > 1e-12:
        found.append(
            f"the buffer takes {mean.share:.6g} of the gradient: torch's SGD takes all of it "
            f"unless it is told dampening={_rest(mean.share):.6g}"
        )
    found += _of_starts(descent, [step.mean for step in steps], "the buffer", "the first gradient")
    return found


def _of_starts(
    descent: Descent, states: Sequence[State | None], what: str, torch_starts: str
) -> list[str]:
    begun = [state for state in states if state is not None and state.start]
    if not begun:
        return []
    cells = " and ".join(
        f"{descent.cell(-1, state.column).a1} = {state.start:.6g}" for state in begun
    )
    return [
        f"{what} at the start: {cells}; torch's is {torch_starts}: "
        '`state="new"` shows the difference'
    ]


def _of_adam(descent: Descent, steps: Sequence[Step]) -> list[str]:
    found = []
    if not steps[0].corrected:
        found.append(
            "no correction for the start (torch's Adam divides by 1 - β^t, which matters in the "
            "first steps): torch is told that many steps were made already"
        )
    states = [state for step in steps for state in (step.mean, step.square)]
    return found + _of_starts(descent, states, "mean and mean square", "0")


def _of_roots(descent: Descent, steps: Sequence[Step]) -> list[str]:
    found = ["nothing is added to the root: torch is told eps=0"]
    if steps[0].earlier:
        found.append(
            "the root is of the mean square of the row before: torch takes the present gradient "
            "into it first, so that its steps differ"
        )
    if steps[0].mean is None:
        found += _of_starts(descent, [step.square for step in steps], "the mean square", "0")
    return found


def _of_shares(steps: Sequence[Step]) -> list[str]:
    for step in steps:
        for state in (step.mean, step.square):
            if state and state.decay < 1 and abs(state.decay + state.share - 1) > _ROUNDING:
                return [
                    f"decay {state.decay:.6g} and share {state.share:.6g} do not add up to 1, as "
                    "torch's do"
                ]
    return []


def _of_slips(descent: Descent, gradients: Gradients, steps: Sequence[Step]) -> list[str]:
    """Cells that do not do as those above and below them."""
    cells = list(slips(descent, gradients))
    for weight, step in zip(descent.weights, steps, strict=True):
        cells += [descent.new_cell(place, weight) for place in step.slips]
        cells += [
            descent.cell(place, weight.column)
            for place in range(1, 1 if weight.is_own else descent.rows)
            if not descent.is_common(place, weight.column)
        ]
        for state in (step.mean, step.square):
            if state is not None:
                cells += [descent.cell(place, state.column) for place in state.slips]
    cells = list(dict.fromkeys(cells))
    odd = [cell for cell in cells if not descent.is_common(cell.row - descent.top, cell.column)]
    found = []
    for cell in odd or cells:  # what follows from a slip is none itself
        region = descent.region(cell.row - descent.top, cell.column)
        common = descent.shown(cell.column)
        own = "a number" if region is None else f"={region.formula}"
        found.append(f"a slip: {cell.a1} holds {own}, the others of its column what {common} says")
    return found
