"""From formulas to a computation graph: regions, precedents, evaluation order, torch.fx."""
