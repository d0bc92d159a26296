"""The words of a sheet: addresses and values.

In: text such as ``Sheet1!$B$2:C9`` or a cell's value. Out: ``Cell`` and ``CellRange`` as
integers, and the kinds of value that a cell can hold. Example: ``parse_a1("B2:C9", "Sheet1")``.
"""
