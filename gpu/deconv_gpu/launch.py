"""From tensors to launches.

What depends on shapes and strides alone is worked out once, and packed as the driver takes it; a call allocates, fills
in addresses and launches. Memory comes from torch's caching allocator and nothing here waits for the device, so a solve
can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import Array, addressof, c_void_p
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from .operands import Operands

__all__ = ["KernelShape", "Launch", "PackedSolve", "Plan"]


class KernelShape(Protocol):
    """The arguments of the templates of some kernels: `str` of it is the C++ type."""

    FILES: ClassVar[tuple[str, ...]]  # of the source, in order
    KERNELS: ClassVar[tuple[str, ...]]  # templates in it

    @property
    def cluster(self) -> int:
        """Blocks of a cluster of the kernels that solve."""
        ...


class Launch:
    """One launch of a kernel.

    Parameters
    ----------
    kernel : str
        One of the templates in `shape.KERNELS`.
    shape : KernelShape
        What it is compiled for.
    blocks, threads, shared_bytes : int
        The size of the launch.
    arguments : sequence of ctypes values
        What the kernel is given, in its order; addresses are `c_void_p`.

    Attributes
    ----------
    address : int
        Of the array of pointers to the arguments.
    function : Any
        The compiled kernel, for whoever launches to keep here.
    """

    def __init__(
        self, kernel: str, shape: KernelShape, blocks: int, threads: int, shared_bytes: int, arguments: Sequence[Any]
    ):
        self.kernel, self.shape = kernel, shape
        self.blocks, self.threads, self.shared_bytes = blocks, threads, shared_bytes
        self.arguments = tuple(arguments)
        self._pointers: Array[c_void_p] = (c_void_p * len(self.arguments))(*map(addressof, self.arguments))
        self.address = addressof(self._pointers)
        self.function: Any = None


class Plan(Protocol):
    """How a solve is cut and launched."""

    @property
    def compiled_for(self) -> KernelShape:
        """The shape that its kernels are compiled for."""
        ...

    @property
    def workspace_bytes(self) -> int:
        """Memory that its launches share."""
        ...

    def launches(self, operands: Operands) -> tuple[Launch, ...]:
        """The launches, one after the other, each of which sees what the one before it wrote."""
        ...


class PackedSolve:
    """A solve for all tensors of the same shapes, strides and dtype.

    Arguments are packed in place, so each thread needs one of its own.

    Parameters
    ----------
    y, weight : Tensor
        Right-hand side and kernel; what is in them does not matter.
    plan : Plan
        How it is cut.
    corner : {"tl", "tr", "bl", "br"}
        Where the causal past lies.
    support : {"quarter", "half"}
        Of the kernel.
    """

    def __init__(self, y: Tensor, weight: Tensor, plan: Plan, corner: str, support: str):
        self._operands = Operands(y, weight, corner, support)
        self._workspace_bytes = plan.workspace_bytes
        self.launches = plan.launches(self._operands)

    def __call__(self, y: Tensor, weight: Tensor, start: Callable[[Launch], None]) -> Tensor:
        """Solve; `start` starts a launch."""
        x = torch.empty_like(y, memory_format=torch.contiguous_format)
        size = self._workspace_bytes
        workspace = torch.empty(size, dtype=torch.uint8, device=y.device) if size else None
        self._operands.fill_in(y, weight, x, workspace.data_ptr() if workspace is not None else 0)
        for launch in self.launches:
            start(launch)
        return x
