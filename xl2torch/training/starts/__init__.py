"""Many start points, trained together as one batch.

In: a loss and how many starts. Out: where each of them ended, the best first.
"""
