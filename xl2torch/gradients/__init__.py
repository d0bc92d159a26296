"""Numeric against analytic gradients, and against the derivative columns of a sheet's author."""
