r"""The latent image behind an observation, on a periodic domain larger than the frame.

An observation y shows a part of the blur of a latent image that goes on outside the frame. `PaddedDomain` lays the
latent image x out on a torus, where the blur is diagonal under the FFT, and keeps beside it what is not:

.. math:: y = W (h * x), \qquad x = P x

- W is the pixel mask, on the whole domain: 1 where a pixel of the blurred image was measured, 0 outside the frame and
  where a mask says so. The domain is so large that nothing measured is blurred across its periodic border.
  Pixels that were clipped are bounds, see `deconv.restore.clipped_pixels`.
- P is the orthogonal projection on the images that the boundary allows. *Unknown* allows all, P = 1: the pixels outside
  the frame are unknowns as those inside, seen through the blur only. *Circular* has no outside. For *reflect*,
  *replicate* and *zero*, what is outside is copies of the frame's pixels, or zeros.

W and P are diagonal or nearly so in space, the blur is diagonal in frequency: a splitting of the two needs no inner
solver. Of several frames y and W have one axis more, see `deconv.restore.forward`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..choices import check_choice
from ..imaging.boundary import BOUNDARIES, Boundary, Extension, crop, extend
from ..imaging.psf.moments import centroid
from .clipped_pixels import ClippedPixels
from .domain_margins import margins_around, reach_of
from .filling import fill
from .forward import Convolution, Forward
from .frames import stacked_psfs
from .psf_components import PsfComponents
from .varying_blur import VaryingBlur, VaryingFrames

__all__ = ["PaddedDomain"]


class PaddedDomain:
    """The latent images of a batch of observations, laid out on a torus.

    Parameters
    ----------
    image : Tensor
        The observation, floating point, `(B, C, H, W)`, or `(B, C, D, H, W)` for a psf of three axes. Frames have one
        more axis before these, as have their psfs, masks and clipped pixels.
    psf : Tensor, PsfComponents or sequence of PsfComponents
        `(kh, kw)` or `(kd, kh, kw)`, or either behind two axes that broadcast against B and C; or those of a field; or
        those of a field for each frame.
    boundary : str
        See `deconv.imaging.boundary`.
    mask : Tensor, optional
        Weight of each pixel in [0, 1], broadcasts against `image`; by default all 1.
    clipped : Tensor, optional
        Of the shape of `image`: 1 where the blurred latent image is at least what was observed, -1 where at most, 0
        elsewhere; see `deconv.imaging.clipping.clipped_ends`. Of opponent colours those of the colours, `(B, 3, H, W)`.
    colours : bool
        The samples are opponent colours, as `deconv.restore.colours.split` makes them.
    apart : bool
        Keep opposite borders of the frame so far apart that they do not see each other through the inverse of the blur,
        either. False for methods that only blur and transpose.
    shares : Tensor, optional
        How much each frame counts, see `deconv.restore.forward`; by default there is one observation.

    Attributes
    ----------
    image : Tensor
        The observation, missing pixels filled in.
    psf : Tensor
        Of a field the mean psf, of several fields those of all frames.
    shape, axes : tuple of int
        The domain's size along the spatial axes, and these axes.
    margins : list of pair of int
        How far it extends beyond the frame, one pair per spatial axis.
    forward : Forward
        The blur, and its adjoint.
    mask : Tensor
        W.
    observed : Tensor
        W times the observation.
    clipped : ClippedPixels or None
        On the domain, if there are any.
    inside : Tensor or None
        1 in the frame and 0 outside, where P is not the identity.
    """

    def __init__(
        self,
        image: Tensor,
        psf: Tensor | PsfComponents | Sequence[PsfComponents],
        *,
        boundary: Boundary = "unknown",
        mask: Tensor | None = None,
        clipped: Tensor | None = None,
        colours: bool = False,
        apart: bool = True,
        shares: Tensor | None = None,
    ) -> None:
        check_choice("boundary", boundary, BOUNDARIES)
        space = image.ndim - (2 if shares is None else 3)
        frame = image.shape[-space:]
        of_one = tuple(slice(0, 1) for _ in image.shape[:-space])
        self.boundary: Boundary = boundary
        fields: Sequence[PsfComponents] = ()
        if isinstance(psf, Tensor):
            self.psf, every = psf, [psf]
        else:
            fields = [psf] if isinstance(psf, PsfComponents) else psf
            every = [field.psfs for field in fields]
            means = [field.mean for field in fields]
            self.psf = means[0] if shares is None else stacked_psfs(means, space)
        self.axes = tuple(range(-space, 0))
        self.margins = self._reach = [(0, 0)] * space
        if boundary != "circular":
            self._reach = reach_of(every, space)
            self.margins = margins_around(frame, self._reach, apart=apart)
        self.shape = tuple(n + sum(pair) for n, pair in zip(frame, self.margins, strict=True))
        self.forward: Forward
        blurs = [VaryingBlur(own.components, own.weights(frame, self.margins), self.shape) for own in fields]
        if not blurs:
            self.forward = Convolution(self.psf, self.shape, shares)
        else:
            self.forward = blurs[0] if shares is None else VaryingFrames(blurs, shares)

        pixels = torch.ones_like(image[of_one]) if mask is None else mask.to(image)
        self.image = image if mask is None else fill(image, pixels, space=space)
        self.mask = extend(pixels, self.margins, method="zero")
        self.observed = self.mask * extend(self.image, self.margins, method="zero")
        self.clipped: ClippedPixels | None = None
        if clipped is not None and bool(clipped.any()):
            self.clipped = ClippedPixels(self.image, clipped, space=space, colours=colours)
            self.clipped.side = extend(self.clipped.side, self.margins, method="zero")
            self.clipped.limit = extend(self.clipped.limit, self.margins, method="zero")
        self.inside = None
        if boundary not in ("unknown", "circular"):
            self.inside = extend(torch.ones(1, 1, *frame).to(image), self.margins, method="zero")

    def start(self) -> Tensor:
        """A first guess of the latent image: the observation, continued as the boundary says, then smoothly, and moved
        back by as many pixels as the psf's centre of mass is off its centre."""
        if self.boundary in ("unknown", "circular"):
            seen = extend(self.image, self.margins)
        else:
            seen = extend(extend(self.image, self._reach, method=self.boundary), self._unseen_margins())
        offsets = _whole_offsets(self.psf, len(self.axes))
        if not offsets.any():
            return self.combine(seen)
        if offsets.ndim == 1:
            return self.combine(seen.roll((-offsets).tolist(), self.axes))
        planes = seen.reshape(-1, *self.shape)
        offsets = offsets.expand(*seen.shape[: -len(self.axes)], -1).flatten(0, -2)
        moved = [p.roll((-offset).tolist(), self.axes) for p, offset in zip(planes, offsets, strict=True)]
        return self.combine(torch.stack(moved).view_as(seen))

    def unbounded(self) -> PaddedDomain:
        """The same domain with nothing assumed about what is outside the frame."""
        domain = copy.copy(self)
        if domain.boundary != "circular":
            domain.boundary, domain.inside = "unknown", None
        return domain

    def minus(self, constant: Tensor) -> PaddedDomain:
        """The same domain for the observation less a constant, `(B, C, 1, 1)`, or one for each frame."""
        domain = copy.copy(self)
        domain.image = domain.image - constant
        domain.observed = domain.observed - domain.mask * constant
        if domain.clipped is not None:
            domain.clipped = copy.copy(domain.clipped)
            domain.clipped.limit = domain.clipped.limit - domain.clipped.channels(constant)
        return domain

    def crop(self, latent: Tensor) -> Tensor:
        """The latent image's part in the frame."""
        return crop(latent, self.margins)

    @property
    def shares(self) -> Tensor:
        """How much each frame counts; 1 of one observation."""
        shares = self.forward.shares
        return self.observed.new_ones(()) if shares is None else shares

    def combine(self, stack: Tensor) -> Tensor:
        """The mean of frames by their shares; of one observation what it is."""
        return self.forward.combine(stack)

    def fft(self, latent: Tensor) -> Tensor:
        """Spectrum of an image on the domain."""
        return self.forward.fft(latent)

    def ifft(self, spectrum: Tensor) -> Tensor:
        """The image of a spectrum."""
        return self.forward.ifft(spectrum)

    def blur(self, latent: Tensor) -> Tensor:
        """``h * x``."""
        return self.forward.blur(latent)

    def blur_adjoint(self, residual: Tensor) -> Tensor:
        """The adjoint of `blur`."""
        return self.forward.adjoint(residual)

    def target(self, blurred: Tensor) -> Tensor:
        """What a blurred latent image is to be like, times W: the observation, or itself where that explains a clipped
        pixel."""
        if self.clipped is None:
            return self.observed
        channels, observed = self.clipped.channels(blurred), self.clipped.channels(self.observed)
        weighted = self.clipped.weights(self.mask) * channels
        return self.clipped.samples(torch.where(self.clipped.explained(channels), weighted, observed))

    def active(self, blurred: Tensor | None = None) -> PaddedDomain:
        """The same domain without the clipped pixels that a blurred latent image explains, or without any of them."""
        if self.clipped is None:
            return self
        clipped = self.clipped
        left_out = clipped.side != 0 if blurred is None else clipped.explained(clipped.channels(blurred))
        left_out = clipped.any_of(left_out)
        domain = copy.copy(self)
        domain.mask, domain.observed = (torch.where(left_out, 0, values) for values in (self.mask, self.observed))
        if blurred is not None:
            domain.image = torch.where(self.crop(left_out), self.crop(blurred), self.image)
        return domain

    def misfit(self, latent: Tensor) -> Tensor:
        r""":math:`\tfrac12 \| W^{1/2} (y - h * x) \|^2`, `(B,)`; nothing where a clipped pixel allows for it."""
        blurred = self.blur(latent)
        residual = self.image - self.crop(blurred)
        if self.clipped is not None:
            explained = self.crop(self.clipped.explained(self.clipped.channels(blurred)))
            residual = self.clipped.samples(torch.where(explained, 0, self.clipped.channels(residual)))
        return 0.5 * self.combine(self.crop(self.mask) * residual.square()).flatten(1).sum(1)

    def project(self, latent: Tensor) -> Tensor:
        """P: the nearest image that the boundary allows, every pixel of the frame averaged with its copies.

        What the observation cannot see at all, the rest of the domain, is free.
        """
        if self.boundary in ("unknown", "circular"):
            return latent
        allowed = latent.clone()
        allowed[self.seen] = self._average(latent[self.seen], self.boundary)
        return allowed

    @property
    def seen(self) -> tuple[Any, ...]:
        """Index of the part of the domain that is blurred into the frame."""
        ends = (n - after for n, (_, after) in zip(self.shape, self._unseen_margins(), strict=True))
        return (..., *[slice(0, end) for end in ends])

    def _average(self, seen: Tensor, boundary: Extension) -> Tensor:
        if boundary == "zero":
            return extend(crop(seen, self._reach), self._reach, method="zero")
        for axis, (before, after) in zip(self.axes, self._reach, strict=True):
            n = seen.shape[axis] - before - after
            row = torch.arange(n, dtype=seen.dtype, device=seen.device)
            source = extend(row, [(before, after)], method=boundary).long()
            copies = torch.bincount(source, minlength=n).reshape([-1] + [1] * (-axis - 1))
            total = torch.zeros_like(seen.narrow(axis, 0, n)).index_add(axis, source, seen)
            seen = (total / copies).index_select(axis, source)
        return seen

    def _unseen_margins(self) -> list[tuple[int, int]]:
        """Margins around the part of the domain that the observation sees."""
        return [(0, after - reach) for (_, after), (_, reach) in zip(self.margins, self._reach, strict=True)]


def _whole_offsets(psf: Tensor, space: int) -> Tensor:
    """From the psf's centre to its centre of mass, in whole pixels, `(..., axes)`; never outside of it."""
    return (centroid(psf.detach().double().abs(), space=space) + 0.5).floor().long()
