"""The predictions as a torch.export program (.pt2), checked against the sheet."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

from xl2torch.errors import ModelError, first_line
from xl2torch.rows.row_module import RowModule


def write_pt2(rows: RowModule, path: Path, metadata: dict[str, str]) -> None:
    """Write the program with its weights; the number of rows is free.

    Raises ModelError where torch cannot export it, or what it wrote gives other predictions.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                rows.module.eval(),
                tuple(rows.inputs.values()),
                dynamic_shapes=rows.dynamic_shapes(),
            )
            buffer = io.BytesIO()
            torch.export.save(program, buffer, extra_files=dict(metadata))
            buffer.seek(0)
            again = torch.export.load(buffer).module()
    except Exception as error:
        raise ModelError(f"torch cannot export this program: {first_line(error)}") from None
    with torch.no_grad():
        rows.check(lambda values: again(*values), fewest=2)
    path.write_bytes(buffer.getvalue())
