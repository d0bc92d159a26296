"""Cells as a ``torch.nn.Module``: the problem that Solver stored, compiled.

In: a workbook and, where it stores no model, an objective and variable cells. Out: a
``SheetModel`` whose parameters are variable cells and whose ``forward`` is the objective;
``constraints`` and ``jacobian`` see vectors of cells as functions of the variables.
"""
