"""Pictures of the report sheets for the documentation: LibreOffice prints them, pdftoppm draws.

    python docs/make_pictures.py CORPUS

Needs LibreOffice (soffice) and poppler's pdftoppm and pdftotext.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import xl2torch

IMAGES = Path(__file__).parent / "images"
WORKBOOKS = Path(__file__).parent.parent / "workbooks"


@dataclass(frozen=True)
class Picture:
    """A page, by the text it begins with, and what to draw: x, y, width, height in dots."""

    name: str
    begins: str
    resolution: int
    part: tuple[int, int, int, int]


PICTURES = {
    "survival": (
        Picture("training", "Training", 300, (190, 215, 1290, 1080)),
        Picture("answer", "xl2torch", 90, (60, 60, 760, 640)),
    ),
    "titanic": (
        Picture("training", "Training", 300, (190, 215, 1230, 1180)),
        Picture("answer", "xl2torch", 90, (60, 60, 680, 640)),
    ),
}


def trained(book: Path, sheet: str | None, watch: list[str], folder: Path) -> Path:
    """The workbook trained from drawn start values, with the default reports."""
    model = xl2torch.compile(xl2torch.load(book), sheet)
    result = xl2torch.fit(model, init="normal", seed=4, watch_cells=watch, epochs=100)
    target = folder / book.name
    xl2torch.save(result, target)
    return target


def draw(book: Path, label: str) -> None:
    """Print the workbook, and draw the parts of its last pages that are wanted."""
    command = ["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(book.parent)]
    subprocess.run([*command, str(book)], check=True, capture_output=True)
    pdf = str(book.with_suffix(".pdf"))
    text = subprocess.run(["pdftotext", pdf, "-"], check=True, capture_output=True, text=True)
    pages = text.stdout.split("\f")
    for picture in PICTURES[label]:
        page = next(n for n, page in enumerate(pages, 1) if page.startswith(picture.begins))
        x, y, width, height = picture.part
        target = IMAGES / f"{label}-{picture.name}"
        subprocess.run(
            ["pdftoppm", "-png", "-singlefile", "-f", str(page), "-r", str(picture.resolution),
             "-x", str(x), "-y", str(y), "-W", str(width), "-H", str(height), pdf, str(target)],
            check=True,
        )  # fmt: skip


def main() -> None:
    """Draw titanic and survival."""
    corpus = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(trained(WORKBOOKS / "survival.xlsx", None, ["C7"], folder), "survival")
        titanic = corpus / "fastai-2022" / "titanic.xlsx"
        draw(trained(titanic, "nnet", [], folder), "titanic")


if __name__ == "__main__":
    main()
