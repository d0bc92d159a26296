"""The graph between formulas and torch: what is known of its nodes."""
