"""Columns of derivatives that an author wrote, paired with autograd's and explained.

In: a range of cells and the cell that it is the derivative of. Out: each cell's number beside
autograd's, and what went wrong on paper where they differ (``explanations``).
"""
