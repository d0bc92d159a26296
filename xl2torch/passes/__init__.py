"""Simplification: each pass is a function from graph to graph, in a file of its name."""

from collections.abc import Callable

from torch import fx

from xl2torch.ir.lines import lines_of, note_parts
from xl2torch.ir.rewriting import drop_unused
from xl2torch.ir.share_equal_nodes import share_equal_nodes
from xl2torch.ir.spec import check, parameters_of
from xl2torch.passes.clean.cancel_moves import cancel_moves
from xl2torch.passes.clean.drop_gaps import drop_gaps
from xl2torch.passes.clean.drop_unused_guards import drop_unused_guards
from xl2torch.passes.clean.fill_masked import fill_masked
from xl2torch.passes.clean.pick_rows_early import pick_rows_early
from xl2torch.passes.clean.trim_sums import trim_sums
from xl2torch.passes.fuse.batch_pictures import batch_pictures
from xl2torch.passes.fuse.log_quotients import log_quotients
from xl2torch.passes.fuse.merge_channels import merge_channels
from xl2torch.passes.fuse.merge_like_columns import merge_like_columns
from xl2torch.passes.fuse.merge_like_rows import merge_like_rows
from xl2torch.passes.fuse.merge_stacks import merge_stacks
from xl2torch.passes.fuse.sum_columns import sum_columns
from xl2torch.passes.layout.split_weights import split_weights
from xl2torch.passes.layout.transpose_weights import transpose_weights
from xl2torch.passes.recognise.recognise_convolution import recognise_convolution
from xl2torch.passes.recognise.recognise_cross_entropy import recognise_cross_entropy
from xl2torch.passes.recognise.recognise_embedding import recognise_embedding
from xl2torch.passes.recognise.recognise_linear import recognise_linear
from xl2torch.passes.recognise.recognise_log_density import recognise_log_density
from xl2torch.passes.recognise.recognise_log_softmax import recognise_log_softmax
from xl2torch.passes.recognise.recognise_loss import recognise_loss
from xl2torch.passes.recognise.recognise_max_pool import recognise_max_pool
from xl2torch.passes.recognise.recognise_mean import recognise_mean
from xl2torch.passes.recognise.recognise_norm import recognise_norm
from xl2torch.passes.recognise.recognise_pad import recognise_pad
from xl2torch.passes.recognise.recognise_relu import recognise_relu
from xl2torch.passes.recognise.recognise_sigmoid import recognise_sigmoid
from xl2torch.passes.recognise.recognise_softmax import recognise_softmax

PASSES: tuple[Callable[[fx.Graph], fx.Graph], ...] = (
    share_equal_nodes,
    pick_rows_early,
    merge_like_rows,
    recognise_relu,
    recognise_sigmoid,
    recognise_softmax,
    recognise_log_density,
    recognise_log_softmax,
    drop_unused_guards,
    sum_columns,
    merge_like_columns,
    sum_columns,
    recognise_convolution,
    recognise_max_pool,
    drop_gaps,
    share_equal_nodes,
    merge_channels,
    merge_stacks,
    recognise_pad,
    trim_sums,
    recognise_cross_entropy,
    recognise_mean,
    fill_masked,
    recognise_loss,
    recognise_norm,
    log_quotients,
    recognise_embedding,
    recognise_linear,
    transpose_weights,
    cancel_moves,
    batch_pictures,
    split_weights,
    share_equal_nodes,
)


def simplify(graph: fx.Graph) -> fx.Graph:
    """Run all passes in order, and check the graph after each."""
    drop_unused(graph)
    lines, parameters = lines_of(graph), parameters_of(graph)
    for run in PASSES:
        graph = run(graph)
        drop_unused(graph)
        check(graph, run.__name__, parameters)
    graph.lint()
    note_parts(graph, lines)
    return graph
