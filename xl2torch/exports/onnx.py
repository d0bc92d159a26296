"""The predictions as an ONNX file, checked with onnxruntime against the sheet."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xl2torch.errors import ModelError, SelectionError
from xl2torch.exports.program import RowModule


def write_onnx(rows: RowModule, path: Path, metadata: dict[str, str]) -> None:
    """Write inputs, outputs and metadata by name; the number of rows is free.

    Raises SelectionError (packages are missing) or ModelError (ONNX cannot say it, or the file
    gives other predictions than the sheet).
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SelectionError(
            f"ONNX needs the package {error.name}: pip install onnx onnxscript onnxruntime"
        ) from None
    made = _converted(rows)
    model = made.model_proto
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    content = model.SerializeToString()
    try:
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime cannot run this program: {first_line(error)}") from None
    for count in sorted({1, len(rows.expected[0])}):
        fed = {name: value[:count].numpy() for name, value in rows.inputs.items()}
        for name, ours, sheet in zip(
            rows.outputs, session.run(list(rows.outputs), fed), rows.expected, strict=True
        ):
            check_predictions(name, np.asarray(ours), sheet[:count])
    path.write_bytes(content)


def _converted(rows: RowModule) -> Any:
    dimension = torch.export.Dim("rows", min=1)
    shapes = tuple({0: dimension} for _ in rows.inputs)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            return torch.onnx.export(
                rows.module.eval(), tuple(rows.inputs.values()), dynamo=True, verbose=False,
                input_names=list(rows.inputs), output_names=list(rows.outputs),
                dynamic_shapes=shapes,
            )  # fmt: skip
    except Exception as error:
        raise ModelError(f"torch cannot write this program as ONNX: {first_line(error)}") from None
    finally:
        quiet.setLevel(level)


def first_line(error: Exception) -> str:
    """The first line of a message that has something to say."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def check_predictions(name: str, ours: np.ndarray, sheet: torch.Tensor) -> None:
    """Raise ModelError where predictions are not the sheet's."""
    wanted = sheet.numpy()
    if ours.shape != wanted.shape or not np.allclose(
        ours, wanted, rtol=1e-9, atol=1e-9, equal_nan=True
    ):
        raise ModelError(
            f"what was written predicts something else for {name} than the sheet: nothing is kept"
        )
