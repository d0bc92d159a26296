"""Training on some of the rows: the split, mini-batches, and metrics of the held-out rows."""
