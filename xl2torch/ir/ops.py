"""The table of operators: what is known of each function that a program calls.

One row for each operator. A function that is in no row is refused wherever a program is checked
(ir.spec), so nothing is taken for smooth, linear or elementwise because nobody thought of it.
torch's operators stand below; a function of our own gets its row where it is defined, by
``@recorded``.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import torch
from torch import fx
from torch.nn import functional

Function = Callable[..., Any]
Branch = Callable[..., torch.Tensor]
_Function = TypeVar("_Function", bound=Function)


class Group(Enum):
    """How elements of the result depend on elements of the operands."""

    ARITHMETIC = "arithmetic"
    """Of numbers in the same place, which broadcast."""
    COMPARISON = "comparison"
    """True or false, of numbers in the same place."""
    LOGICAL = "logical"
    """True or false, of truth values in the same place."""
    ELEMENTWISE = "elementwise"
    """Any other function of what stands in the same place."""
    CHOICE = "choice"
    """One of two numbers in the same place, as a test says."""
    MOVE = "move"
    """Each is an element of an operand, at a place that is known beforehand."""
    PICK = "pick"
    """Each is an element of the data, at a place that other operands say."""
    REDUCTION = "reduction"
    """Of all elements along some dims."""
    ALONG = "along"
    """Of several elements along some dims, which remain."""
    PRODUCT = "product"
    """Sums of products."""
    LOSS = "loss"
    """A loss of predictions and targets."""
    FILL = "fill"
    """Of the operand's shape alone."""
    OTHER = "other"
    """Of any elements."""


_SAME_PLACE = frozenset(
    {Group.ARITHMETIC, Group.COMPARISON, Group.LOGICAL, Group.ELEMENTWISE, Group.CHOICE}
)


class Bend(Enum):
    """Where a function is not smooth."""

    SMOOTH = "smooth"
    """Nowhere, but for the edge of its domain."""
    KINK = "kink"
    """Its slope jumps."""
    STEP = "step"
    """It jumps, and is flat elsewhere."""
    CHOICE = "choice"
    """Where its test changes."""


EVERY = range(sys.maxsize)
"""Places of all operands."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """What is known of a function that programs call.

    ``addends`` are the places of operands in which it is linear together, ``factors`` those in
    each of which it is linear where the other factors are held; those of a list count one by one,
    and what is in neither has to be constant for it to be linear. ``branch`` gives what is
    discrete of a result, from the result and the arguments: between two points at which it is the
    same the function is smooth. ``spreads``: whether a result has an element that is not finite
    where an operand has one, but for rare cancellation. ``keeps_order``: elements stay in their
    order, none comes twice. ``keeps_true``: the result is true everywhere where the operands are.
    ``absorbing`` is what decides the result whatever the other operand is.

    ``symbol`` is its spelling between two operands, ``binding`` how tightly it binds;
    ``is_method``: a person writes it as a method of its first operand. ``tensors_only``: it takes
    no Python numbers. ``is_logarithm``: it is one, and ``is_stable``: it has a value where a
    formula spelled out would be 0 or infinite. ``taught``: what it is called in Excel and in torch.
    """

    function: Function
    group: Group
    addends: Collection[int] = ()
    factors: Collection[int] = ()
    bend: Bend = Bend.SMOOTH
    branch: Branch | None = None
    spreads: bool | Callable[[fx.Node], bool] = False
    keeps_order: bool = False
    keeps_true: bool = False
    absorbing: float | None = None
    symbol: str = ""
    binding: int = 0
    is_method: bool = False
    tensors_only: bool = False
    is_logarithm: bool = False
    is_stable: bool = False
    taught: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """What the function calls itself."""
        return _called(self.function)

    @property
    def is_elementwise(self) -> bool:
        """Whether operands broadcast, and each element is computed from those in its place."""
        return self.group in _SAME_PLACE

    @property
    def moves(self) -> bool:
        """Whether each element of the result is one of an operand."""
        return self.group in (Group.MOVE, Group.PICK)

    @property
    def is_own(self) -> bool:
        """Whether it is this package's, not torch's."""
        return is_own(self.function)

    def is_linear_in(self, places: Collection[int]) -> bool:
        """Whether it is linear in the operands at some places, where the others are constant."""
        factors = [place for place in places if place in self.factors]
        return len(factors) <= 1 and all(
            place in self.addends or place in self.factors for place in places
        )

    def spreads_in(self, node: fx.Node) -> bool:
        """Whether a call of it hands on that an operand is not finite."""
        return self.spreads if isinstance(self.spreads, bool) else self.spreads(node)


_OPERATORS: dict[Function, Operator] = {}
_NAMED: dict[str, Operator] = {}


def find_operator(item: object) -> Operator | None:
    """The row of a function, or of the function that a node calls; None where there is none."""
    if isinstance(item, fx.Node):
        item = item.target if item.op == "call_function" else None
    return _OPERATORS.get(item) if callable(item) else None


def operator_of(node: fx.Node) -> Operator:
    """The row of the function that a node calls. Raises KeyError; a checked graph has all."""
    return _OPERATORS[node.target]  # type: ignore[index]


def operator_named(name: str) -> Operator | None:
    """The row of torch's function, or tensor's method, of a name without underscores around it."""
    return _NAMED.get(name)


def operators() -> Iterable[Operator]:
    """All rows, in the order of the table."""
    return dict.fromkeys(_OPERATORS.values())


def operators_in(graph: fx.Graph) -> set[Operator]:
    """Rows of the functions that a graph calls."""
    return {row for row in map(find_operator, graph.nodes) if row is not None}


def is_own(function: object) -> bool:
    """Whether a function is this package's, not torch's."""
    return str(getattr(function, "__module__", "")).startswith("xl2torch")


def in_group(item: object, *groups: Group) -> bool:
    """Whether a node calls an operator of some groups."""
    found = find_operator(item)
    return found is not None and found.group in groups


def is_elementwise(item: object) -> bool:
    """Whether a node calls an operator of elements that stand in the same place."""
    found = find_operator(item)
    return found is not None and found.is_elementwise


def recorded(group: Group = Group.ELEMENTWISE, **known: Any) -> Callable[[_Function], _Function]:
    """Give a function of our own, which a trace may record, its row in the table.

    Raises ValueError where it has one.
    """

    def add(function: _Function) -> _Function:
        _add(Operator(function=function, group=group, **known))
        return function

    return add


def _add(row: Operator, *aliases: Function) -> None:
    for function in (row.function, *aliases):
        if function in _OPERATORS:
            raise ValueError(f"{function} stands in the table of operators already")
        _OPERATORS[function] = row
        if not row.is_own:
            _NAMED.setdefault(_called(function).strip("_"), row)


def _called(function: Function) -> str:
    return str(getattr(function, "__name__", function))


def _torch(group: Group, *functions: Function, **known: Any) -> None:
    """One row; further functions are other spellings of the first."""
    _add(Operator(function=functions[0], group=group, **known), *functions[1:])


def _each(group: Group, *functions: Function, **known: Any) -> None:
    """A row for each of several functions of which the same is known."""
    for function in functions:
        _torch(group, function, **known)


# ---------------------------------------------------------------- what is discrete of a result


def _larger(_: torch.Tensor, first: Any, second: Any) -> torch.Tensor:
    return torch.as_tensor(first > second)


def _positive(_: torch.Tensor, data: torch.Tensor, **__: Any) -> torch.Tensor:
    return data > 0


def _untouched(result: torch.Tensor, data: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return torch.as_tensor(data == result)


def _extreme(
    result: torch.Tensor, data: torch.Tensor, dim: Any = (), *_: Any, **__: Any
) -> torch.Tensor:
    """Where the largest (smallest) elements are."""
    dims = dim if isinstance(dim, tuple | list) else [dim]
    for place in sorted(item % data.dim() for item in dims):
        result = result.unsqueeze(place) if result.dim() < data.dim() else result
    return data == result


def _order(result: Any, *_: Any, **__: Any) -> torch.Tensor:
    """Which element is where."""
    indices: torch.Tensor = result if isinstance(result, torch.Tensor) else result.indices
    return indices


def _largest_of_window(_: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
    """Which element of each window is the largest."""
    indices: torch.Tensor = functional.max_pool2d_with_indices(*arguments, **options)[1]
    return indices


def _itself(result: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return result


def _floor_of_quotient(_: torch.Tensor, first: Any, second: Any) -> torch.Tensor:
    return torch.floor(torch.true_divide(first, second))


def _whole_part_of_quotient(_: torch.Tensor, first: Any, second: Any) -> torch.Tensor:
    return torch.trunc(torch.true_divide(first, second))


def _raises_up(node: fx.Node) -> bool:
    """Whether an exponent is a number above 0: 0 to the power of -1 is infinite, ∞⁻¹ is not."""
    exponent = node.args[1]
    return isinstance(exponent, int | float) and exponent > 0


# ---------------------------------------------------------------- the table

_FIRST, _BOTH = (0,), (0, 1)
_MATRIX_PRODUCT = ("`SUMPRODUCT`, `MMULT`", "matrix product `@`")
_SOFTMAX = ("`EXP(x)/SUM(EXP(x))`", "softmax")
_SQUARED_ERROR = ("`AVERAGE` of squared errors", "mean squared error, `mse_loss`")
_CROSS_ENTROPY = ("`-LN(p)` of the right answer, averaged", "cross-entropy")

# Numbers in the same place.
_torch(
    Group.ARITHMETIC, operator.add, torch.add, addends=_BOTH, spreads=True, symbol="+", binding=2
)
_torch(
    Group.ARITHMETIC, operator.sub, torch.sub, addends=_BOTH, spreads=True, symbol="-", binding=2
)
_torch(
    Group.ARITHMETIC, operator.mul, torch.mul, factors=_BOTH, spreads=True, symbol="*", binding=3
)
_torch(
    Group.ARITHMETIC, operator.truediv, torch.div, torch.true_divide,
    addends=_FIRST, symbol="/", binding=3,
)  # fmt: skip
_torch(Group.ARITHMETIC, operator.pow, torch.pow, spreads=_raises_up, symbol="**", binding=5)
_torch(Group.ARITHMETIC, operator.neg, torch.neg, addends=_FIRST, spreads=True)
_torch(Group.ARITHMETIC, torch.rsub, addends=_BOTH, spreads=True)
_torch(Group.COMPARISON, operator.eq, torch.eq, symbol="==", binding=1)
_torch(Group.COMPARISON, operator.ne, torch.ne, symbol="!=", binding=1)
_torch(Group.COMPARISON, operator.lt, torch.lt, symbol="<", binding=1)
_torch(Group.COMPARISON, operator.le, torch.le, symbol="<=", binding=1)
_torch(Group.COMPARISON, operator.gt, torch.gt, symbol=">", binding=1)
_torch(Group.COMPARISON, operator.ge, torch.ge, symbol=">=", binding=1)
_torch(Group.LOGICAL, torch.logical_and, tensors_only=True, keeps_true=True, absorbing=0.0)
_torch(Group.LOGICAL, torch.logical_or, tensors_only=True, absorbing=1.0)
_torch(Group.LOGICAL, torch.logical_not)
_torch(Group.CHOICE, torch.where, addends=(1, 2), bend=Bend.CHOICE, keeps_true=True)
_torch(
    Group.CHOICE, torch.masked_fill, torch.Tensor.masked_fill,
    addends=(0, 2), bend=Bend.CHOICE, is_method=True,
)  # fmt: skip

# Smooth functions, by what a reader looks for.
_torch(
    Group.PRODUCT, torch.matmul,
    factors=_BOTH, spreads=True, symbol="@", binding=3, taught=_MATRIX_PRODUCT,
)  # fmt: skip
_torch(Group.PRODUCT, functional.linear, factors=_BOTH, addends=(2,), taught=_MATRIX_PRODUCT)
_torch(Group.PRODUCT, torch.addmm, factors=(1, 2), addends=_FIRST, taught=_MATRIX_PRODUCT)
_torch(
    Group.ELEMENTWISE, torch.relu, bend=Bend.KINK, branch=_positive,
    taught=("`MAX(0,x)`, `IF(x<0,0,x)`", "ReLU, `torch.relu`"),
)  # fmt: skip
_torch(Group.ELEMENTWISE, torch.sigmoid, taught=("`1/(1+EXP(-x))`", "sigmoid, `torch.sigmoid`"))
_torch(Group.ELEMENTWISE, torch.tanh, taught=("`TANH(x)`", "`torch.tanh`"))
_torch(Group.ALONG, torch.softmax, taught=_SOFTMAX)
_torch(Group.ALONG, torch.log_softmax, is_logarithm=True, is_stable=True, taught=_SOFTMAX)
_torch(
    Group.PICK, functional.embedding, addends=(1,),
    taught=("`OFFSET`, `INDEX` into the weights", "embedding lookup"),
)  # fmt: skip
_torch(
    Group.PRODUCT, functional.conv2d, factors=_BOTH, addends=(2,),
    taught=("`SUM(window*filter)` copied over a picture", "convolution"),
)  # fmt: skip
_torch(
    Group.OTHER, functional.max_pool2d, bend=Bend.KINK, branch=_largest_of_window,
    taught=("`MAX(window)` at every second cell", "max-pooling"),
)  # fmt: skip
_torch(Group.LOSS, functional.mse_loss, taught=_SQUARED_ERROR)
_torch(Group.REDUCTION, torch.linalg.vector_norm, taught=_SQUARED_ERROR)
_torch(
    Group.LOSS, functional.cross_entropy,
    is_logarithm=True, is_stable=True, taught=_CROSS_ENTROPY,
)  # fmt: skip
_torch(
    Group.LOSS, functional.binary_cross_entropy_with_logits, addends=(1,),
    is_logarithm=True, is_stable=True, taught=_CROSS_ENTROPY,
)  # fmt: skip
_torch(Group.ELEMENTWISE, functional.logsigmoid, is_logarithm=True, is_stable=True)
_torch(Group.ELEMENTWISE, torch.special.log_ndtr, is_logarithm=True, is_stable=True)
_each(Group.ELEMENTWISE, torch.log, torch.log10, torch.log1p, spreads=True, is_logarithm=True)
_torch(Group.ELEMENTWISE, torch.lgamma, is_logarithm=True)
_each(Group.ELEMENTWISE, torch.square, torch.sqrt, spreads=True)
_each(
    Group.ELEMENTWISE,
    torch.exp, torch.reciprocal, torch.sin, torch.cos, torch.tan, torch.asin, torch.acos,
    torch.atan, torch.sinh, torch.cosh, torch.asinh, torch.acosh, torch.atanh, torch.erf,
    torch.erfc, torch.special.ndtr, torch.special.ndtri,
)  # fmt: skip
_each(Group.ELEMENTWISE, torch.deg2rad, torch.rad2deg, addends=_FIRST, spreads=True)
_torch(Group.ELEMENTWISE, torch.atan2, tensors_only=True)
_torch(Group.ELEMENTWISE, torch.isfinite)
_torch(Group.ELEMENTWISE, torch.nan_to_num, bend=Bend.STEP)
_torch(Group.ELEMENTWISE, torch.detach, torch.Tensor.detach, is_method=True, spreads=True)
_torch(Group.ELEMENTWISE, torch.Tensor.to, addends=_FIRST, is_method=True)
_torch(Group.MOVE, torch.clone, addends=_FIRST, spreads=True)  # another layout in memory

# Functions that bend or jump.
_torch(Group.ELEMENTWISE, torch.abs, bend=Bend.KINK, branch=_positive, spreads=True)
_each(
    Group.ELEMENTWISE, torch.maximum, torch.minimum,
    bend=Bend.KINK, branch=_larger, tensors_only=True,
)  # fmt: skip
_each(
    Group.ELEMENTWISE, torch.clamp, torch.clamp_min, torch.clamp_max,
    bend=Bend.KINK, branch=_untouched,
)  # fmt: skip
_each(
    Group.ELEMENTWISE, torch.floor, torch.ceil, torch.trunc, torch.round, torch.sign,
    bend=Bend.STEP, branch=_itself,
)  # fmt: skip
_torch(Group.ELEMENTWISE, torch.remainder, bend=Bend.STEP, branch=_floor_of_quotient)
_torch(Group.ELEMENTWISE, torch.fmod, bend=Bend.STEP, branch=_whole_part_of_quotient)
_each(Group.REDUCTION, torch.amax, torch.amin, bend=Bend.KINK, branch=_extreme)
_each(Group.REDUCTION, torch.argmax, torch.argmin, bend=Bend.STEP, branch=_order)
_torch(Group.ALONG, torch.argsort, bend=Bend.STEP, branch=_order)
_each(
    Group.ALONG, torch.sort, torch.topk, torch.kthvalue, torch.cummax, torch.cummin,
    bend=Bend.KINK, branch=_order,
)  # fmt: skip
_torch(Group.REDUCTION, torch.median, bend=Bend.KINK, branch=_order)

# Sums and products along dims.
_each(Group.REDUCTION, torch.sum, torch.mean, addends=_FIRST, spreads=True)
_torch(Group.REDUCTION, torch.prod)
_torch(Group.REDUCTION, torch.all, keeps_true=True)
_torch(Group.REDUCTION, torch.any)
_torch(Group.ALONG, torch.cumsum, addends=_FIRST, spreads=True)
_torch(Group.ALONG, torch.cumprod)
_torch(Group.PRODUCT, torch.einsum, factors=EVERY, spreads=True)
_torch(Group.PRODUCT, torch.kron, factors=_BOTH)
_each(Group.OTHER, torch.linalg.inv, torch.linalg.det)

# Elements elsewhere.
_torch(Group.MOVE, operator.getitem, addends=EVERY)
_each(
    Group.MOVE, torch.reshape, torch.squeeze, torch.unsqueeze,
    addends=_FIRST, keeps_order=True, is_method=True, spreads=True,
)  # fmt: skip
_each(
    Group.MOVE, torch.flatten, torch.unflatten, torch.broadcast_to,
    addends=_FIRST, keeps_order=True, spreads=True,
)  # fmt: skip
_each(Group.MOVE, torch.narrow, torch.select, addends=_FIRST, keeps_order=True)
_torch(Group.MOVE, torch.split_with_sizes, addends=_FIRST)
_each(Group.MOVE, torch.stack, torch.cat, addends=EVERY, spreads=True, tensors_only=True)
_each(Group.MOVE, torch.t, torch.permute, torch.flip, addends=_FIRST, spreads=True)
_torch(Group.MOVE, torch.repeat_interleave, addends=_FIRST, spreads=True)
_torch(Group.MOVE, torch.Tensor.unfold, addends=_FIRST, is_method=True)
_torch(Group.OTHER, functional.pad, addends=_FIRST, spreads=True)
_each(Group.PICK, torch.index_select, torch.take_along_dim, torch.gather, addends=_FIRST)

# Of a shape alone.
_each(Group.FILL, torch.full_like, torch.zeros_like, torch.ones_like, torch.rand)
