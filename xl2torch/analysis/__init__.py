"""What kind of model it is: linear, a sum of squares, with binary cells; and its optimality.

In: a compiled model. Out: facts that choose the optimizer and fill the reports, such as the
coefficients of a linear program, the residuals of a sum of squares, Lagrange multipliers.
"""
