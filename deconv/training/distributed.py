"""Several processes that train one model: what ``torchrun`` says about this one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..devices import usable_device

__all__ = ["Workers", "workers"]


@dataclass(frozen=True)
class Workers:
    """The processes of a run, and which of them this is.

    Parameters
    ----------
    rank : int
        Of this one, from 0.
    count : int
        Of all.
    device : torch.device
        Where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this one speaks and writes."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` with its gradients averaged over the processes during the backward pass."""
        if self.count == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=ids, gradient_as_bucket_view=True)

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager:
        """Within it, gradients of what `wrap` gave stay this process's own."""
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, on each of them."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def from_first(self, value: float) -> float:
        """What the first process has."""
        if self.count == 1:
            return value
        carrier = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(carrier, src=0)
        return float(carrier)


@contextmanager
def workers(device: str | torch.device = "cpu") -> Iterator[Workers]:
    """Join the processes that ``torchrun`` has started; without it, be the only one.

    Parameters
    ----------
    device : str or torch.device
        ``"cpu"``, or ``"cuda"`` for the device of the process's own number.

    Yields
    ------
    Workers
        All of them.
    """
    place = usable_device(device)
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1 or dist.is_initialized():
        yield Workers(0, 1, place) if count == 1 else Workers(dist.get_rank(), dist.get_world_size(), place)
        return
    if place.type == "cuda":
        place = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        with warnings.catch_warnings():  # of the gradients of 1 x 1 kernels, whose strides mean nothing
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
            yield Workers(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
