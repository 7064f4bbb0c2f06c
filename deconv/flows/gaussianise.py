"""Making the grey levels of images normal, one pixel at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..nn.clamp import clamp_closed
from ..nn.precision import without_autocast
from .data_dependent import DataDependent

__all__ = ["Gaussianise"]

# The least density of a level, relative to the uniform one: it keeps the slopes of both directions finite.
_LEAST_SHARE = 1e-3
# Probability left at both ends, so that the normal quantiles stay finite.
_TAIL = 1e-6


class Gaussianise(DataDependent):
    r"""Images in [0, 1] to pixels that are standard normal, each by itself.

    .. math:: z = \Phi^{-1}(\delta + (1 - 2 \delta) F(x)), \qquad
              \mathrm{ladj} = \sum \log \left((1 - 2 \delta) F'(x)\right) + \tfrac12 z^2 + \tfrac12 \log 2 \pi

    F is a distribution function whose density is constant over each of the `levels` that images were quantised to. It
    is learnt, starting from the histogram of the first batch. A whole-number image that is dequantised by uniform noise
    has exactly such a density: after this layer the marginal of every pixel is normal, and only the dependence between
    pixels is left to learn. That matters where few levels hold most of the pixels, as in drawings, digits and masks:
    affine layers cannot bend a uniform density into a normal one.

    The first `forward` in training mode takes the histogram and marks the buffer `initialised`; until then F is the
    identity.

    Parameters
    ----------
    levels : int
        How many grey levels images were quantised to, at least 2.

    References
    ----------
    Chen and Gopinath, "Gaussianization", NeurIPS 2000. Laparra, Camps-Valls and Malo, "Iterative Gaussianization: from
    ICA to random rotations", IEEE Transactions on Neural Networks 2011.
    """

    def __init__(self, levels: int = 256):
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels: must be at least 2, given {levels}")
        self.levels = levels
        self.logits = nn.Parameter(torch.zeros(levels))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Take the histogram of a batch, with half a pixel added to every level.

        Parameters
        ----------
        x : Tensor
            Images in [0, 1], any shape.
        """
        counts = torch.bincount(self._level(x).flatten(), minlength=self.levels)
        self.logits.copy_((counts + 0.5).log() - (counts + 0.5).log().mean())
        self.initialised.fill_(True)

    def _level(self, x: Tensor) -> Tensor:
        return (x.detach() * self.levels).long().clamp_(0, self.levels - 1)

    def _distribution(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The share of each level, and of all below it."""
        shares = torch.softmax(self.logits.to(dtype), 0) * (1 - _LEAST_SHARE) + _LEAST_SHARE / self.levels
        return shares, pad(shares.cumsum(0)[:-1], (1, 0))

    def _log_slope(self, share: Tensor, z: Tensor) -> Tensor:
        constant = math.log(self.levels * (1 - 2 * _TAIL)) + 0.5 * math.log(2 * math.pi)
        return (share.log() + 0.5 * z.square() + constant).flatten(1).sum(1)

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.begin(x)
        shares, below = self._distribution(x.dtype)
        level = self._level(x)
        share = shares[level]
        u = below[level] + share * (x * self.levels - level)
        inside = (x >= 0) & (x <= 1)
        z = torch.special.ndtri(clamp_closed(_TAIL + (1 - 2 * _TAIL) * u, _TAIL, 1 - _TAIL, inside=inside))
        return z, self._log_slope(share, z)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latents beyond the normal quantiles that [0, 1] reaches, about 4.75, become black and white."""
        shares, below = self._distribution(z.dtype)
        u = clamp_closed((torch.special.ndtr(z) - _TAIL) / (1 - 2 * _TAIL), 0, 1)
        level = torch.searchsorted(below, u.detach(), right=True).sub_(1).clamp_(0, self.levels - 1)
        share = shares[level]
        x = (level + (u - below[level]) / share) / self.levels
        return x, -self._log_slope(share, z)
