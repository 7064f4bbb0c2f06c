"""The blur of a camera held by hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...choices import pair_of_sizes
from .window import check_size, finish

__all__ = ["camera_shake"]

_HARMONICS = 24
_SAMPLES_PER_PIXEL = 40


def camera_shake(size: int | tuple[int, int], *, seed: int = 0) -> Tensor:
    """Random camera shake: the path of a point of light during the exposure.

    The path is a random Fourier series whose amplitudes fall as the square of the frequency, as the displacement of a
    mass driven by white noise does: smooth, slow at the bends, fast in between. A random direction is favoured, as
    hands do. Every instant adds one pixel of light, spread over the four pixels that it overlaps.

    Parameters
    ----------
    size : int or pair of int
        Of the array, which the path fills in at least one direction while its centroid lies on the centre.
    seed : int
        The same seed gives the same path at every size.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A size or a seed that is not whole.
    """
    size = pair_of_sizes(size, name="size")
    check_size(size)
    if not isinstance(seed, int):
        raise ValueError(f"seed: expected an integer, given {seed!r}")
    generator = torch.Generator().manual_seed(seed)
    reach = torch.tensor([(s - 1) // 2 for s in size], dtype=torch.float64)
    count = _SAMPLES_PER_PIXEL * int(reach.sum() + 1) * 4
    path = _path(count, generator)
    path = path * (reach / path.abs().amax(0).clamp_min(1e-12)).min()
    return finish(_light(path, [2 * int(r) + 1 for r in reach]), size)


def _path(count: int, generator: torch.Generator) -> Tensor:
    """Places `(count, 2)` at equal intervals of time, their mean at the origin."""
    amplitude = torch.randn(2, _HARMONICS, generator=generator, dtype=torch.float64)
    phase = torch.rand(2, _HARMONICS, generator=generator, dtype=torch.float64) * 2 * math.pi
    favour, turn = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    order = torch.arange(1, _HARMONICS + 1, dtype=torch.float64)
    time = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    # Half a period is the lowest frequency, so that the path need not come back to where it began.
    waves = torch.cos(math.pi * order * time[:, None, None] + phase) * amplitude / order**2
    along, across = waves.sum(-1).T
    across = across * (0.3 + 0.7 * favour)
    cos, sin = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    path = torch.stack([cos * along - sin * across, sin * along + cos * across], dim=1)
    return path - path.mean(0)


def _light(path: Tensor, size: list[int]) -> Tensor:
    """Add up unit squares centred on the path: each pixel gets its overlap."""
    height, width = size
    image = torch.zeros(height * width, dtype=torch.float64)
    place = path + torch.tensor([height // 2, width // 2], dtype=torch.float64)
    corner = place.floor().long()
    part = place - corner
    for down in (0, 1):
        for right in (0, 1):
            row = (corner[:, 0] + down).clamp(0, height - 1)
            column = (corner[:, 1] + right).clamp(0, width - 1)
            weight = (part[:, 0] if down else 1 - part[:, 0]) * (part[:, 1] if right else 1 - part[:, 1])
            image.index_add_(0, row * width + column, weight)
    return image.view(height, width)
