"""The kernels on a GPU: whether there is one, what it offers, compiled modules and launches. All of CuPy is in here.

CuPy raises an exception for every status of CUDA that is not success.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache

import torch

from .cell_shape import CellShape
from .launch import Launch
from .plan import Device
from .source import kernel_name, source

__all__ = ["available", "device_of", "launcher"]

_OLDEST = (7, 0)  # the first with loads that acquire and stores that release


@cache
def available() -> tuple[bool, str]:
    """Whether kernels can be compiled and run here, and the reason."""
    if importlib.util.find_spec("cupy") is None:
        return False, "CuPy is not installed (pip install cupy-cuda12x, or cupy-cuda13x)"
    if torch.version.hip is not None:
        return False, "this torch is built for ROCm, the kernels are for CUDA"
    if torch.version.cuda is None:
        return False, "this torch is built without CUDA"
    if not torch.cuda.is_available():
        return False, "torch finds no CUDA device"
    if torch.cuda.get_device_capability() < _OLDEST:
        return False, f"{torch.cuda.get_device_name()} is older than compute capability 7.0"
    try:
        import cupy
        from cupy.cuda import nvrtc

        cupy.cuda.runtime.getDeviceCount()
        nvrtc.getVersion()
    except Exception as error:  # whatever a CuPy for another version of CUDA may raise
        return False, f"CuPy does not work here: {type(error).__name__}: {error}"
    return True, f"CuPy {cupy.__version__} on {torch.cuda.get_device_name()}, compiled on first use and cached on disk"


@cache
def device_of(index: int) -> Device:
    """What the plans need to know of a GPU."""
    from cupy.cuda import runtime

    def attribute(name: str) -> int:
        return runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), index)

    return Device(
        processors=attribute("MultiProcessorCount"),
        shared_bytes=attribute("MaxSharedMemoryPerBlockOptin"),
        shared_bytes_per_processor=attribute("MaxSharedMemoryPerMultiprocessor"),
        threads_per_processor=attribute("MaxThreadsPerMultiProcessor"),
    )


def launcher(index: int) -> Callable[[Launch], None]:
    """Launches on the stream that is torch's current one on a GPU."""
    import cupy

    stream = _TorchStream(torch.cuda.current_stream(index).cuda_stream)
    # CuPy before version 14 does not know the protocol of streams, and later versions warn of the other way.
    adopt = getattr(cupy.cuda.Stream, "from_external", None)
    stream = adopt(stream) if adopt else cupy.cuda.ExternalStream(stream.address, index)

    def start(launch: Launch) -> None:
        with cupy.cuda.Device(index), stream:
            kernel = _kernel(launch.kernel, launch.plan.cell, index)
            kernel((launch.blocks,), (launch.threads,), launch.arguments, shared_mem=launch.shared_bytes)

    return start


class _TorchStream:
    """A stream of torch by the protocol that CuPy adopts streams by; torch before version 2.9 has no such method."""

    def __init__(self, address: int):
        self.address = address

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address


@cache
def _kernel(kernel: str, cell: CellShape, index: int):
    """A compiled kernel, allowed all the shared memory that the GPU gives to a block."""
    compiled = _module(cell, index).get_function(kernel_name(kernel, cell))
    compiled.max_dynamic_shared_size_bytes = device_of(index).shared_bytes
    return compiled


@cache
def _module(cell: CellShape, index: int):
    """The kernels for cells of a shape; a module for each GPU, because attributes of kernels belong to it."""
    import cupy

    names = [kernel_name(kernel, cell) for kernel in ("prepare", "solve")]
    return cupy.RawModule(code=source(), options=("-std=c++17",), name_expressions=names)
