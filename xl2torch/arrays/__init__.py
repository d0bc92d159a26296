"""Excel's arrays as tensors: shape, broadcasting, kinds of value, and operators on them.

In: tensors with the axes (row of the region, column of the region, row of the array, column of
the array), and what is known of kinds and text. Out: the same, for as many cells at once as the
region has. A function that no variable reaches is computed by the same code.
"""
