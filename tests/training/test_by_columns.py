"""Parameters by columns: the same steps, and the order of rows again at the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from xl2torch.training.rows.by_columns import by_columns

SCALE = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
KINDS: list[tuple[type[torch.optim.Optimizer], dict[str, Any]]] = [
    (torch.optim.Adam, {"fused": True}), (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
    (torch.optim.Adagrad, {"fused": True}), (torch.optim.Adam, {}), (torch.optim.RMSprop, {}),
]  # fmt: skip


def step(parameters: list[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None
    torch.autograd.backward([(p.sin() * SCALE[: len(p), : p.shape[1]]).sum() for p in parameters])


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_the_same_steps(kind: Any, options: dict[str, Any]) -> None:
    starts = [SCALE / 7, SCALE[:2, :2] / 3]
    plain, trained = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    expected, optimizer = (kind(parameters, lr=0.1, **options) for parameters in (plain, trained))
    with by_columns(trained[:1], optimizer) as transposed:
        assert trained[0].stride() == (1, 4)
        for _ in range(5):
            step(plain)
            expected.step()
            step(trained)
            for pair in transposed:
                pair.pass_gradient()
            optimizer.step()
    for old, new in zip(plain, trained, strict=True):
        assert new.is_contiguous()
        torch.testing.assert_close(new, old, rtol=1e-15, atol=0)
    assert [id(item) for item in optimizer.param_groups[0]["params"]] == list(map(id, trained))


def test_the_order_of_rows_is_back_after_an_error() -> None:
    parameter = nn.Parameter(SCALE.clone())
    optimizer = torch.optim.Adam([parameter], fused=True)
    with pytest.raises(KeyError), by_columns([parameter], optimizer):
        raise KeyError
    assert parameter.is_contiguous()
    torch.testing.assert_close(parameter.detach(), SCALE, rtol=0, atol=0)
