"""Dask arrays restored chunk by chunk, when and where their scheduler says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from ..foreign_arrays import as_tensor
from .methods import Method
from .psf_field import PsfField
from .statistics import Statistics
from .streaming_statistics import streaming_statistics
from .tile_statistics import with_held_out

__all__ = ["restore_chunks"]


def restore_chunks(
    method: Method,
    image: Any,
    psf: Any,
    *,
    axes: Sequence[int],
    tile: Sequence[int] | None,
    reach: Sequence[int],
    mask: str | None,
    white: float | None,
    sigma: Any,
    statistics: Statistics | None,
    colours: bool | None,
    channel_axis: int | None = None,
    device: torch.device | None = None,
    **options: Any,
) -> Any:
    """The restored image as a lazy dask array.

    Parameters
    ----------
    method : Method
        How to restore a chunk.
    image, psf : array
        As for the method.
    axes : sequence of int
        Where height and width are.
    tile : sequence of int or None
        Their new chunks; None: as they are.
    reach : sequence of int
        How far a chunk is restored beyond its own pixels.
    mask : str or None
        As for the method.
    white : float or None
        As for the method; None: each chunk shows it by itself.
    sigma : float, array or None
        As for the method.
    colours : bool or None
        Whether three channels are restored as opponent colours.
    statistics : Statistics or None
        None: measured in the whole image, by one task.
    channel_axis : int, optional
        As for the method.
    device : torch.device, optional
        Where the workers restore; by default where the chunks are.
    **options : Any
        More keywords of the method.

    Returns
    -------
    dask array
        Like `image`.
    """
    import dask.array as da
    from dask.delayed import delayed

    # Samples and channels are restored together, and so is what the overlap would span anyway.
    chunks = dict.fromkeys(range(image.ndim), -1)
    depth = dict.fromkeys(range(image.ndim), 0)
    for position, (axis, r) in enumerate(zip(axes, reach, strict=True)):
        if r < image.shape[axis]:
            chunks[axis] = tile[position] if tile else image.chunks[axis]
            depth[axis] = r
    known: Any = statistics
    if known is None:
        measure = delayed(_measured, pure=False)
        light = bool(options.get("linear"))
        given = {"mask": mask, "white": white, "sigma": sigma, "linear": light, "channel_axis": channel_axis}
        given["colours"] = bool(colours)
        known = measure(_Strips(image), list(axes), psf, method, options, **given)
    # A function of one's own need not know of these.
    said = {name: value for name, value in {"channel_axis": channel_axis, "white": white}.items() if value is not None}
    if colours or method.opponents:
        said["colours"] = bool(colours)
    given_to_all = {"psf": psf, "mask": mask, "sigma": sigma, "progress": False, **said, **options}
    return da.map_overlap(
        partial(_restored, method=method, device=device, space=len(axes), **given_to_all),
        image.rechunk(chunks),
        depth=depth,
        boundary="none",
        dtype=image.dtype,
        meta=np.empty((0,) * image.ndim, image.dtype),
        statistics=known,
    )


def _measured(
    image: Any,
    axes: Sequence[int],
    psf: Any,
    method: Method,
    options: Mapping[str, Any],
    *,
    mask: str | None,
    white: float | None,
    channel_axis: int | None,
    **light: Any,
) -> Statistics:
    """What all chunks are to agree on."""
    layout = {"mask": mask, "white": white, "channel_axis": channel_axis}
    statistics = streaming_statistics(image, axes, psf, **layout, **light)
    return with_held_out(statistics, method, image, axes, PsfField(psf), options=options, **layout)


def _restored(
    chunk: Any, *, method: Method, device: torch.device | None, space: int, statistics: Statistics, **keywords: Any
) -> Any:
    """A chunk, restored by the worker that has it, on the device that is asked for."""
    if device is None:
        return method(chunk, statistics=statistics, **keywords)
    tensor, back = as_tensor(chunk, name="image")
    if chunk.ndim == space + 1:  # of arrays the channels come last, of tensors they do not
        keywords.setdefault("channel_axis", chunk.ndim - 1)
    return back(method(tensor.to(device), statistics=statistics.to(device), **keywords))


class _Strips:
    """A dask array of which a task sees the part that it asks for, and never the whole."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array[index].compute(scheduler="synchronous")
