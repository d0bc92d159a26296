"""Optimizers written down the rows of a sheet, recognised and run again with torch's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """``xl2torch.replay`` is a function too: once this package is imported, its name is taken."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from xl2torch.replay.run import replay

        return replay(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
