"""Writing a result back into the user's workbook."""
