"""Trees to graph: a copied formula becomes one tensor.

In: the workbook, the variable cells and the cell that is asked for. Out: a ``torch.fx`` graph
with one node per operator of a region. ``regions`` groups copies, ``precedents`` tells what they
read, ``schedule`` orders and evaluates them, ``lower`` turns one tree into nodes, ``recurrence``
makes a loop of cells that read the row above.
"""
