"""The predictions as a torch.export program (.pt2), checked against the sheet."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

from xl2torch.errors import ModelError
from xl2torch.exports.onnx import check_predictions, first_line
from xl2torch.exports.program import RowModule


def write_pt2(rows: RowModule, path: Path, metadata: dict[str, str]) -> None:
    """Write the program with its weights; the number of rows is free.

    Raises ModelError where torch cannot export it, or what it wrote gives other predictions.
    """
    dimension = torch.export.Dim("rows", min=1)
    shapes = tuple({0: dimension} for _ in rows.inputs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                rows.module.eval(), tuple(rows.inputs.values()), dynamic_shapes=shapes
            )
            buffer = io.BytesIO()
            torch.export.save(program, buffer, extra_files=dict(metadata))
            buffer.seek(0)
            again = torch.export.load(buffer).module()
    except Exception as error:
        raise ModelError(f"torch cannot export this program: {first_line(error)}") from None
    for count in sorted({2, len(rows.expected[0])}):
        with torch.no_grad():
            found = again(*(value[:count] for value in rows.inputs.values()))
        for name, ours, sheet in zip(rows.outputs, found, rows.expected, strict=True):
            check_predictions(name, ours.numpy(), sheet[:count])
    path.write_bytes(buffer.getvalue())
