"""The benchmark models as a good torch programmer would write them, straight from the cells.

Each module takes its data and start weights from the workbook's cells (by openpyxl-free reading of
the cached values) and nothing else from xl2torch.
"""
