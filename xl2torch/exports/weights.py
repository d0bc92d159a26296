"""The weights as a safetensors file: names, numbers, and where they stand in the workbook."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch

from xl2torch.errors import SelectionError, WorkbookError
from xl2torch.model.sheet_model import SheetModel


def metadata_of(model: SheetModel) -> dict[str, str]:
    """Workbook, its SHA-256, sheet, objective, and the ranges of the weights, as texts."""
    workbook = model.compiled.workbook
    ranges = {variable.name: str(variable.cells) for variable in model.variables}
    with torch.no_grad():
        value = float(model())
    return {
        "workbook": workbook.path.name,
        "workbook_sha256": hashlib.sha256(workbook.package.packed()).hexdigest(),
        "sheet": model.problem.sheet,
        "objective": str(model.problem.objective),
        "objective_value": repr(value),
        "sense": model.problem.sense,
        "ranges": json.dumps(ranges, ensure_ascii=False),
    }


def write_weights(model: SheetModel, path: Path) -> None:
    """Write the parameters by name."""
    from safetensors.torch import save_file

    tensors = {
        variable.name: model.parameter(variable).detach().cpu().contiguous()
        for variable in model.variables
    }
    save_file(tensors, path, metadata=metadata_of(model))


def load_weights(model: SheetModel, path: str | Path) -> None:
    """Put the weights of a safetensors file into a model.

    Args:
        model: A compiled model of the same sheet.
        path: A file that ``export`` wrote: float64 tensors in the parameters' shapes.

    Returns:
        Nothing; the model's parameters are changed.

    Raises:
        WorkbookError: No such file, or none of safetensors.
        SelectionError: The file is of another model.

    Example:
        >>> trained = xl2torch.fit("workbooks/line.xlsx").model
        >>> exported = xl2torch.export(trained, "line.safetensors")
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> xl2torch.load_weights(model, "line.safetensors")
        >>> round(model().item(), 9)
        0.0
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WorkbookError(f"{path} cannot be read as safetensors: {error}") from None
    wanted = {variable.name: tuple(variable.start.shape) for variable in model.variables}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        raise SelectionError(f"{path} holds the weights {found}, the model has {wanted}")
    with torch.no_grad():
        for variable in model.variables:
            model.parameter(variable).copy_(tensors[variable.name])
