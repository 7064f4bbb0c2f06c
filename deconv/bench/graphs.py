"""Times of functions that are replayed from CUDA graphs: those of the device alone, without the host's part."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from .timing import interleaved_medians

__all__ = ["captured", "replayed_medians"]

_CALLS = 20  # in a graph: a single one would be over before the next is launched


def captured(function: Callable[[], object], calls: int) -> Callable[[], object]:
    """Replays so many calls of `function` from one CUDA graph.

    Parameters
    ----------
    function : callable
        Without arguments, on tensors of the current CUDA device, whose results may be overwritten by the next call.
    calls : int
        In the graph.

    Returns
    -------
    callable
        Without arguments.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # kernels are compiled, and workspaces there
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            function()
    return graph.replay


def replayed_medians(functions: Mapping[str, Callable[[], object]], *, seconds: float, device: str) -> dict[str, float]:
    """Median time of each function in a CUDA graph, in seconds; see `interleaved_medians`."""
    graphs = {name: captured(function, _CALLS) for name, function in functions.items()}
    times = interleaved_medians(graphs, seconds=seconds, device=device)
    return {name: time / _CALLS for name, time in times.items()}
