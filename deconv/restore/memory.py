"""How much memory a restoration takes, how much there is, and the tiles that fit into it."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Sequence

import torch

from ..free_memory import free_memory
from ..imaging.convolution import fast_length
from .compiled import passes_are_compiled
from .methods import Method

__all__ = ["TooLittleMemory", "as_bytes", "free_bytes", "size_in_words", "tile_within", "working_bytes"]

# Buffers of the size of the padded domain where a method does not say how many it has: more than any that does.
_BUFFERS = (40.0, 60.0)

# What masks, clipped pixels and the allocator add.
_ALLOWANCE = 1.25

# Of the free memory, what is taken by default.
_SHARE = 0.8

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?B)?\s*", re.IGNORECASE)


class TooLittleMemory(ValueError):
    """Not even the smallest tile fits into the memory.

    Parameters
    ----------
    memory, needed : int
        What there is, and what the smallest tile takes, in bytes.
    overlap : sequence of int
        How far that is restored beyond its own pixels.

    Attributes
    ----------
    needed : int
        As given.
    """

    def __init__(self, memory: int, needed: int, overlap: Sequence[int]) -> None:
        self.needed = needed
        super().__init__(
            f"memory: {size_in_words(memory)} is too little; the smallest tile takes {size_in_words(needed)}, with its "
            f"overlap of {' x '.join(map(str, overlap))}"
        )


def as_bytes(memory: int | str, *, name: str = "memory") -> int:
    """A number of bytes, or a text such as ``"8GiB"``; K, M, G and T are powers of 1024.

    Parameters
    ----------
    memory : int or str
        As people give it.
    name : str
        What an error calls it.

    Returns
    -------
    int
        Bytes, 1 at least.

    Examples
    --------
    >>> as_bytes("1.5 KiB")
    1536
    """
    match = _SIZE.fullmatch(str(memory))
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size < 1:
        raise ValueError(f"{name}: expected a size such as 8GiB or 500MB, or a number of bytes, given {memory!r}")
    return size


def free_bytes(device: torch.device | str = "cpu") -> int:
    """Memory that a restoration may take: four fifths of what is free on the device, and in the control group.

    Parameters
    ----------
    device : torch.device or str
        A GPU has its own; of others that of the machine counts.

    Returns
    -------
    int
        Bytes.
    """
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(_SHARE * (free + held))
    return int(_SHARE * free_memory())


def working_bytes(
    method: Method,
    shape: Sequence[int],
    psf: Sequence[int],
    *,
    samples: int,
    itemsize: int = 4,
    device: torch.device | str = "cpu",
) -> int:
    """Memory that a method takes at its peak for an image of this size, beside the image itself.

    The methods work on the padded domain, a few sizes of the psf larger than the image, and hold
    `deconv.restore.methods.Method.buffers` of it.

    Parameters
    ----------
    method : Method
        Row of the table.
    shape, psf : sequence of int
        Along the spatial axes, of the image and of the psf.
    samples : int
        Images times channels.
    itemsize : int
        Bytes of a value while it is computed with.
    device : torch.device or str
        Where it is restored: compiled passes are for CPUs.

    Returns
    -------
    int
        Bytes.
    """
    lengths = [_domain(method, n, s) for n, s in zip(shape, psf, strict=True)]
    return _bytes_of(method, lengths, samples, itemsize, device)


def tile_within(
    memory: int,
    method: Method,
    frame: Sequence[int],
    psf: Sequence[int],
    reach: Sequence[int],
    *,
    samples: int,
    itemsize: int = 4,
    most: int | None = None,
    device: torch.device | str = "cpu",
) -> list[int]:
    """Sizes of the tiles that are restored within so much memory at the least cost.

    That is the sum of their padded domains: of all ways to divide the axes the one with the least, and of these with
    the fewest tiles.

    Parameters
    ----------
    memory : int
        Bytes.
    method, psf, samples, itemsize, device
        As for `working_bytes`.
    frame : sequence of int
        Size of the image along the spatial axes.
    reach : sequence of int
        How far a tile is restored beyond its own pixels.
    most : int, optional
        The largest side; by default that of the frame.

    Returns
    -------
    list of int
        The tile's sides without the overlap.

    Raises
    ------
    TooLittleMemory
        No tile is that small: what is needed at least.
    """

    ways = []  # along each axis: the tile's side, that of its domain, and those of all domains together
    for n, s, r in zip(frame, psf, reach, strict=True):
        found: dict[int, tuple[int, int, int]] = {}
        least = min(n, max(r // 2, 1))  # smaller than half the overlap, tiles cost more than they save
        for count in range(1 if most is None else -(-n // most), n + 1):
            side = max(-(-n // count), least)
            length = _domain(method, min(n, side + 2 * r), s)
            found.setdefault(side, (side, length, -(-n // side) * length))
            if side == least:
                break
        ways.append(found.values())

    def needed(lengths: Sequence[int]) -> int:
        return _bytes_of(method, lengths, samples, itemsize, device)

    smallest = needed([min(length for _, length, _ in way) for way in ways])
    if smallest > memory:
        raise TooLittleMemory(memory, smallest, reach)
    fitting = (
        (math.prod(total), -math.prod(lengths), list(sides))
        for sides, lengths, total in (
            zip(*way, strict=True) for way in itertools.product(*map(_shorter_or_cheaper, ways))
        )
        if needed(lengths) <= memory
    )
    return min(fitting)[2]


def _shorter_or_cheaper(way: Iterable[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Without those that take more memory and more time than another."""
    kept: list[tuple[int, int, int]] = []
    for side, length, total in sorted(way, key=lambda each: (each[1], each[2], -each[0])):
        if not kept or total < kept[-1][2]:
            kept.append((side, length, total))
    return kept


def _bytes_of(method: Method, domain: Sequence[int], samples: int, itemsize: int, device: torch.device | str) -> int:
    """What a method takes at its peak on a padded domain."""
    values = math.prod(domain) * samples
    buffers = (method.buffers or _BUFFERS)[len(domain) - 2]
    if method.compiled_buffers is not None and len(domain) == 2 and torch.device(device).type == "cpu":
        buffers = method.compiled_buffers if passes_are_compiled(values) else buffers
    return math.ceil(_ALLOWANCE * buffers * values * itemsize)


def _domain(method: Method, frame: int, psf: int) -> int:
    """Length of the padded domain along an axis."""
    return fast_length(frame + _margin(method, psf, frame))


def _margin(method: Method, psf: int, frame: int) -> int:
    """Rows that the padded domain has more than the frame, see `deconv.restore.padded_domain`."""
    width = psf - 1
    return width + (max(16, math.ceil(2 * min(width, max(frame - width, 0) / 3))) if method.apart else 1)


def size_in_words(size: int) -> str:
    """Bytes as people read them, such as ``"1.5 GiB"``."""
    power = min(int(math.log2(max(size, 1))) // 10, 4)
    return f"{size / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
