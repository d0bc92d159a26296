"""``IF(x<0,0,x)`` and its other spellings become ReLU.

Their slopes at exactly 0 differ when taken literally (1, 0 or ½): like torch we choose 0.
"""

from __future__ import annotations

import operator

import torch
from torch import fx

_ZERO_BRANCH_FIRST = (operator.lt, operator.le)
_ZERO_BRANCH_LAST = (operator.gt, operator.ge)


def recognise_relu(graph: fx.Graph) -> fx.Graph:
    """where(x < 0, 0, x) and where(x > 0, x, 0) become relu(x)."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not torch.where:
            continue
        test, first, second = node.args
        if not isinstance(test, fx.Node) or len(test.args) != 2:
            continue
        compared, limit = test.args
        if limit != 0:
            continue
        spelled = (test.target in _ZERO_BRANCH_FIRST and second is compared and first == 0) or (
            test.target in _ZERO_BRANCH_LAST and first is compared and second == 0
        )
        if not spelled:
            continue
        with graph.inserting_before(node):
            relu = graph.call_function(torch.relu, (compared,))
        relu.meta = dict(node.meta)
        node.replace_all_uses_with(relu)
        graph.erase_node(node)
    return graph
