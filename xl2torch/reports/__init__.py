"""Results into the user's workbook: weights, values, history, and Solver's reports."""
