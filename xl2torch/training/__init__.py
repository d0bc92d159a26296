"""Objective to weights: a torch optimizer in Solver's role.

In: a compiled model and options. Out: a ``Result`` with weights, history and Solver's message.
``fit`` is the door, ``solvers`` holds one file per engine, ``rows`` the mini-batches.
"""
