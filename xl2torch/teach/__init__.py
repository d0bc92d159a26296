"""What authors work out in cells, checked against torch.

``derivatives`` compares columns of derivatives that stand in a sheet, ``replay`` recognises an
optimizer that is written down the rows, ``live_formulas`` writes difference quotients that Excel
itself computes.
"""
