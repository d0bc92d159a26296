"""Training a SheetModel with a torch optimizer in the Solver's role."""
