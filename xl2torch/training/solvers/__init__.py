"""The engines: each takes an objective to its minimum, by its own method.

In: a loss and what it is subject to. Out: the parameters at the best point, and why it stopped.
"""
