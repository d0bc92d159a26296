"""Passes that call an idiom of sheets by torch's name: a ReLU, a convolution, a cross entropy."""
