"""Functions that we do not have, computed by the ``formulas`` package, one call at a time.

Only of constants, and for cells for which the file keeps no value either. The values are resolved
by us: that package's own reader knows no names of sheet scope.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from xl2torch.arrays.array import Array, ExcelError, Unsupported
from xl2torch.cells.values import ERRORS, CellValue, ErrorValue
from xl2torch.excel.text import from_values
from xl2torch.workbook.sparse_cells import cell_value


@cache
def _table() -> dict[str, Any]:
    from formulas import get_functions  # a second of imports, for few workbooks

    return {name.removeprefix("_XLFN."): found for name, found in get_functions().items()}


def is_known(name: str) -> bool:
    """Whether the package has the function."""
    return name in _table()


def call(name: str, arguments: list[Array]) -> Array:
    """The function of constants, for each copy. Raises Unsupported when that fails."""
    if any(argument.traced for argument in arguments):
        raise Unsupported(f"{name} of a trained value")
    rows, columns = (max((a.shape[axis] for a in arguments), default=1) for axis in (0, 1))
    values: list[CellValue] = []
    shape = (1, 1)
    for copy in np.ndindex(rows, columns):
        found = _one(name, [_operand(argument, copy) for argument in arguments])
        shape = found.shape
        values += [_value(item) for item in found.reshape(-1)]
    if len(values) != rows * columns * shape[0] * shape[1]:
        raise Unsupported(f"{name} with results of unequal size")
    return from_values(values, (rows, columns, *shape))


def _operand(array: Array, copy: tuple[int, ...]) -> Any:
    """One copy's argument in the package's terms."""
    at = tuple(min(index, size - 1) for index, size in zip(copy, array.shape, strict=False))
    numbers, kinds, texts = array.numpy()[at], array.full_kinds[at], array.full_texts[at]
    values = np.empty(numbers.shape, dtype=object)
    for place in np.ndindex(numbers.shape):
        value = cell_value(float(numbers[place]), int(kinds[place]), str(texts[place]))
        if isinstance(value, ErrorValue):
            raise ExcelError(value)
        values[place] = 0.0 if value is None else value
    return values.item() if values.size == 1 else values


def _one(name: str, operands: list[Any]) -> np.ndarray:
    try:
        result = _table()[name](*operands)
    except Exception as error:  # whatever another package raises
        raise Unsupported(f"the function {name}: {error}") from None
    return np.atleast_2d(np.asarray(result, dtype=object))


def _value(item: Any) -> CellValue:
    text = str(item)
    if text in ERRORS:
        return ERRORS[text]
    if isinstance(item, bool | np.bool_):
        return bool(item)
    return float(item) if isinstance(item, int | float | np.number) else text
