"""Every optimizer and schedule of torch, their arguments, clipping, and the choice among all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from corpus import WORKBOOKS
from grids import grid

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.choose_optimizer import choose
from xl2torch.training.loss import Loss
from xl2torch.training.methods import torch_optimizers
from xl2torch.training.options import FitOptions
from xl2torch.training.solvers.protocol import Request
from xl2torch.training.steps.schedules import schedules
from xl2torch.workbook.read.reader import load


def bowl(tmp_path: Path) -> SheetModel:
    """(x-3)² + 2(y+1)² from (1, 2)."""
    return xl2torch.compile(
        grid(tmp_path, "1 2 =(A1-3)^2+2*(B1+1)^2"), objective="C1", variables="A1:B1"
    )


@pytest.mark.parametrize("name", sorted(torch_optimizers()))
def test_every_optimizer_of_torch_goes_down(name: str, tmp_path: Path) -> None:
    result = xl2torch.fit(bowl(tmp_path), name, epochs=50)
    assert result.final < result.start and result.settings.optimizer == name
    assert result.settings.solver.endswith(f"(torch {torch.__version__})")


@pytest.mark.parametrize("name", sorted(schedules()))
def test_every_schedule_changes_the_rate(name: str, tmp_path: Path) -> None:
    result = xl2torch.fit(bowl(tmp_path), "sgd", lr=0.05, epochs=60, schedule=name)
    rates = {row.learning_rate for row in result.iterations}
    assert result.final < result.start and (len(rates) > 1 or name == "reduce-lr-on-plateau")


def test_arguments_are_those_of_torch(tmp_path: Path) -> None:
    """One step of SGD with weight decay: x - lr·(2(x-3) + decay·x)."""
    result = xl2torch.fit(bowl(tmp_path), "sgd", lr=0.1, epochs=1, arguments={"weight_decay": 0.5})
    model = result.model
    last = list(result.iterations)[-1].variables
    assert last == pytest.approx((1 - 0.1 * (-4 + 0.5), 2 - 0.1 * (12 + 1.0)))
    assert model.problem.sense == "min"


def test_the_way_is_torchs_own(tmp_path: Path) -> None:
    """AdamW with a schedule, step by step beside the same in plain torch."""
    result = xl2torch.fit(
        bowl(tmp_path), "adamw", lr=0.1, epochs=20,
        arguments={"weight_decay": 0.1, "betas": (0.8, 0.9)},
        schedule="step,step_size=5,gamma=0.5", clip_norm=2.0,
    )  # fmt: skip
    point = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = torch.optim.AdamW([point], lr=0.1, weight_decay=0.1, betas=(0.8, 0.9))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
    for row in result.iterations[1:]:
        optimizer.zero_grad()
        torch.autograd.backward((point[0] - 3) ** 2 + 2 * (point[1] + 1) ** 2)
        torch.nn.utils.clip_grad_norm_([point], 2.0)
        optimizer.step()
        schedule.step()
        assert row.variables == pytest.approx(point.tolist(), rel=1e-12)
        assert row.learning_rate == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adam", "arguments": {"momentum": 0.9}}, "no argument momentum; it has"),
        ({"optimizer": "adam", "arguments": {"betas": 3}}, "optimizer adam"),
        ({"optimizer": "adam", "arguments": {"maximize": True}}, "no argument maximize"),
        ({"optimizer": "adam", "arguments": {"betas": (0.9, 0.9, 0.9)}}, "the optimizer adam"),
        ({"optimizer": "lbfgs", "arguments": {"history_size": 0}}, "whole number above 0"),
        ({"optimizer": "sgd", "schedule": "step,step_size=0"}, "the schedule step,step_size=0"),
        ({"optimizer": "adafactor", "starts": 3}, "`starts` and adafactor"),
        ({"optimizer": "sgd", "schedule": "Reduce-LR-on-plateau", "starts": 3}, "not go together"),
        ({"optimizer": "sgd", "schedule": "weekly"}, "no schedule 'weekly'; there are"),
        ({"optimizer": "sgd", "schedule": "step,size=3"}, "no argument size; it has"),
        ({"optimizer": "sgd", "schedule": "step,3"}, "key=value"),
        ({"optimizer": "lbfgs", "schedule": "step"}, "lbfgs finds its own steps"),
        ({"optimizer": "least-squares", "clip_norm": 1.0}, "has no use for `clip_norm`"),
        ({"optimizer": "slsqp", "lr": 0.1}, "slsqp has no learning rate"),
        ({"optimizer": "highs"}, "highs is for linear models: S!C1"),
        ({"engine": "numpy"}, "no engine 'numpy'"),
        ({"optimizer": "adam", "engine": "scipy"}, "`engine='scipy'` has no adam"),
        ({"optimizer": "slsqp", "engine": "torch"}, "`engine='torch'` has no slsqp"),
        ({"max_time": 0.0}, "`max_time` is a number above 0"),
        ({"convergence": 2.0}, "`convergence` is"),
        ({"starts": 0}, "`starts` is a whole number at least 1"),
        ({"optimizer": "sgd", "clip_value": -1.0}, "`clip_value`"),
    ],
)  # fmt: skip
def test_mistakes(options: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=words):
        xl2torch.fit(bowl(tmp_path), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["least-squares", "l-bfgs-b", "slsqp", "tnc", "trust-constr"])
def test_scipys_find_the_minimum_within_bounds(name: str, tmp_path: Path) -> None:
    model = xl2torch.compile(
        grid(tmp_path, "1 2 =(A1-3)^2+2*(B1+1)^2"), objective="C1", variables="A1:B1",
        constraints=["A1 <= 2", "B1 >= 0"],
    )  # fmt: skip
    result = xl2torch.fit(model, name)
    near = 1e-4 if name == "trust-constr" else 1e-9  # an interior point method stays inside
    assert list(model.cell_values().values()) == pytest.approx([2.0, 0.0], abs=near)
    assert result.final == pytest.approx(3.0, abs=2 * near)


@pytest.mark.parametrize(
    ("table", "constraints", "options", "expected"),
    [
        ("1 2 =A1+2*B1", ["A1:B1 >= 0"], {}, "highs"),
        ("1 2 =A1*B1", ["A1+B1>=1"], {}, "slsqp"),
        ("1 2 =EXP(A1)+B1^4", ["A1:B1 >= 0"], {}, "l-bfgs-b"),
        ("1 2 =EXP(A1)+B1^4", [], {}, "lbfgs"),
        ("1 2 =EXP(A1)+B1^4", [], {"engine": "scipy"}, "l-bfgs-b"),
        ("1 2 =(A1-3)^2+(B1-1)^2", [], {"engine": "torch"}, "lbfgs"),
        ("1 2 =(A1-3)^2+(B1-1)^2", [], {"lr": 0.5}, "lbfgs"),
        ("1 2 =A1+2*B1", ["A1:B1 >= 0"], {"engine": "torch"}, "lbfgs"),
    ],
)  # fmt: skip
def test_choice(
    table: str, constraints: list[str], options: dict[str, object], expected: str, tmp_path: Path
) -> None:
    texts = [text.replace("A1+B1>=1", "D1 >= 1") for text in constraints]
    model = xl2torch.compile(
        grid(tmp_path, f"{table} =A1+B1"), objective="C1", variables="A1:B1", constraints=texts
    )
    from xl2torch.model.constraints import Constraints

    choice = choose(Request(model, Constraints(model), FitOptions(**options)))  # type: ignore[arg-type]
    assert choice.optimizer == expected and choice.reason


def test_weights_of_a_sample_by_every_kind() -> None:
    """The line of the sample workbook, y = 2x + 30, by three engines."""
    for name in ("least-squares", "lbfgs", "l-bfgs-b"):
        model = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
        assert xl2torch.fit(model, name).final < 1.0


def test_lbfgs_evaluates_a_point_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's asks for the first point of each line search again, and we for the one it takes."""
    points: list[bytes] = []
    plain = Loss._differentiate

    def counted(loss: Loss) -> torch.Tensor:
        points.append(loss.point.numpy().tobytes())
        return plain(loss)

    monkeypatch.setattr(Loss, "_differentiate", counted)
    model = xl2torch.compile(load(WORKBOOKS / "survival.xlsx"))
    result = xl2torch.fit(model, "lbfgs", epochs=30)
    assert result.epochs == 30 and len(set(points)) > 30
    assert len(points) - len(set(points)) < 10  # the start, and what is looked at in the end


@pytest.mark.slow
def test_lbfgs_does_not_load_torchs_compiler() -> None:
    code = (
        f"import sys, xl2torch; xl2torch.fit({str(WORKBOOKS / 'survival.xlsx')!r}, epochs=5); "
        "print([name for name in ('torch._dynamo', 'openpyxl', 'scipy.optimize') "
        "if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
