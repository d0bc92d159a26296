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
    """Write a model as ``python`` source, ``safetensors`` weights, or its predictions as
    ``onnx`` or ``pt2``.

    ``to`` is told from the path's suffix where it is None. ``outputs``: the columns of predictions,
    else those nearest before the loss. ONNX and pt2 are checked against the sheet before the file
    appears. Raises SelectionError, ModelError or OutputError.
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
