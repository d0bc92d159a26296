"""The trained model for other programs: Python source, safetensors, ONNX, torch.export, tables,
an estimator of scikit-learn."""
