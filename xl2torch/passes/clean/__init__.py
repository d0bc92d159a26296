"""Passes that take away what lowering wrote for safety and this graph does not need."""
