"""Pictures of a run: loss, path, landscape, fit, weights."""
