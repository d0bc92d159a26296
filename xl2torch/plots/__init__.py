"""Pictures of a model: its loss, the landscape of it, the way down, the fit, the weights."""
