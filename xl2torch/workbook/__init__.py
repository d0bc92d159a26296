"""File to cells and back: a package of XML parts that is read once and patched in place.

In: the path or the bytes of a workbook. Out: a ``Workbook`` of plain data (``read``), and the same
file with other numbers, new sheets and charts (``write``).
"""
