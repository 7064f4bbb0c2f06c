"""Dask arrays restored chunk by chunk, when and where their scheduler says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from .problem import Statistics
from .streaming_statistics import survey

__all__ = ["is_dask", "restore_chunks"]


def is_dask(array: Any) -> bool:
    """Whether it is a dask array; who has one has imported dask."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(array, dask.Array)


def restore_chunks(
    function: Callable[..., Any],
    image: Any,
    psf: Any,
    *,
    axes: Sequence[int],
    tile: Sequence[int] | None,
    reach: Sequence[int],
    mask: str | None,
    sigma: Any,
    statistics: Statistics | None,
    **parameters: Any,
) -> Any:
    """The restored image as a lazy dask array.

    axes: where height and width are. tile: their new chunks; None: as they are. reach: how far a chunk is restored
        beyond its own pixels. statistics: None: measured in the whole image, by one task. The rest is as for the
        method.
    """
    import dask
    import dask.array as da

    # Samples and channels are restored together, and so is what the overlap would span anyway.
    chunks = dict.fromkeys(range(image.ndim), -1)
    depth = dict.fromkeys(range(image.ndim), 0)
    for position, (axis, r) in enumerate(zip(axes, reach, strict=True)):
        if r < image.shape[axis]:
            chunks[axis] = tile[position] if tile else image.chunks[axis]
            depth[axis] = r
    if statistics is None:
        measure = dask.delayed(survey, pure=False)
        statistics = measure(_Strips(image), list(axes), mask=mask, sigma=sigma, linear=bool(parameters.get("linear")))
    return da.map_overlap(
        partial(function, psf=psf, mask=mask, sigma=sigma, progress=False, **parameters),
        image.rechunk(chunks),
        depth=depth,
        boundary="none",
        dtype=image.dtype,
        meta=np.empty((0,) * image.ndim, image.dtype),
        statistics=statistics,
    )


class _Strips:
    """A dask array of which a task sees the part that it asks for, and never the whole."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array[index].compute(scheduler="synchronous")
