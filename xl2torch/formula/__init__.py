"""Formulas: one tree per copied formula, with relative references."""
