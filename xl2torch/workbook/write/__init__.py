"""Cells to file: parts patched in place, sheets and charts added last.

In: a package and the numbers, sheets and charts to put into it. Out: ``Changes``, which are saved
at once or not at all; what nobody meant to change is the same byte for byte.
"""
