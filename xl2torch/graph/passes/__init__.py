"""Simplification: each pass is a function from graph to graph, in a file of its name."""

from collections.abc import Callable

from torch import fx

from xl2torch.graph.passes.drop_gaps import drop_gaps
from xl2torch.graph.passes.drop_unused_guards import drop_unused_guards
from xl2torch.graph.passes.merge_channels import merge_channels
from xl2torch.graph.passes.merge_like_columns import merge_like_columns
from xl2torch.graph.passes.recognise_convolution import recognise_convolution
from xl2torch.graph.passes.recognise_max_pool import recognise_max_pool
from xl2torch.graph.passes.recognise_relu import recognise_relu
from xl2torch.graph.passes.rewriting import drop_unused
from xl2torch.graph.passes.share_equal_nodes import share_equal_nodes

PASSES: tuple[Callable[[fx.Graph], fx.Graph], ...] = (
    drop_unused_guards,
    share_equal_nodes,
    recognise_relu,
    merge_like_columns,
    recognise_convolution,
    recognise_max_pool,
    drop_gaps,
    share_equal_nodes,
    merge_channels,
    share_equal_nodes,
)


def simplify(graph: fx.Graph) -> fx.Graph:
    """Run all passes in order; the graph is checked after each."""
    for run in PASSES:
        graph = run(graph)
        drop_unused(graph)
        graph.lint()
    return graph
