r"""How much of a penalty's weight is good for a volume, by the voxels that a restoration is not shown.

Of a piece of the volume, some voxels M are left out by the mask, and with them their four neighbours in the plane. What
is restored without them, :math:`x_s` under s times the weight, is blurred, and predicts their counts. With the Poisson
likelihood of these,

.. math:: \hat s = \arg\min_s \sum_{i \in M} u_i - y_i \log u_i, \qquad u = H x_s + b .

Too much weight takes light from structures, too little fits the noise of the voxels that are shown: neither predicts.
What the noise is distributed like does not matter, nor that neighbours share it, as after interpolation.

Parts are tried downwards from 1, and the next one is taken as long as it predicts better by more than some standard
errors of the difference, over the held-out voxels. So few photons leave the weight as it is.

References
----------
Stone, "Cross-validatory choice and assessment of statistical predictions", J. R. Stat. Soc. B 1974.
Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, for the rule of standard errors.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .problem import Problem
from .varying_blur import VaryingBlur

__all__ = ["held_out_part", "liveliest", "liveliest_piece", "piece_sides"]

Span = tuple[tuple[int, int], ...]

# Parts of the weight that are tried, and standard errors by which each has to predict better than the one before.
_PARTS = ((0.3, 2.0), (0.1, 3.0), (0.03, 4.0))

# Voxels of a piece, and as a part of the volume at most, so that it takes no more memory than what follows; and how
# many of them are held out, less those that are neighbours only.
_VOXELS, _LARGEST, _HELD_OUT = 2**15, 0.5, 0.05

# Values that are looked at in one go.
_STRIP = 2**21

# A prediction is never below this part of the mean, as its logarithm counts.
_DARK = 1e-3


def held_out_part(
    piece: Problem, background: Tensor, least: Tensor, restore: Callable[[Problem, Tensor], Iterator[Tensor]]
) -> Tensor:
    """Which part of its weight is to be taken, decided for each sample and channel of a volume, or of a piece.

    Parameters
    ----------
    piece : Problem
        The observation: one volume, not frames.
    background : Tensor
        b, in the problem's unit, broadcasts against the observation.
    least : Tensor
        The part below which none is tried, for each sample and channel.
    restore : callable
        Makes latent images of the piece without what is held out, a problem in the same unit, under a part of the
        weight; the last one of those that it makes counts.

    Returns
    -------
    Tensor
        s, `(B, C, 1, 1, 1)`.
    """
    with torch.no_grad():
        shown, held_out = _hidden(piece)
        count = held_out.sum(piece.domain.axes, keepdim=True)
        counts = piece.image.clamp_min(0)
        dark = _DARK * counts.mean(piece.domain.axes, keepdim=True)

        def deviances(part: Tensor) -> Tensor:
            latent = deque(restore(shown, part), maxlen=1).pop()
            predicted = shown.domain.crop(shown.domain.blur(latent)) + background
            predicted = torch.maximum(predicted, dark.clamp_min(torch.finfo(dark.dtype).tiny))
            return held_out * (predicted - counts * predicted.log())

        best = torch.ones_like(count)
        better = least.expand_as(count) < 1
        before = deviances(best)
        for number, errors in _PARTS:
            part = least.clamp_min(number).expand_as(count)
            better = better & (part < best)
            if not bool(better.any()):
                break
            after = deviances(part)
            gain = before - after
            mean = gain.sum(piece.domain.axes, keepdim=True) / count
            variance = (held_out * (gain - mean).square()).sum(piece.domain.axes, keepdim=True) / count
            better = better & (mean > errors * (variance / count).sqrt())
            best, before = torch.where(better, part, best), after
        return best


def liveliest_piece(problem: Problem) -> Problem:
    """Of each sample and channel the piece of `liveliest`, with the psf that is there.

    Parameters
    ----------
    problem : Problem
        The observation: one volume, not frames.
    """
    domain = problem.domain.active()
    image = problem.image.detach()
    pixels = domain.crop(domain.mask).detach().expand_as(image)
    frame = image.shape[-3:]
    sides = piece_sides(frame, domain.psf.shape[-3:])
    spans = liveliest(lambda start, stop: image[:, :, start:stop], frame, sides)

    def gathered(values: Tensor) -> Tensor:
        planes = zip(values.flatten(0, 1), spans, strict=True)
        pieces = [plane[tuple(slice(*along) for along in span)] for plane, span in planes]
        return torch.stack(pieces).unflatten(0, image.shape[:2])

    psf = domain.psf.detach()
    if isinstance(domain.forward, VaryingBlur):
        begins = [before for before, _ in domain.margins]
        places = [[(a + b) // 2 + begin for (a, b), begin in zip(span, begins, strict=True)] for span in spans]
        psf = torch.stack([domain.forward.at(place) for place in places]).unflatten(0, image.shape[:2])
    return _piece_of(problem, gathered(image), psf, gathered(pixels))


def piece_sides(frame: Sequence[int], psf: Sequence[int]) -> list[int]:
    """Sides of a piece, in proportion to the psf's as far as the frame goes: of all pieces with so many voxels about
    the one with the smallest domain. Of small volumes half.

    Parameters
    ----------
    frame, psf : sequence of int
        Sizes along the spatial axes.
    """
    voxels = min(_VOXELS, _LARGEST * math.prod(frame))
    sides = [float(n) for n in frame]
    free = list(range(len(sides)))
    while free:
        fixed = math.prod(n for axis, n in enumerate(sides) if axis not in free)
        scale = (voxels / fixed / math.prod(psf[axis] for axis in free)) ** (1 / len(free))
        short = [axis for axis in free if scale * psf[axis] >= frame[axis]]
        if not short:
            for axis in free:
                sides[axis] = math.ceil(scale * psf[axis])
            break
        free = [axis for axis in free if axis not in short]
    return [min(math.ceil(side), n) for side, n in zip(sides, frame, strict=True)]


def liveliest(rows: Callable[[int, int], Tensor], frame: Sequence[int], sides: Sequence[int]) -> list[Span]:
    """Of equal pieces of a volume, side by side, the one whose values vary most, for each sample and channel.

    Parameters
    ----------
    rows : callable
        The values from one plane to another, `(B, C, d, H, W)`: few at a time.
    frame, sides : sequence of int
        Sizes of the volume and of the pieces.
    """
    counts = [n // side for n, side in zip(frame, sides, strict=True)]
    spare = [(n - count * side) // 2 for n, count, side in zip(frame, counts, sides, strict=True)]
    within = tuple(slice(s, s + c * side) for s, c, side in zip(spare[1:], counts[1:], sides[1:], strict=True))
    step = max(1, min(sides[0], _STRIP // math.prod(frame[1:])))
    variances = []
    for first in range(spare[0], spare[0] + counts[0] * sides[0], sides[0]):
        mean = square = torch.zeros(())
        for start in range(first, first + sides[0], step):
            stop = min(start + step, first + sides[0])
            strip = rows(start, stop)[(..., *within)].double()
            window = (stop - start, *sides[1:])
            share = (stop - start) / sides[0]
            mean = mean + share * F.avg_pool3d(strip, window)
            square = square + share * F.avg_pool3d(strip.square(), window)
        variances.append(square - mean.square())
    winners = torch.cat(variances, 2).flatten(2).argmax(2).flatten().tolist()
    places = [[int(i) for i in np.unravel_index(winner, counts)] for winner in winners]
    return [
        tuple((s + i * side, s + (i + 1) * side) for s, i, side in zip(spare, place, sides, strict=True))
        for place in places
    ]


def _piece_of(problem: Problem, image: Tensor, psf: Tensor, pixels: Tensor) -> Problem:
    """A problem in the unit of another one, with its statistics."""
    statistics = problem.statistics
    return Problem.of(image, psf, num_iter=problem.num_iter, mask=pixels, statistics=statistics, apart=False)


def _hidden(piece: Problem) -> tuple[Problem, Tensor]:
    """A piece without the voxels that are held out and their neighbours, and how much each counts of those that are
    held out."""
    pixels = piece.domain.active()
    pixels = pixels.crop(pixels.mask).expand_as(piece.image)
    random = torch.rand(piece.image.shape[-3:], generator=torch.Generator().manual_seed(0))
    held_out = (random < _HELD_OUT).to(pixels)
    along, across = (F.max_pool2d(held_out, window, 1, (window[0] // 2, window[1] // 2)) for window in ((3, 1), (1, 3)))
    shown = 1 - torch.maximum(along, across)
    return _piece_of(piece, piece.image, piece.domain.psf, pixels * shown), pixels * held_out
