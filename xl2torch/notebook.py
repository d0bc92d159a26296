"""Tables for notebooks: HTML of numbers and of texts that nothing obeys."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xl2torch.safety.plain_text import short

_LONGEST, _MOST_ROWS = 120, 30


def html_table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; more than some rows are counted.

    >>> html_table(["a"], [["<b>"]])
    '<table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    every = list(rows)
    shown = every[:_MOST_ROWS]
    lines = ["".join(f"<th>{_text(item)}</th>" for item in headings)]
    lines += ["".join(f"<td>{_text(item)}</td>" for item in row) for row in shown]
    more = f"<p>and {len(every) - len(shown):,} more</p>" if len(every) > len(shown) else ""
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{more}"


def _text(item: Any) -> str:
    if isinstance(item, float):
        return f"{item:.6g}"
    if isinstance(item, dict | list | tuple):
        return f"{len(item)}" if item else ""
    return html.escape(short("" if item is None else str(item), _LONGEST))


class Report(dict[str, Any]):
    """Plain data, which a notebook shows as tables."""

    def _repr_html_(self) -> str:
        return "".join(_sections(self, ""))


def _sections(data: Mapping[str, Any], title: str) -> Iterable[str]:
    """A table of the plain facts, one of each list of records, and so on within."""
    plain = [(key, value) for key, value in data.items() if not _is_nested(value)]
    if title:
        yield f"<p><b>{html.escape(short(title, _LONGEST))}</b></p>"
    if plain:
        yield html_table(["", ""], plain)
    for key, value in data.items():
        if not value or not _is_nested(value):
            continue
        name = f"{title} {key}".strip()
        if isinstance(value, Mapping):
            yield from _sections(value, name)
            continue
        headings = list(dict.fromkeys(field for item in value for field in item))
        yield f"<p><b>{html.escape(short(name, _LONGEST))}</b></p>"
        yield html_table(headings, ([item.get(field) for field in headings] for item in value))


def _is_nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)
