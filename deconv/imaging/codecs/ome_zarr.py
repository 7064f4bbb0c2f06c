"""OME-Zarr 0.4 and 0.5: a folder with an image in chunks, at its full size and at smaller ones."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import numpy as np

from ..picture import Volume, as_pixels
from .ngff import Scale, attributes_of, images_in, read_image_notes

__all__ = ["locate_volume", "write_slices"]

# Rows and columns of a chunk; its other axes have one entry, since slices are what is written and looked at.
_CHUNK = 1024

# Bytes of slices that are decoded together.
_HELD = 2**28

# Of a new image, and the format of Zarr that each version is kept in.
_NEWEST, _FORMATS = "0.5", {"0.4": 2, "0.5": 3}


@dataclass(frozen=True)
class _Chunks:
    """An array of which an index reads the chunks that it touches."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """Of what is read: uint8, uint16, float32 or float64."""
        return as_pixels(np.empty(0, self.array.dtype)).dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        return as_pixels(np.asarray(self.array[index]))


def locate_volume(path: str | os.PathLike, part: int | None) -> tuple[Volume, Iterator[np.ndarray]]:
    """The image in a folder, at its full size, and its slices one by one; its values are read as they are indexed."""
    zarr = _zarr()
    node = zarr.open(store=os.fspath(path), mode="r")
    if isinstance(node, zarr.Array):
        return Volume(cast(np.ndarray, _Chunks(node)), axes=_named_axes(node)), _planes(_Chunks(node))
    paths = images_in(dict(node.attrs), sorted(name for name, _ in node.groups()))
    number = 0 if part is None else part
    if not 0 <= number < len(paths):
        raise ValueError(f"series {part} is not there; it holds {len(paths)}, from 0 on")
    image = node[paths[number]] if paths[number] else node
    names, axes, known = read_image_notes(dict(image.attrs))
    full, *smaller = (image[name] for name in names)
    if len(axes) != len(full.shape):
        raise ValueError(f"its axes are {axes}, and the shape of its values {tuple(full.shape)}")
    known["notes"]["levels"] = tuple(tuple(array.shape) for array in smaller)
    words = f"series {number} of {len(paths)}" if len(paths) > 1 else ""
    return Volume(cast(np.ndarray, _Chunks(full)), axes=axes, part=words, **known), _planes(_Chunks(full))


def write_slices(
    path: str | os.PathLike, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
) -> None:
    """A folder with the image, slice by slice, and with as many smaller sizes as `like` had, as means of the voxels."""
    version = str(like.notes.get("version", _NEWEST))
    group = _zarr().open_group(store=os.fspath(path), mode="w-", zarr_format=_FORMATS[version])
    full = _created(group, "0", shape, dtype, like.axes)
    spans: dict[int, tuple[float, float]] = {}
    for place, values in zip(np.ndindex(*shape[:-2]), slices, strict=True):
        full[place] = values
        channel = place[like.axes.index("C")] if "C" in like.axes else 0
        low, high = spans.get(channel, (math.inf, -math.inf))
        spans[channel] = min(low, float(values.min())), max(high, float(values.max()))
    levels, scale = [full], Scale.of(like)
    scales = [scale]
    for number, wanted in enumerate(like.notes.get("levels", ()), start=1):
        factors = tuple(max(round(n / m), 1) for n, m in zip(levels[-1].shape, wanted, strict=True))
        sizes = tuple(min(m, -(-n // f)) for n, m, f in zip(levels[-1].shape, wanted, factors, strict=True))
        smaller = _created(group, str(number), sizes, dtype, like.axes)
        _average(levels[-1], smaller, factors)
        levels.append(smaller)
        scales.append(scales[-1].coarser(factors))
    # Last, so that a folder that was not written to its end is no image.
    group.attrs.put(attributes_of(like, version, scales, spans))


def _planes(values: _Chunks) -> Iterator[np.ndarray]:
    """Each chunk is decoded once where the slices that it spans are not too large to be held."""
    *others, _, _ = values.shape
    spanned = values.array.chunks[len(others) - 1] if others else 1
    step = max(min(spanned, _HELD // (values.dtype.itemsize * math.prod(values.shape[-2:]))), 1)
    for place in np.ndindex(*others[:-1]):
        for start in range(0, others[-1] if others else 1, step):
            yield from values[(*place, slice(start, start + step))] if others else [values[...]]


def _zarr() -> Any:
    try:
        return import_module("zarr")
    except ImportError:
        raise ValueError("OME-Zarr asks for the package zarr (pip install zarr)") from None


def _named_axes(array: Any) -> str:
    """Those that an array of Zarr 3 names itself, else slices, rows and columns."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    axes = "".join(str(name).upper() for name in names)
    known = len(set(axes)) == len(axes) == array.ndim and set(axes) <= set("TCZYX") and axes.endswith("YX")
    return axes if known else "ZYX"[-array.ndim :]


def _created(group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype, axes: str) -> Any:
    chunks = tuple(min(n, _CHUNK) if axis in "YX" else 1 for n, axis in zip(shape, axes, strict=True))
    if group.metadata.zarr_format == 2:
        options: dict[str, Any] = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
    else:
        options = {"dimension_names": list(axes.lower())}
    return group.create_array(name, shape=shape, chunks=chunks, dtype=dtype, **options)


def _average(full: Any, smaller: Any, factors: Sequence[int]) -> None:
    """Write the means of blocks of voxels, chunk by chunk; integers to the nearest."""
    grid = [range(0, n, c) for n, c in zip(smaller.shape, smaller.chunks, strict=True)]
    for place in itertools.product(*grid):
        target = tuple(slice(i, min(i + c, n)) for i, c, n in zip(place, smaller.chunks, smaller.shape, strict=True))
        values = np.asarray(full[tuple(slice(s.start * f, s.stop * f) for s, f in zip(target, factors, strict=True))])
        means = values.astype(np.float64)
        for axis, factor in enumerate(factors):
            starts = np.arange(0, values.shape[axis], factor)
            counts = np.diff(np.append(starts, values.shape[axis]))  # the last block may have fewer
            counts = counts.reshape([-1 if a == axis else 1 for a in range(values.ndim)])
            means = np.add.reduceat(means, starts, axis=axis) / counts
        smaller[target] = (np.rint(means) if values.dtype.kind == "u" else means).astype(values.dtype)
