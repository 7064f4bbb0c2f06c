"""The kernels on a GPU: whether there is one, what it offers, compiled modules and launches. All of CuPy is in here.

CuPy raises an exception for every status of CUDA that is not success.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache

import torch

from .launch import KernelShape, Launch
from .solve_shape import Device
from .source import kernel_name, source

__all__ = ["available", "device_of", "launcher"]

_OLDEST = (7, 0)  # the first with loads that acquire and stores that release
_CLUSTERS = (9, 0)  # the first with clusters of blocks


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
        clusters=(attribute("ComputeCapabilityMajor"), attribute("ComputeCapabilityMinor")) >= _CLUSTERS,
    )


def launcher(index: int) -> Callable[[Launch], None]:
    """Launches on the stream that is torch's current one on a GPU.

    By the driver itself: what CuPy does with the arguments of a kernel takes longer than all the rest.
    """
    import cupy

    driver, stream = cupy.cuda.driver, torch._C._cuda_getCurrentRawStream(index)

    def start(launch: Launch) -> None:
        if launch.function is None:
            launch.function = _kernel(launch.kernel, launch.shape, index)
            if not driver.ctxGetCurrent():  # a thread that has not used CUDA so far gets its context
                cupy.cuda.runtime.memGetInfo()
        grid, block = (launch.blocks, 1, 1), (launch.threads, 1, 1)
        driver.launchKernel(launch.function.ptr, *grid, *block, launch.shared_bytes, stream, launch.address, 0)

    return start


@cache
def _kernel(kernel: str, shape: KernelShape, index: int):
    """A compiled kernel, allowed all the shared memory that the GPU gives to a block; `ptr` is the driver's handle."""
    compiled = _module(shape, index).get_function(kernel_name(kernel, shape))
    compiled.max_dynamic_shared_size_bytes = device_of(index).shared_bytes
    return compiled.kernel


@cache
def _module(shape: KernelShape, index: int):
    """The kernels for a shape; a module for each GPU, because attributes of kernels belong to it."""
    import cupy

    names = [kernel_name(kernel, shape) for kernel in shape.KERNELS]
    return cupy.RawModule(code=source(shape), options=("-std=c++17",), name_expressions=names)
