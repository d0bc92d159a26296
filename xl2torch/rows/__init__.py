"""Some of the rows, and new ones.

In: a graph whose objective is a sum or a mean over rows, or a sheet whose formulas were copied
down. Out: the objective of n rows, for mini-batches and validation (``row_objective``), and the
row formulas applied to new data (``prediction``, ``row_module``).
"""
