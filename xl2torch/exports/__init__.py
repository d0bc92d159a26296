"""The trained model out of the sheet: Python source, weights, ONNX, torch.export, tables."""
