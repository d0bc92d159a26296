"""One step after the other: torch's optimizers by name, L-BFGS a step at a time, bounds kept.

In: a loss and the settings of an optimizer. Out: a ``Stepper``, whose ``step`` moves the parameters
within their bounds and evaluates the loss there.
"""
