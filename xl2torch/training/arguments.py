"""Arguments of torch's classes as a user writes them: ``weight_decay=0.01``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from xl2torch.errors import SelectionError


def parsed(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """Texts ``key=value`` with numbers, True, False, None, or tuples. Raises SelectionError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip().isidentifier():
            raise SelectionError(f"{option} {pair!r}: it is key=value, such as weight_decay=0.01")
        found[key.strip()] = _value(text.strip())
    return found


def _value(text: str) -> Any:
    """A literal; any other word is a text, such as the name of a mode."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def checked(
    what: str, kind: Callable[..., Any], own: Collection[str], make: Callable[[], Any],
    given: Mapping[str, Any],
) -> Any:  # fmt: skip
    """What a call of a class makes. Raises SelectionError for arguments that it does not take."""
    accepted = [name for name in inspect.signature(kind).parameters if name not in own]
    unknown = [name for name in given if name not in accepted]
    if unknown:
        raise SelectionError(
            f"{what} has no argument {', '.join(unknown)}; it has {', '.join(accepted)}"
        )
    with reworded(what):
        return make()


@contextmanager
def reworded(what: str) -> Iterator[None]:
    """What torch says of a wrong argument, as a SelectionError that names whose it is."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError, LookupError,
            AssertionError) as error:  # fmt: skip
        raise SelectionError(f"{what}: {error or type(error).__name__}") from None
