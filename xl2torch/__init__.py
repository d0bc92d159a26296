"""xl2torch: train the model that lives in an Excel workbook with PyTorch."""

__version__ = "0.1.0"
