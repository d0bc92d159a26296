"""Numeric beside analytic gradients.

In: a compiled model. Out: for each variable cell the difference quotient, autograd's derivative,
the relative error and, where they differ, the reason, such as a ReLU at its kink.
"""
