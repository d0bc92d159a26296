"""Optimizers written down the rows of a sheet, recognised and run again with torch's."""
