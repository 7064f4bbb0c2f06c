"""A psf distilled from a picture or a stack of beads or stars: points of light that the instrument has blurred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..arrays import as_image_batch
from .crowd import Crowd
from .moments import centroid, widths
from .shift import shifted

__all__ = ["Beads", "from_beads"]

# A bead's peak is so many deviations of the noise above the background, and such a part of the brightest bead's.
_DEVIATIONS, _LEAST_PEAK = 10.0, 0.1
# So much of a bead's height may its neighbours add, for it to be told from them.
_NEIGHBOUR = 0.1
_ROUNDS = 4
# Turns of telling beads from their neighbours, and how many isolated ones make a psf to begin with.
_TURNS, _FEW = 3, 3
# Beads that are farther from the mean than so many deviations are left out.
_FAR = 3.5


@dataclass(frozen=True)
class Beads:
    """What `from_beads` found; ``str()`` is one line of it.

    Parameters
    ----------
    found : int
        Points of light.
    used : int
        Those that the psf is the mean of.
    crowded, saturated, unlike : int
        Those left out for standing too near to a neighbour or to the border of the picture, for values at full scale,
        and for being unlike the others: clumps, or beads of another size.
    fwhm : tuple of float
        Full width at half maximum of the psf along each axis, in pixels.
    """

    found: int
    used: int
    crowded: int
    saturated: int
    unlike: int
    fwhm: tuple[float, ...]

    def __str__(self) -> str:
        left = {"crowded": self.crowded, "saturated": self.saturated, "unlike the others": self.unlike}
        words = ", ".join(f"{count} {why}" for why, count in left.items() if count)
        fwhm = " x ".join(f"{w:.2f}" for w in self.fwhm)
        return f"{self.used} of {self.found} beads used{f' ({words} left out)' if words else ''}, FWHM {fwhm} pixels"


def from_beads(image: Any, size: int | tuple[int, ...]) -> tuple[Tensor, Beads]:
    """The psf that points of light show: registered to a part of a pixel, and averaged.

    The image's median is taken for the background. Where windows overlap, each is freed of its neighbours' light, which
    is fitted along with their places; beads that stand too near to each other for that are left out. Each window is
    then fitted to the mean of all, in place, brightness and level, by steps of Gauss and Newton; those that are unlike
    the mean are left out, the others averaged as their light counts.

    Parameters
    ----------
    image : array or Tensor
        `H x W` or `D x H x W`, with beads that are small against the blur.
    size : int or tuple of int
        Of the psf, odd, for all axes or for each.

    Returns
    -------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, float32, sum 1, its centroid at the centre.
    report : Beads
        What was found and used.

    Raises
    ------
    ValueError
        A size that is even, or larger than the image; no bead to use, and why.
    """
    space = getattr(image, "ndim", 0)
    if space not in (2, 3):
        raise ValueError(f"image: expected H x W or D x H x W, given {getattr(image, 'shape', type(image).__name__)}")
    batch, _ = as_image_batch(image, space=3 if space == 3 else 2)
    values = batch[0, 0].detach().cpu().double()
    window = (size,) * space if isinstance(size, int) else tuple(size)
    if len(window) != space or any(n % 2 == 0 or not 0 < n <= m for n, m in zip(window, values.shape, strict=True)):
        raise ValueError(f"size: expected {space} odd numbers up to {tuple(values.shape)}, given {size}")
    places = _peaks(values)
    full = 1.0 if str(image.dtype).removeprefix("torch.") in ("uint8", "uint16") else float(values.max())
    spare = 0 if full == 1.0 else 1  # the brightest value of a picture of floats is one, and need not be saturated
    inside = [_inside(place, window, tuple(values.shape)) for place in places]
    saturated = [int((_window(values, place, window) >= full).sum()) > spare for place in places]
    apart = [not _near(place, places, window) for place in places]
    usable = [i for i in range(len(places)) if inside[i] and not saturated[i]]
    lit = values - values.median()
    kept = [i for i in usable if apart[i]]
    if len(kept) < len(usable):
        windows, kept = _told_apart(lit, (values < full) | (spare > 0), places, window, usable, kept)
    else:
        windows = [_window(lit, places[i], window) for i in kept]
    crowded = len(places) - sum(saturated) - len(kept)
    if not kept:
        raise ValueError(
            f"image: of {len(places)} points of light {crowded} are too near to another or to the border for a window "
            f"of {' x '.join(map(str, window))}, and {sum(saturated)} are saturated; none is left to make a psf of"
        )
    mean, used = _register(windows)
    psf = mean.clamp_min(0)
    psf = (psf / psf.sum()).float()
    report = Beads(len(places), used, crowded, sum(saturated), len(kept) - used, widths(psf))
    return psf, report


def _told_apart(
    lit: Tensor,
    known: Tensor,
    places: list[tuple[int, ...]],
    window: tuple[int, ...],
    usable: list[int],
    isolated: list[int],
) -> tuple[list[Tensor], list[int]]:
    """The windows of beads without their neighbours' light, and which beads they are: those told from the others."""
    crowd = Crowd(lit, known, places, window)
    enough = len(isolated) >= _FEW
    windows = [_window(lit, places[i], window) for i in (isolated if enough else usable)]
    mean = _register(windows)[0] if enough else _typical(windows)
    kept = usable
    for _ in range(_TURNS):
        crowd.turn(mean / mean.sum())
        kept = [i for i in usable if crowd.gains[i] > 0 and crowd.others(i) < _NEIGHBOUR]
        if not kept:
            break
        mean = crowd.mean(kept)
        mean = shifted(mean, [-d for d in _middle(mean)])
    return [crowd.alone(i) for i in kept], kept


def _typical(windows: list[Tensor]) -> Tensor:
    """The median of windows, each as bright in the middle as the others: what few of them have is not in it."""
    middle = tuple(n // 2 for n in windows[0].shape)
    return torch.stack([window / window[middle] for window in windows]).median(0).values


def _inside(place: tuple[int, ...], window: tuple[int, ...], frame: tuple[int, ...]) -> bool:
    return all(n // 2 <= p < m - n // 2 for p, n, m in zip(place, window, frame, strict=True))


def _near(place: tuple[int, ...], places: list[tuple[int, ...]], window: tuple[int, ...]) -> bool:
    """Whether the windows of others overlap with that of a bead."""
    return any(
        other != place and all(abs(p - q) < n for p, q, n in zip(place, other, window, strict=True)) for other in places
    )


def _window(values: Tensor, place: tuple[int, ...], window: tuple[int, ...]) -> Tensor:
    """What of a window is in the frame."""
    return values[tuple(slice(max(0, p - n // 2), p + n // 2 + 1) for p, n in zip(place, window, strict=True))]


def _peaks(values: Tensor) -> list[tuple[int, ...]]:
    """Where points of light are: the highest within two pixels, of the image smoothed a little."""
    space = values.ndim
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=values.dtype)
    smooth = values[None, None]
    for axis in range(space):
        kernel = taps.reshape([1, 1, *(3 if a == axis else 1 for a in range(space))])
        pad = [1 if a == axis else 0 for a in reversed(range(space)) for _ in range(2)]
        smooth = (F.conv2d if space == 2 else F.conv3d)(F.pad(smooth, pad, mode="replicate"), kernel)
    level = smooth.median()
    noise = float((smooth - level).abs().median()) / 0.6745
    pool = F.max_pool2d if space == 2 else F.max_pool3d
    highest = pool(smooth, 5, stride=1, padding=2)
    threshold = level + max(_DEVIATIONS * noise, _LEAST_PEAK * float(smooth.max() - level))
    found = ((smooth == highest) & (smooth > threshold))[0, 0]
    return [tuple(place) for place in found.nonzero().tolist()]


def _register(windows: list[Tensor]) -> tuple[Tensor, int]:
    """The mean of the windows moved onto each other, of sum 1, its middle in the centre, and how many are like it."""
    offsets = [_middle(window) for window in windows]
    gains = [float(window.sum().clamp_min(1e-6 * window.abs().sum())) for window in windows]
    levels = [0.0] * len(windows)
    like = torch.ones(len(windows), dtype=torch.bool)
    mean = windows[0]
    for last in (False,) * _ROUNDS + (True,):
        moved = [
            (shifted(window, [-d for d in offset]) - level) / gain
            for window, offset, level, gain in zip(windows, offsets, levels, gains, strict=True)
        ]
        stack = torch.stack(moved)
        weight = torch.tensor(gains, dtype=torch.float64) * like  # as light is counted
        mean = torch.tensordot(weight, stack, 1) / weight.sum()
        if last:
            break
        for i, (step, gain, level) in enumerate(_fit(one, mean) for one in moved):
            offsets[i] = [d + s for d, s in zip(offsets[i], step, strict=True)]
            levels[i] += level * gains[i]
            gains[i] *= gain
        errors = (stack - mean).flatten(1).norm(dim=1)
        middle = errors.median()
        like = errors <= middle + _FAR * (errors - middle).abs().median() / 0.6745 + 1e-3 * mean.norm()
    rest = _middle(mean)
    return shifted(mean, [-d for d in rest]), int(like.sum())


def _middle(window: Tensor) -> list[float]:
    """The centroid of what is above a quarter of the peak, from the middle."""
    bright = (window - 0.25 * window.max()).clamp_min(0)
    return centroid(bright).tolist()


def _fit(window: Tensor, mean: Tensor) -> tuple[list[float], float, float]:
    """How far a window is from the mean, its brightness and its level above it, by one step of least squares."""
    axes = [axis for axis, n in enumerate(mean.shape) if n > 2]
    slopes = [(mean.roll(-1, axis) - mean.roll(1, axis)).flatten() / 2 for axis in axes]
    columns = torch.stack([mean.flatten(), torch.ones_like(slopes[0]), *(-slope for slope in slopes)], 1)
    solution = torch.linalg.lstsq(columns, window.flatten()[:, None]).solution[:, 0]
    gain, level = solution[:2].tolist()
    if not gain > 0.1:
        return [0.0] * mean.ndim, 1.0, 0.0
    steps = dict(zip(axes, (solution[2:] / gain).clamp(-1, 1).tolist(), strict=True))
    return [steps.get(axis, 0.0) for axis in range(mean.ndim)], gain, level
