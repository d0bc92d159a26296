"""The graph: what is known of a node, what is known of an operator, and the rules of a graph.

torch.fx holds the graph. ``facts`` is the record of a node (parameter, data, switch or call; its
cells; its formula), ``ops`` the table of operators, ``spec`` checks a graph after each pass.
``trace`` records nodes, ``rewriting`` replaces them, ``naming`` and ``printing`` show them.
"""
