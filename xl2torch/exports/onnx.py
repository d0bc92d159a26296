"""The predictions as an ONNX file, checked with onnxruntime against the sheet."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xl2torch.errors import ModelError, SelectionError, first_line
from xl2torch.rows.row_module import RowModule

_ADVICE = 'export `to="pt2"` is torch\'s own and takes more'


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
        raise ModelError(
            f"onnxruntime cannot run this program: {first_line(error)}. {_ADVICE}"
        ) from None

    def run(values: list[torch.Tensor]) -> Sequence[Any]:
        fed = {name: value.numpy() for name, value in zip(rows.inputs, values, strict=True)}
        found: Sequence[Any] = session.run(list(rows.outputs), fed)
        return found

    rows.check(run, fewest=1)
    path.write_bytes(content)


def _converted(rows: RowModule) -> Any:
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
                dynamic_shapes=rows.dynamic_shapes(),
            )  # fmt: skip
    except Exception as error:
        raise ModelError(
            f"torch cannot write this program as ONNX: {first_line(error)}. {_ADVICE}"
        ) from None
    finally:
        quiet.setLevel(level)
