"""The blur of a camera held by hand: the path of a point of light during the exposure, by three models of the hand."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...choices import pair_of_sizes
from .window import check_size, finish

__all__ = ["camera_shake", "inertial_shake", "polyline_shake"]

_HARMONICS = 24
_SAMPLES_PER_PIXEL = 40

# Of `inertial_shake`, in units of the exposure: instants, rates of the damping and of the pull to the centre, standard
# deviation of the jerks' velocity over that of the tremor.
_INSTANTS, _DAMPING, _PULL, _JERK = 2000, 4.0, 6.0, 2.0
# Of `polyline_shake`: the mean time at rest on a corner, over that on the way to the next one.
_DWELL = 0.3


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
    extent, generator = _asked(size, seed)
    count = _SAMPLES_PER_PIXEL * (sum((s - 1) // 2 for s in extent) + 1) * 4
    return _filled(_path(count, generator), extent)


def inertial_shake(size: int | tuple[int, int], *, jerks: int = 2, seed: int = 0) -> Tensor:
    r"""Camera shake of a particle with inertia: tremor, a pull to the centre, and sudden jerks.

    .. math:: dv = -(d \, v + c \, x) \, dt + dw + \sum_k j_k \, \delta(t - t_k) , \qquad dx = v \, dt ,

    with white noise w, and jerks j of random direction and strength at random times t: arcs, with a corner where the
    hand was pushed.

    Parameters
    ----------
    size : int or pair of int
        Of the array, which the path fills in at least one direction while its centroid lies on the centre.
    jerks : int
        How many there are, 0 or more.
    seed : int
        The same seed gives the same path at every size.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A size, a seed or a number of jerks that will not do.

    References
    ----------
    Boracchi and Foi, "Modeling the performance of image restoration from motion blur", IEEE Transactions on Image
    Processing 21 (2012).
    """
    extent, generator = _asked(size, seed)
    _check_count("jerks", jerks, least=0)
    step = 1 / _INSTANTS
    force = step**0.5 * torch.randn(_INSTANTS, 2, generator=generator, dtype=torch.float64)
    force[0] += torch.randn(2, generator=generator, dtype=torch.float64)  # the hand moves when the shutter opens
    times = torch.randint(_INSTANTS, (jerks,), generator=generator)
    force.index_add_(0, times, _JERK * torch.randn(jerks, 2, generator=generator, dtype=torch.float64))
    place = velocity = torch.zeros(2, dtype=torch.float64)
    path = []
    for push in force:
        velocity = velocity - step * (_DAMPING * velocity + _PULL * place) + push
        place = place + step * velocity
        path.append(place)
    return _filled(_densely(torch.stack(path), torch.ones(_INSTANTS - 1), extent), extent)


def polyline_shake(size: int | tuple[int, int], *, corners: int = 3, seed: int = 0) -> Tensor:
    """Camera shake in straight lines from corner to corner, with a rest on each of them.

    The corners are normally distributed, each line takes a random time at constant speed, and at each corner the
    camera rests for a random time: lines of different brightness with a bright dot on each corner.

    Parameters
    ----------
    size : int or pair of int
        Of the array, which the path fills in at least one direction while its centroid lies on the centre.
    corners : int
        How many there are between the first and the last place, 0 or more.
    seed : int
        The same seed gives the same path at every size.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A size, a seed or a number of corners that will not do.
    """
    extent, generator = _asked(size, seed)
    _check_count("corners", corners, least=0)
    places = torch.randn(corners + 2, 2, generator=generator, dtype=torch.float64).repeat_interleave(2, 0)
    moving = 0.5 + torch.rand(corners + 1, generator=generator, dtype=torch.float64)
    resting = -_DWELL * torch.rand(corners + 2, generator=generator, dtype=torch.float64).log()
    times = resting.repeat_interleave(2)[:-1]
    times[1::2] = moving
    return _filled(_densely(places, times, extent), extent)


def _asked(size: int | tuple[int, int], seed: int) -> tuple[tuple[int, int], torch.Generator]:
    """The size as a pair, and the generator of that seed."""
    extent = pair_of_sizes(size, name="size")
    check_size(extent)
    if not isinstance(seed, int):
        raise ValueError(f"seed: expected an integer, given {seed!r}")
    return extent, torch.Generator().manual_seed(seed)


def _check_count(name: str, count: int, *, least: int) -> None:
    if not isinstance(count, int) or count < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, given {count!r}")


def _densely(places: Tensor, times: Tensor, size: tuple[int, int]) -> Tensor:
    """Places `(count, 2)` at equal intervals of time, their mean at the origin, on the way through some places
    `(n, 2)` that takes the times `(n - 1,)` from each to the next."""
    arrival = torch.cat([times.new_zeros(1), times.cumsum(0)])
    count = max(_INSTANTS, _SAMPLES_PER_PIXEL * 4 * sum(size))
    instants = (torch.arange(count, dtype=torch.float64) + 0.5) * (arrival[-1] / count)
    leg = torch.searchsorted(arrival, instants, right=True).clamp(1, len(times)) - 1
    part = ((instants - arrival[leg]) / times[leg]).clamp(0, 1)[:, None]
    path = torch.lerp(places[leg], places[leg + 1], part)
    return path - path.mean(0)


def _filled(path: Tensor, size: tuple[int, int]) -> Tensor:
    """The psf of a path `(count, 2)`, scaled to fill the size in at least one direction."""
    reach = torch.tensor([(s - 1) // 2 for s in size], dtype=torch.float64)
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
