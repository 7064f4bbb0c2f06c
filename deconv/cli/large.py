"""Stacks larger than the memory: from file to file, volume by volume, tile by tile."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .blurs import Blur, on_voxels
from .methods import warnings_in_lines
from .outcome import Outcome
from .outputs import check_outputs

if TYPE_CHECKING:
    import numpy as np

    from ..imaging.picture import Volume
    from .methods import Choice

__all__ = ["memory_by_name", "memory_for_picture", "memory_left", "restore_stored"]

# The most memory for one channel of a picture, in bytes: tiles of several megapixels overlap little.
_PICTURE = 3 * 2**29

# Of the memory, what the buffers of a tile may take: those that were freed lie in pieces, of which some fit nothing
# that comes later, so that the process grew by up to 1.8 times what they take; the rest is pages of the files.
_UNBROKEN = 0.4

# Of such an image, what is held beside what a method takes: the values, the floats and the result.
_HELD = 3


def memory_left(memory: str | None, device: str) -> int:
    """Bytes that a restoration may take beside what the process has by now."""
    from ..devices import usable_device
    from ..free_memory import resident_bytes
    from ..restore.memory import as_bytes, free_bytes

    place = usable_device(device, name="--device")
    if memory is None:
        return free_bytes(place)
    taken = 0 if place.type == "cuda" else resident_bytes()
    return max(as_bytes(memory, name="--memory") - taken, 1)


@contextmanager
def memory_by_name(memory: str | None, device: str, *, share: float = 1.0) -> Iterator[None]:
    """Where not even the smallest tile fits into that share of `memory_left`, say so of what the person gave."""
    from ..devices import usable_device
    from ..free_memory import resident_bytes
    from ..restore.memory import TooLittleMemory, size_in_words

    try:
        yield
    except TooLittleMemory as error:
        taken = 0 if usable_device(device).type == "cuda" else resident_bytes()
        given = "what is free" if memory is None else memory
        told = (
            f"--memory: {given} is too little: the smallest tile takes {size_in_words(math.ceil(error.needed / share))}"
        )
        beside = f", and the command itself {size_in_words(taken)}" if taken and memory is not None else ""
        raise ValueError(told + beside) from None


def memory_for_picture(memory: str | None, device: str, chosen: Choice) -> int:
    """As `memory_left`; of a machine's own memory, where nothing is told, no more than speeds the restoration up."""
    from ..devices import usable_device

    left = memory_left(memory, device)
    capped = memory is None and chosen.method.by_channel and usable_device(device, name="--device").type == "cpu"
    return min(left, _PICTURE) if capped else left


@dataclass(frozen=True)
class _OneVolume:
    """One volume of a stack that counts channels and times too: its slices, rows and columns are indexed."""

    values: Any
    place: tuple[int | None, ...]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.values[self._full(index)]

    def __setitem__(self, index: Any, values: Any) -> None:
        self.values[self._full(index)] = values

    def _full(self, index: Any) -> tuple[Any, ...]:
        given = iter(index if isinstance(index, tuple) else (index,))
        return tuple(next(given, slice(None)) if number is None else number for number in self.place)


def restore_stored(
    source: Path,
    output: Path,
    blur: Blur,
    chosen: Choice,
    options: Mapping[str, tuple[str, Any]],
    *,
    psfs: Sequence[str],
    strength: float,
    background: float | None,
    clipped: bool,
    memory: str | None,
    tile: int | None,
    device: str,
    bits: int | None,
    series: int | None,
    channel_axis: int | None,
    overwrite: bool,
    quiet: bool,
) -> Outcome | None:
    """Restore a stack without ever holding it, if it is too large for the memory and its file allows that.

    Parameters
    ----------
    source, output : Path
        Files.
    blur : Blur
        Of three axes, else there is nothing to do here.
    chosen : Choice
        The method.
    options : mapping
        As for `deconv.cli.methods.Choice.keywords`.
    psfs : sequence of str
        Files and texts of the psf, which are not written over.
    strength : float
        Factor on the noise.
    background, clipped, memory, tile, device, bits, series, channel_axis, overwrite, quiet
        As the command was given them.

    Returns
    -------
    Outcome or None
        What was done; None where it is to be restored in memory.
    """
    import numpy as np

    from ..imaging.formats import FORMATS

    if blur.space != 3 or not any(row.stored and output.suffix.lower() in row.suffixes for row in FORMATS):
        return None
    from ..imaging.files import check_writable
    from ..imaging.stored_array import scratch_array
    from ..imaging.stored_stacks import stored_volume

    if not output.parent.is_dir():
        return None
    started = time.perf_counter()
    with stored_volume(source, folder=output.parent, part=series, channel_axis=channel_axis) as volume:
        if volume is None or not _too_large(volume, blur, chosen, memory_left(memory, device), tile):
            return None
        check_writable(output, bits=bits, volume=True)
        check_outputs({"--output": output}, (source, *psfs), overwrite=overwrite)
        blur = on_voxels(blur, volume.voxel)
        if background is not None and volume.values.dtype.kind == "u":
            background /= np.iinfo(volume.values.dtype).max
        options = {**options, "background": ("--background", background)}
        keywords = chosen.keywords(options, {"progress": False if quiet else None})
        shape = volume.values.shape
        # Once, as what later volumes find taken is what the first one has left for them.
        left = max(int(_UNBROKEN * memory_left(memory, device)), 1)
        how = {"strength": strength, "clipped": clipped, "memory": left, "tile": tile, "device": device}
        with scratch_array(output.parent, shape, "float32") as result:
            noise = []
            for place in _volumes(volume):
                with warnings_in_lines(), memory_by_name(memory, device, share=_UNBROKEN):
                    noise.append(_restore(volume, result, place, blur, chosen, keywords, **how))
            lost = _write(output, result, volume, bits)
    size = f"{' x '.join(map(str, shape))} ({volume.axes}), {8 * volume.values.dtype.itemsize} bits"
    level = math.sqrt(sum(each**2 for each in noise) / len(noise))
    done = [size, f"psf {blur.words}", f"noise {level:.2%}", "from file to file", chosen.name, *lost]
    seconds = time.perf_counter() - started
    return Outcome("restored", f"{source} -> {output}: {'; '.join(done)}; {seconds:.2f} s", blur.size, None, seconds)


def _too_large(volume: Volume, blur: Blur, chosen: Choice, memory: int, tile: int | None) -> bool:
    from ..imaging.decoding import MAX_PIXELS
    from ..restore.memory import working_bytes

    shape, count = volume.values.shape, math.prod(volume.values.shape)
    frame = [shape[volume.axes.index(axis)] for axis in "ZYX"]
    samples = shape[volume.axes.index("C")] if "C" in volume.axes else 1
    held = count * (volume.values.dtype.itemsize + 4 * _HELD)
    working = 0 if tile is not None else working_bytes(chosen.method, frame, blur.size, samples=samples)
    return count > MAX_PIXELS or held > memory or (held + working > memory and held > memory / 4)


def _volumes(volume: Volume) -> Iterator[dict[str, int]]:
    """The place of every volume among times and channels."""
    import itertools

    others = [axis for axis in volume.axes if axis in "TC"]
    counts = [range(volume.values.shape[volume.axes.index(axis)]) for axis in others]
    for numbers in itertools.product(*counts):
        yield dict(zip(others, numbers, strict=True))


def _restore(
    volume: Volume,
    result: Any,
    place: Mapping[str, int],
    blur: Blur,
    chosen: Choice,
    keywords: dict[str, Any],
    *,
    strength: float,
    clipped: bool,
    memory: int,
    tile: int | None,
    device: str,
) -> float:
    """Restore one volume into the result, and return its noise as a share of white."""

    from ..restore import tiled
    from ..restore.streaming_statistics import clipping_level, streaming_statistics

    fixed = tuple(place.get(axis) for axis in volume.axes)
    shape = tuple(volume.values.shape[volume.axes.index(axis)] for axis in "ZYX")
    image = _OneVolume(volume.values, fixed, shape)
    out = _OneVolume(result, fixed, shape)
    psf = blur.psf if blur.psf.ndim == 3 else blur.psf[0, place.get("C", 0) % blur.psf.shape[1]]
    white = None
    if clipped:
        white = clipping_level(image, [0, 1, 2])
        white = None if math.isinf(white) else white
    sigma = keywords.get("sigma")
    statistics = streaming_statistics(image, [0, 1, 2], psf, white=white, sigma=sigma)
    if sigma is None:
        statistics = replace(statistics, sigma=strength * statistics.sigma)
    given = keywords | ({} if white is None else {"white": white})
    given |= {"statistics": statistics, "memory": memory, "tile": tile, "device": device}
    tiled(chosen.method, image, psf, out=out, **given)
    return float(statistics.sigma.mean())


def _write(path: Path, result: Any, volume: Volume, bits: int | None) -> list[str]:
    """Write the result, in the counts of the stack's file or as integers; what these lose is a word for the summary."""
    import numpy as np

    from ..imaging.depths import lost_to_white, to_depth
    from ..imaging.stored_stacks import write_slices

    dtype = volume.values.dtype
    floats = "float64" if dtype == np.float64 else "float32"
    depth = {8: "uint8", 16: "uint16", 32: "float32", 64: "float64"}.get(bits or 0, floats)
    white = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    shares: list[tuple[float, float]] = []

    def slices() -> Iterator[np.ndarray]:
        for number in np.ndindex(*result.shape[:-2]):
            values = result[number]
            if depth.startswith("float"):
                yield (values * white).astype(depth)
            else:
                shares.append(lost_to_white(values))
                yield to_depth(values, depth)

    write_slices(path, slices(), result.shape, np.dtype(depth), volume)
    clipped, light = (sum(each) / len(shares) for each in zip(*shares, strict=True)) if shares else (0.0, 0.0)
    return [f"{clipped:.2%} clipped at white, {light:.0%} of the light, which --bits 32 keeps"] if clipped else []
