r"""A camera that moves and turns while the shutter is open: one density, and a psf of it for every place.

In the time that it was open the camera has stood in positions (u, d), turned by u and shifted by d, for a share w(u, d)
of it. The light of a point at p from the middle of the frame then falls on :math:`p + d + (u / R) J p`, J being a
quarter turn and R half the frame's diagonal, so that u is a number of pixels in the corners, and

.. math:: h_p(k) = \sum_{u, d} w(u, d) \; \big[ k = d + \tfrac{u}{R} J p \big] .

All psfs are sums of one density over lines of a direction that depends on the place. So they are registered with each
other: no neighbour is shifted against another, as psfs are that were estimated each by itself. What stays unknown is
one shift and one turn of all, which are chosen to make the mean of both zero.

References: Gupta, Joshi, Zitnick, Cohen and Curless, "Single image deblurring using motion density functions", ECCV
2010. Whyte, Sivic, Zisserman and Ponce, "Non-uniform deblurring for shaken images", IJCV 98 (2012).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.convolution import fast_length
from ..imaging.psf.moments import centroid
from .support import clean

__all__ = ["CameraMotion", "Projection", "lengths_of_turn"]

# From its neighbours' psfs, a position is one of the path only if so much of it falls on the light of each, and so many
# of the psfs have it.
_HIT, _SEEN_BY = 0.3, 0.9


def lengths_of_turn(reach: float, *, most: int = 8) -> Tensor:
    """Turns u from -reach to reach, one pixel apart, or more where there would be more than `most` on each side."""
    count = min(max(round(reach), 1), most) if reach > 0 else 0
    return torch.linspace(-reach, reach, 2 * count + 1) if count else torch.zeros(1)


class Projection:
    """Psfs of a density at some places, and the adjoint of that.

    Parameters
    ----------
    places : sequence of pairs of float
        From the middle of the frame, downwards and to the right, over half of its diagonal.
    turns : Tensor
        u, `(K,)`, in pixels.
    size : tuple of int
        Window of the density and of the psfs, `(kh, kw)`; what falls outside is lost.
    """

    def __init__(self, places: Sequence[tuple[float, float]], turns: Tensor, size: tuple[int, int]) -> None:
        self.size = size
        self.grid = [fast_length(2 * s - 1) for s in size]
        at = torch.tensor(list(places), dtype=torch.float64).reshape(-1, 2)
        turns = turns.double().cpu()
        rows = _moved_by(turns * at[:, 1:], torch.fft.fftfreq(self.grid[0], dtype=torch.float64))
        columns = _moved_by(-turns * at[:, :1], torch.fft.rfftfreq(self.grid[1], dtype=torch.float64))
        self._otfs = (rows[..., None] * columns[..., None, :]).to(torch.complex64)
        self._adjoint_otfs = self._otfs.conj().resolve_conj()

    def psfs(self, density: Tensor) -> Tensor:
        """`(N, kh, kw)` of a density `(K, kh, kw)`."""
        spectrum = torch.fft.rfft2(density, s=self.grid)
        # Eight times as fast as einsum, which makes a product of matrices of every frequency.
        return self._cut((spectrum * self._otfs.to(spectrum.device)).sum(1))

    def adjoint(self, psfs: Tensor) -> Tensor:
        """`(K, kh, kw)` of psfs `(N, kh, kw)`."""
        spectrum = torch.fft.rfft2(psfs, s=self.grid)
        return self._cut((spectrum[:, None] * self._adjoint_otfs.to(spectrum.device)).sum(0))

    def common(self, psfs: Tensor) -> Tensor:
        """Which positions fall on the light of nearly all of these psfs, `(K, kh, kw)`, bool."""
        lit = torch.fft.rfft2((psfs > 0).float(), s=self.grid)
        hits = sum((self._cut(one * otf) > _HIT).float() for one, otf in zip(lit, self._adjoint_otfs, strict=True))
        return torch.as_tensor(hits) >= _SEEN_BY * len(psfs) - 1e-3

    def _cut(self, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(spectrum, s=self.grid)[..., : self.size[0], : self.size[1]]


def _moved_by(distances: Tensor, frequencies: Tensor) -> Tensor:
    """Transfer functions of shifts, a share of which goes to the whole number below and the rest to the one above:
    `(N, K)` distances, `(N, K, F)`."""
    below = distances.floor()[..., None]
    share = distances[..., None] - below
    phase = -2j * math.pi * frequencies
    return (1 - share) * torch.exp(phase * below) + share * torch.exp(phase * (below + 1))


@dataclass(frozen=True)
class CameraMotion:
    """The positions of a camera.

    Attributes
    ----------
    density : Tensor
        w, `(K, kh, kw)`, not negative, of sum 1.
    turns : Tensor
        u, `(K,)`, evenly spaced, around 0 but for `level`; pixels at the scale of the psfs.
    """

    density: Tensor
    turns: Tensor

    @classmethod
    def of_psf(cls, psf: Tensor, turns: Tensor) -> CameraMotion:
        """One that does not turn."""
        density = psf.new_zeros(len(turns), *psf.shape)
        density[len(turns) // 2] = psf / psf.sum()
        return cls(density, turns)

    @classmethod
    def spread(cls, psf: Tensor, turns: Tensor) -> CameraMotion:
        """One that was turned by each angle for about as long, whatever its shift was."""
        share = 1 - turns.abs() / (2 * turns.abs().max().clamp_min(1))
        density = share.to(psf)[:, None, None] * psf
        return cls(density / density.sum(), turns)

    @property
    def size(self) -> tuple[int, int]:
        """The window, `(kh, kw)`."""
        return self.density.shape[1], self.density.shape[2]

    @property
    def level(self) -> CameraMotion:
        """The same with turns of mean zero exactly: whole steps, as of `centred`, leave up to half a pixel in the
        corners, by which all that is restored would be turned."""
        share = self.density.sum((1, 2)).to(self.turns)
        return CameraMotion(self.density, self.turns - (share * self.turns).sum() / share.sum())

    @functools.cached_property
    def turned(self) -> float:
        """How far the camera has turned in all, in pixels at the corner: that of an even turn of the same variance."""
        share, turns = self.density.sum((1, 2)).double().cpu(), self.turns.double()
        mean = (share * turns).sum() / share.sum()
        return float((12 * (share * (turns - mean).square()).sum() / share.sum()).sqrt())

    def psfs(self, places: Sequence[tuple[float, float]]) -> Tensor:
        """The psfs at places, as `Projection` counts them, `(N, kh, kw)`, each of sum 1."""
        psfs = Projection(places, self.turns, self.size).psfs(self.density).clamp_min(0)
        return psfs / psfs.sum((1, 2), keepdim=True)

    def cleaned(self, projection: Projection, *, cut: float, faint: float) -> CameraMotion:
        """Without what is faint in the density, or, after `clean`, in the psfs at the projection's places; centred.

        What no psf tells apart may stand anywhere in the density: only what all psfs show is of the path.

        Parameters
        ----------
        projection : Projection
            Of the same turns and window.
        cut : float
            What is below this share of the greatest tap of a psf is none of its light.
        faint : float
            What is below this share of the greatest value of the density, or of twice the median of its mass, becomes
            zero.
        """
        density = self.density / self.density.sum()
        psfs = torch.stack([clean(psf.clamp_min(0), cut=cut) for psf in projection.psfs(density)])
        common = density * projection.common(psfs)
        density = common if bool(common.any()) else density
        flat = clean(density.reshape(len(density), -1), cut=faint, least_mass=0.0)
        return CameraMotion(flat.reshape(density.shape), self.turns).centred()

    def centred(self) -> CameraMotion:
        """Moved by whole steps so that mean shift and mean turn are nearest to zero; what leaves the window is lost."""
        middle = (len(self.turns) - 1) / 2
        numbers = torch.arange(len(self.turns), dtype=self.density.dtype, device=self.density.device) - middle
        mean = [float((self.density.sum((1, 2)) * numbers).sum() / self.density.sum())]
        mean += centroid(self.density.sum(0)).tolist()
        density = self.density
        for axis, distance in enumerate(mean):
            shift, n = -round(distance), density.shape[axis]
            if shift:
                kept = density.narrow(axis, max(0, -shift), n - abs(shift))
                pad = [0, 0] * (2 - axis) + [max(0, shift), max(0, -shift)]
                density = F.pad(kept, pad)
        return CameraMotion(density / density.sum(), self.turns)

    def at_scale(self, size: tuple[int, int], turns: Tensor) -> CameraMotion:
        """At another scale, in the window and with the turns there."""
        shape = (len(turns), *size)
        if tuple(self.density.shape) == shape:
            return CameraMotion(self.density, turns)
        density = F.interpolate(self.density[None, None], shape, mode="trilinear", align_corners=False)[0, 0]
        return CameraMotion(density / density.sum(), turns)
