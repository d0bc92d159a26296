"""How many threads a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xl2torch.model.sheet_model import SheetModel

_SMALL = 200_000


def use_one_thread_for_small(model: SheetModel) -> None:
    """Small tensors are slower on several threads, far slower on a busy machine."""
    import torch

    from xl2torch.model.sheet_model import largest_tensor

    if largest_tensor(model) <= _SMALL:
        torch.set_num_threads(1)
