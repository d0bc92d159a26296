"""Formula text to tree: one tree for all copies of a formula.

In: ``=SUM($A$1:A5)*2`` and the cell it stands in. Out: the tree of ``ast``, its references
relative to the cell. ``relocation`` writes a formula for another cell.
"""
