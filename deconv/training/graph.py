"""The gradient of a training step as a CUDA graph: hundreds of small kernels launched by one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .data import Batch

__all__ = ["RandomSources", "StaticStep"]

# Steps before the capture: libraries choose their algorithms and take their workspaces in them.
_WARM_UP = 3


class RandomSources:
    """What is random in the step of one shard: generators that stay, seeded anew at every step.

    Parameters
    ----------
    device : torch.device
        Where they draw.

    Attributes
    ----------
    augmentation, noise : torch.Generator
        For the symmetries of the images, and for the loss.
    """

    def __init__(self, device: torch.device) -> None:
        self.augmentation, self.noise = torch.Generator(device), torch.Generator(device)

    def seed(self, augmentation: int, noise: int) -> RandomSources:
        """Start both anew."""
        self.augmentation.manual_seed(augmentation)
        self.noise.manual_seed(noise)
        return self


class StaticStep:
    """A function of batches and random numbers, evaluated on tensors that keep their places.

    On a CUDA device, the first calls run it as it is; the next one captures it in a graph, which all others replay:
    with the same kernels in the same order, and with the same random numbers, since a graph draws from a generator
    what that gives when it is replayed. On other devices there is no graph, and the rest is the same.

    What the function leaves in other tensors, such as gradients, is in the same ones after every replay.

    Parameters
    ----------
    compute : callable
        ``compute(batches, sources)``; it must not read values, and all its batches have the same shapes in every call.
    device : torch.device
        Where it computes.
    """

    def __init__(
        self, compute: Callable[[Sequence[Batch], Sequence[RandomSources]], Tensor], device: torch.device
    ) -> None:
        self._compute, self._device = compute, device
        self._batches: list[Batch] = []
        self._sources: list[RandomSources] = []
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None
        self._capturing = device.type == "cuda"
        self._side = torch.cuda.Stream(device) if self._capturing else None

    def __call__(self, batches: Sequence[Batch], seeds: Sequence[tuple[int, int]]) -> Tensor:
        """The function's value.

        Parameters
        ----------
        batches : sequence of Batch
            Of each shard, on any device.
        seeds : sequence of pair of int
            For the augmentation and the noise of each shard.
        """
        self._calls += 1
        self._fill(batches)
        if self._capturing and self._graph is None and self._calls > _WARM_UP:
            self._capture()
        self._seed(seeds)
        if self._graph is not None and self._result is not None:
            self._graph.replay()
            return self._result
        return self._beside()

    def _fill(self, batches: Sequence[Batch]) -> None:
        if not self._batches:
            self._batches = [batch.to(self._device) for batch in batches]
            self._sources = [RandomSources(self._device) for _ in batches]
            if self._device.type == "cpu":  # where moving is no copy
                self._batches = [Batch(*(None if t is None else t.clone() for t in batch)) for batch in self._batches]
            return
        for held, given in zip(self._batches, batches, strict=True):
            for place, value in zip(held, given, strict=True):
                if place is not None and value is not None:
                    place.copy_(value, non_blocking=True)

    def _seed(self, seeds: Sequence[tuple[int, int]]) -> None:
        for source, pair in zip(self._sources, seeds, strict=True):
            source.seed(*pair)

    def _beside(self) -> Tensor:
        """Without a graph, on a stream of its own as the capture will be: buffers of gradients know theirs."""
        if self._side is None:
            return self._compute(self._batches, self._sources)
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            result = self._compute(self._batches, self._sources)
        torch.cuda.current_stream(self._device).wait_stream(self._side)
        return result

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        for source in self._sources:
            graph.register_generator_state(source.augmentation)
            graph.register_generator_state(source.noise)
        try:
            with torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"):
                self._result = self._compute(self._batches, self._sources)
            self._graph = graph
        except RuntimeError as error:  # a layer of one's own may copy or wait
            self._capturing, self._result = False, None
            self._sources = [RandomSources(self._device) for _ in self._sources]
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(
                f"graph: this training step cannot be captured in a CUDA graph ({reason}), and goes on without; "
                "graph=False does not try",
                RuntimeWarning,
                stacklevel=4,
            )
