"""The workbook file: reading it into plain data, and patching parts of it in place."""
