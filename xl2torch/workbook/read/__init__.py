"""File to cells: one pass over each sheet's XML, then what people say about the sheet.

In: the package of parts. Out: a ``Workbook`` of sheets, names, tables and links (``reader``), the
model that Solver stored (``solver_model``), and ranges as people name them (``selection``).
Example: ``reader.load("survival.xlsx")["Sheet1"].cells``.
"""
