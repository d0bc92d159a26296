"""Writes the table of options in docs/training.md: ``python docs/make_options.py``."""

from __future__ import annotations

from pathlib import Path

from xl2torch.training.options import OPTIONS, FitOptions, Option, flag_of

PAGE = Path(__file__).with_name("training.md")
BEGIN, END = "<!-- options: docs/make_options.py -->\n", "<!-- end of the options -->\n"
PARTS = {"engine": "The optimizer", "rows": "Rows and cells", "start": "The start"}


def table() -> str:
    """All options by what they are about."""
    lines = ["| command line | Python | what it is |\n", "| --- | --- | --- |\n"]
    for part, title in PARTS.items():
        lines.append(f"| **{title}** | | |\n")
        lines += [_line(name, item) for name, item in OPTIONS.items() if item.part == part]
    return "".join(lines)


def _line(name: str, option: Option) -> str:
    flag = flag_of(name)
    if option.kind is bool and getattr(FitOptions(), name):
        flag += f"/--no-{flag[2:]}"
    metavar = option.metavar or "\\|".join(option.choices)
    shown = f"{flag} {metavar}".strip()
    return f"| `{shown}` | `{name}` | {option.help.replace('|', '/')} |\n"


def page() -> str:
    """The page, with the table as the code has it."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
