"""Options of a run that the trained workbook keeps: the next train takes them where none are
given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
from click.core import ParameterSource

from xl2torch.training.options import OPTIONS

KEPT = frozenset(name for name, option in OPTIONS.items() if option.remembered)
"""What says how a model is trained; where a run begins and ends is its own."""


def given_options(context: click.Context) -> dict[str, tuple[str, ...]]:
    """Options of a training that stand on the command line, as texts by their names."""
    found: dict[str, tuple[str, ...]] = {}
    for item in _kept(context):
        if context.get_parameter_source(item.name or "") is ParameterSource.COMMANDLINE:
            value = context.params[item.name or ""]
            texts = value if isinstance(value, tuple) else (value,)
            found[_option(item)] = tuple(map(_text, texts))
    return found


def with_remembered(
    context: click.Context, remembered: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Any], str]:
    """Values of options that the workbook remembers and the command line leaves out, by
    parameter; and they in words. Raises BadParameter where one makes no sense."""
    found: dict[str, Any] = {}
    shown: list[str] = []
    for item in _kept(context):
        texts = remembered.get(_option(item), ())
        source = context.get_parameter_source(item.name or "")
        if not texts or source is ParameterSource.COMMANDLINE:
            continue
        value: Any = texts if item.multiple else texts[0]
        found[item.name or ""] = item.type_cast_value(context, value)
        shown += [f"{_option(item)}={text}" for text in texts]
    return found, " ".join(shown)


def _kept(context: click.Context) -> Iterable[click.Option]:
    return (
        item for item in context.command.params
        if isinstance(item, click.Option) and item.name in KEPT
    )  # fmt: skip


def _option(item: click.Option) -> str:
    """The longest spelling of an option."""
    return max(item.opts, key=len)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
