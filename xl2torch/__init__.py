"""xl2torch: train the model that lives in an Excel workbook with PyTorch.

    import xl2torch
    workbook = xl2torch.load("survival.xlsx")
    model = xl2torch.compile(workbook)          # a torch.nn.Module; model() is the objective
    xl2torch.gradcheck(model)                   # numeric beside analytic derivatives, a DataFrame
    result = xl2torch.fit(model, optimizer="lbfgs")
    xl2torch.save(result, "survival-trained.xlsx")

torch is imported when the first of these names is used, not by ``import xl2torch``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xl2torch.evaluate.inspection import inspect
    from xl2torch.evaluate.recalculation import recalculate
    from xl2torch.evaluate.verification import verify
    from xl2torch.exports.estimators import SheetClassifier, SheetRegressor
    from xl2torch.exports.files import export
    from xl2torch.exports.weights import load_weights
    from xl2torch.gradients.check import gradcheck
    from xl2torch.model.sheet_model import SheetModel, compile
    from xl2torch.plots.draw import plot
    from xl2torch.reports.frames import report
    from xl2torch.reports.restore import restore
    from xl2torch.reports.save import save
    from xl2torch.teach.derivatives.sheet_derivatives import compare_derivatives
    from xl2torch.teach.replay.run import replay
    from xl2torch.training.fit import fit
    from xl2torch.training.options import FitOptions
    from xl2torch.training.result import Result
    from xl2torch.workbook.read.reader import Workbook, load

__version__ = "0.1.0"

_HOMES = {
    "FitOptions": "training.options",
    "Result": "training.result",
    "SheetClassifier": "exports.estimators",
    "SheetModel": "model.sheet_model",
    "SheetRegressor": "exports.estimators",
    "Workbook": "workbook.read.reader",
    "compare_derivatives": "teach.derivatives.sheet_derivatives",
    "compile": "model.sheet_model",
    "export": "exports.files",
    "fit": "training.fit",
    "gradcheck": "gradients.check",
    "inspect": "evaluate.inspection",
    "load": "workbook.read.reader",
    "load_weights": "exports.weights",
    "plot": "plots.draw",
    "recalculate": "evaluate.recalculation",
    "replay": "teach.replay.run",
    "report": "reports.frames",
    "restore": "reports.restore",
    "save": "reports.save",
    "verify": "evaluate.verification",
}

__all__ = [
    "FitOptions",
    "Result",
    "SheetClassifier",
    "SheetModel",
    "SheetRegressor",
    "Workbook",
    "compare_derivatives",
    "compile",
    "export",
    "fit",
    "gradcheck",
    "inspect",
    "load",
    "load_weights",
    "plot",
    "recalculate",
    "replay",
    "report",
    "restore",
    "save",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xl2torch' has no attribute {name!r}")
    try:
        return getattr(import_module(f"xl2torch.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sklearn"):
            need = f"xl2torch.{name} needs scikit-learn: pip install scikit-learn"
            raise ImportError(need) from None
        raise


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
