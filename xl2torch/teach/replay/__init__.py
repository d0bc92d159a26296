"""An optimizer that is written down the rows of a sheet, recognised and run by torch's.

In: a sheet whose weights move from row to row. Out: the optimizer of ``torch.optim`` that takes
the same steps, with its settings, and the first row where the two part.
"""
