r"""The scene behind an observation: what lies outside the frame, what was measured, and what was not.

An observation y is a piece of the blur of a larger scene. `PaddedDomain` lays that scene out on a torus, on which
the blur is diagonal under the FFT, and keeps beside it what the torus cannot know:

.. math:: y = W (h * s), \qquad s = P s

- W weighs the pixels of the blurred scene: 1 where one was measured, 0 outside the frame and where a mask
  says so. The seam of the torus lies so far outside that nothing measured is blurred from across it.
- P is what the boundary assumes. *Unknown* assumes nothing, P = 1: the pixels outside the frame are unknowns
  as those inside, seen through the blur only. *Circular* has no outside. For *reflect*, *replicate* and
  *zero*, what is outside is copies of the frame's pixels, or zeros, and P is the orthogonal projection on such
  scenes.

W and P are diagonal or nearly so in space, the blur is diagonal in frequency: a splitting of the two needs no
inner solver.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.boundary import crop, extend
from ..imaging.convolution import fast_length, psf_to_otf

__all__ = ["BOUNDARIES", "PaddedDomain", "fill"]

BOUNDARIES = ("unknown", "circular", "reflect", "replicate", "zero")

# Room for the seam to close, in pixels at least, and in widths of the psf: opposite borders of the frame must not see
# each other, neither through what priors look at nor through what the inverse of the blur reaches.
_LEAST_GAP, _GAP = 16, 2.0


class PaddedDomain:
    """The scene of a batch of observations, laid out on a torus.

    Parameters
    ----------
    image: the observation, a float tensor `(B, C, H, W)`, or `(B, C, D, H, W)` for a psf of three axes.
    psf: `(kh, kw)` or `(kd, kh, kw)`, or either behind two axes that broadcast against B and C.
    boundary: one of `BOUNDARIES`.
    mask: weight of each pixel in [0, 1], a tensor that broadcasts against `image`; None: all 1.

    Attributes
    ----------
    shape, axes: the domain's size along the spatial axes, and these axes.
    margins: how far it extends beyond the frame, one pair per spatial axis.
    otf: the blur's transfer function.
    weight: W. `observed`: W times the observation.
    inside: 1 in the frame and 0 outside, where P is not the identity; otherwise None.
    """

    def __init__(self, image: Tensor, psf: Tensor, *, boundary: str = "unknown", mask: Tensor | None = None) -> None:
        if boundary not in BOUNDARIES:
            raise ValueError(f"boundary: unknown {boundary!r}, allowed are {', '.join(BOUNDARIES)}")
        space = image.ndim - 2
        self.boundary = boundary
        self.psf = psf
        self.axes = tuple(range(-space, 0))
        self.margins = self._reach = [(0, 0)] * space
        if boundary != "circular":
            self._reach = _reach(psf, space)
            self.margins = [
                (before, fast_length(n + before + after + _gap(before + after)) - n - before)
                for n, (before, after) in zip(image.shape[2:], self._reach, strict=True)
            ]
        self.shape = tuple(n + sum(pair) for n, pair in zip(image.shape[2:], self.margins, strict=True))
        self.otf = psf_to_otf(psf, self.shape)

        weight = torch.ones_like(image[:1, :1]) if mask is None else mask.to(image)
        self.image = image if mask is None else fill(image, weight)
        self.weight = extend(weight, self.margins, method="zero")
        self.observed = self.weight * extend(self.image, self.margins, method="zero")
        self.inside = None
        if boundary not in ("unknown", "circular"):
            self.inside = extend(torch.ones_like(image[:1, :1]), self.margins, method="zero")

    def start(self) -> Tensor:
        """A first guess of the scene: the observation, continued as the boundary says, then smoothly, and moved back
        by as many pixels as the psf's centre of mass is off its centre."""
        if self.inside is None:
            scene = extend(self.image, self.margins)
        else:
            scene = extend(extend(self.image, self._reach, method=self.boundary), self._gap())
        offsets = _offsets(self.psf)
        if not offsets.any():
            return scene
        if offsets.ndim == 1:
            return scene.roll((-offsets).tolist(), self.axes)
        offsets = offsets.expand(*scene.shape[:2], -1).flatten(0, 1)
        moved = [
            plane.roll((-offset).tolist(), self.axes)
            for plane, offset in zip(scene.flatten(0, 1), offsets, strict=True)
        ]
        return torch.stack(moved).view_as(scene)

    def unbounded(self) -> PaddedDomain:
        """The same domain with nothing assumed about what is outside the frame."""
        domain = copy.copy(self)
        if domain.inside is not None:
            domain.boundary, domain.inside = "unknown", None
        return domain

    def crop(self, scene: Tensor) -> Tensor:
        """The scene's part in the frame."""
        return crop(scene, self.margins)

    def fft(self, scene: Tensor) -> Tensor:
        return torch.fft.rfftn(scene, dim=self.axes)

    def ifft(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfftn(spectrum, s=self.shape, dim=self.axes)

    def blur(self, scene: Tensor) -> Tensor:
        return self.ifft(self.otf * self.fft(scene))

    def blur_adjoint(self, scene: Tensor) -> Tensor:
        return self.ifft(self.otf.conj() * self.fft(scene))

    def project(self, scene: Tensor) -> Tensor:
        """P: the nearest scene that the boundary allows, every pixel of the frame averaged with its copies.

        What the observation cannot see at all, the rest of the domain, is free.
        """
        if self.inside is None:
            return scene
        allowed = scene.clone()
        allowed[self.seen] = self._average(scene[self.seen])
        return allowed

    @property
    def seen(self) -> tuple:
        """Index of the part of the domain that is blurred into the frame: all but the gap."""
        return (..., *[slice(0, n - gap) for n, (_, gap) in zip(self.shape, self._gap(), strict=True)])

    def _average(self, seen: Tensor) -> Tensor:
        if self.boundary == "zero":
            return extend(crop(seen, self._reach), self._reach, method="zero")
        for axis, (before, after) in zip(self.axes, self._reach, strict=True):
            n = seen.shape[axis] - before - after
            row = torch.arange(n, dtype=seen.dtype, device=seen.device)
            source = extend(row, [(before, after)], method=self.boundary).long()
            copies = torch.bincount(source, minlength=n).reshape([-1] + [1] * (-axis - 1))
            total = torch.zeros_like(seen.narrow(axis, 0, n)).index_add(axis, source, seen)
            seen = (total / copies).index_select(axis, source)
        return seen

    def _gap(self) -> list[tuple[int, int]]:
        """Margins around the part of the domain that the observation sees."""
        return [(0, after - reach) for (_, after), (_, reach) in zip(self.margins, self._reach, strict=True)]


def _gap(reach: int) -> int:
    return max(_LEAST_GAP, math.ceil(_GAP * reach))


def _reach(psf: Tensor, space: int) -> list[tuple[int, int]]:
    """How far the scene is seen beyond the frame, one pair per spatial axis: what the psf has there counts, and not the
    size of its window."""
    taps = psf.detach() != 0
    reach = []
    for axis in range(psf.ndim - space, psf.ndim):
        seen = taps.movedim(axis, 0).flatten(1).any(1).nonzero().flatten().tolist() or [0]
        centre = (psf.shape[axis] - 1) // 2
        reach.append((max(seen[-1] - centre, 0), max(centre - seen[0], 0)))
    return reach


def _offsets(psf: Tensor) -> Tensor:
    """From the psf's centre to its centre of mass, in whole pixels, `(..., axes)`; never outside of it."""
    psf = psf.detach().double()
    space = 2 if psf.ndim in (2, 4) else 3
    mass = psf.abs()
    offsets = []
    for axis in range(-space, 0):
        n = psf.shape[axis]
        profile = mass.sum([a for a in range(-space, 0) if a != axis])
        place = torch.arange(n, dtype=torch.float64, device=psf.device) - (n - 1) // 2
        offsets.append((profile * place).sum(-1) / profile.sum(-1))
    return (torch.stack(offsets, -1) + 0.5).floor().long()


def fill(image: Tensor, weight: Tensor) -> Tensor:
    """The image with its missing pixels filled from their neighbours, coarse to fine."""
    weight = weight.expand_as(image)
    known, count = image * weight, weight
    if max(image.shape[2:]) > 1:
        window = [min(2, n) for n in image.shape[2:]]
        pool = F.avg_pool2d if len(window) == 2 else F.avg_pool3d
        coarse = [pool(t, window, ceil_mode=True, count_include_pad=False) for t in (known, count)]
        coarse_fill = fill(coarse[0] / coarse[1].clamp_min(1e-6), (coarse[1] > 0).to(image))
        known = known + (1 - count) * F.interpolate(coarse_fill, image.shape[2:], mode="nearest")
    return known
