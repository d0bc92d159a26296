"""Exporting a model: one function for all kinds of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xl2torch.errors import SelectionError
from xl2torch.exports.atomic_write import atomic_write
from xl2torch.exports.exported_program import write_pt2
from xl2torch.exports.onnx import write_onnx
from xl2torch.exports.python_source import python_source
from xl2torch.exports.weights import metadata_of, write_weights
from xl2torch.model.sheet_model import SheetModel, refuse_moved
from xl2torch.safety.limits import within_limits

SUFFIXES = {"python": ".py", "safetensors": ".safetensors", "onnx": ".onnx", "pt2": ".pt2"}


@dataclass(frozen=True)
class Exported:
    """A file that was written; headers of the sheet by the names of inputs, names of outputs."""

    path: Path
    kind: str
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def default_path(model: SheetModel, kind: str) -> Path:
    """``BOOK_sheet`` with the suffix of the kind, in the present folder."""
    stem = f"{model.compiled.workbook.path.stem}_{model.problem.sheet}"
    plain = "".join(char if char.isalnum() else "_" for char in stem)
    return Path(f"{plain}{SUFFIXES[kind]}")


@within_limits("the export")
def export(
    model: SheetModel,
    path: str | Path | None = None,
    to: str | None = None,
    *,
    outputs: str | None = None,
    force: bool = False,
) -> Exported:
    """Write a model for other programs: its source, its weights, or its predictions as a program.

    Args:
        model: A compiled model.
        path: The file to write; None gives the text of Python source alone.
        to: ``python``, ``safetensors``, ``onnx`` or ``pt2``; told from the path's suffix if None.
        outputs: The columns of predictions, by default those nearest before the loss.
        force: Overwrite another file of that name.

    Returns:
        What was written, with the names and shapes of inputs and outputs, rows first. ONNX and pt2
        are checked against the sheet before the file appears.

    Raises:
        SelectionError: No such format or column.
        ModelError: The model has no such form.
        OutputError: The file cannot be written.

    Example:
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> xl2torch.export(model, "line.safetensors").kind
        'safetensors'
    """
    refuse_moved(model)
    model.problem.require_objective("an export")
    if to is None:
        found = [kind for kind, end in SUFFIXES.items() if path and Path(path).suffix == end]
        if not found:
            raise SelectionError(f"say what to export to: {', '.join(SUFFIXES)}")
        (to,) = found
    if to not in SUFFIXES:
        raise SelectionError(f"there is no export to {to!r}: {', '.join(SUFFIXES)}")
    target = Path(path) if path else default_path(model, to)
    if outputs and to not in ("onnx", "pt2"):
        raise SelectionError("outputs are for onnx and pt2, which predict")
    inputs: dict[str, str] = {}
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    with atomic_write(target, force, [model.compiled.workbook.path]) as partial:
        if to == "python":
            text, notes = python_source(model, target.parent)
            partial.write_text(text, encoding="utf-8")
        elif to == "safetensors":
            write_weights(model, partial)
        else:
            rows = model.predictor(outputs).rows
            write = write_onnx if to == "onnx" else write_pt2
            write(rows, partial, metadata_of(model))
            inputs, names, notes = rows.headers, rows.outputs, rows.notes
    return Exported(target, to, inputs, names, notes)
