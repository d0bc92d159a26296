"""The whole sheet, computed: new values of all cells, compared with Excel's, described.

In: a workbook and values for some of its cells. Out: the values of the others
(``recalculation``), where they differ from the cached ones (``verification``), and a description
of the model for people (``inspection``).
"""
