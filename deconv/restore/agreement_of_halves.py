"""Stopping Richardson-Lucy where the two halves of the pixels begin to fit their own noise."""

from __future__ import annotations

import torch
from torch import Tensor

from .padded_domain import PaddedDomain

__all__ = ["AgreementOfHalves", "reciprocal"]

# The correlation of the two halves' pulls at which they are against each other, chosen on one photograph under other
# blurs and noise than those of the tests: at -1 all that one half does undoes the other's noise.
_AGAINST = -0.7

# Where less than this part of a pixel's light reaches the data, it keeps its value.
_UNSEEN = 1e-3


class AgreementOfHalves:
    """How the white and the black pixels of a chessboard, each by itself, would correct the latent image.

    Parameters
    ----------
    domain : PaddedDomain
        With the observation.
    like : Tensor
        A latent image.
    """

    def __init__(self, domain: PaddedDomain, like: Tensor) -> None:
        self._domain = domain
        self._half = _chessboard(domain.shape, like)
        self._total: Tensor | None = None
        self._shares: list[tuple[Tensor, Tensor]] = []
        self._before = torch.ones_like(like[(..., *[slice(1)] * len(domain.shape))])

    def broken(self, latent: Tensor, ratio: Tensor, returned: Tensor, mask: Tensor, total: Tensor) -> Tensor:
        """Whether the halves pull a latent image against each other, for each sample and channel.

        Parameters
        ----------
        latent, ratio, returned, mask, total : Tensor
            x, w y / (H x + b), its :math:`H^T`, w and :math:`H^T w`.
        """
        domain = self._domain
        if self._total is not total:
            white = domain.project(domain.blur_adjoint(self._half * mask.expand_as(ratio)))
            self._total = total
            self._shares = [reciprocal(white), reciprocal(total - white)]
        part = domain.project(domain.blur_adjoint(self._half * ratio))
        one, other = (
            ((light_of * inverse - 1) * latent).masked_fill_(unseen, 0)
            for light_of, (inverse, unseen) in zip((part, returned - part), self._shares, strict=True)
        )
        products = [(a * b).sum(domain.axes, keepdim=True) for a, b in ((one, other), (one, one), (other, other))]
        tiny = torch.finfo(latent.dtype).tiny
        agreement = products[0] / (products[1] * products[2]).sqrt().clamp_min(tiny)
        before, self._before = self._before, agreement
        return (agreement < _AGAINST) | ((agreement < 0) & (agreement > before))


def reciprocal(total: Tensor) -> tuple[Tensor, Tensor]:
    """1 over the part of its light that a pixel sends to the data, and where that is too small to divide by."""
    return total.clamp_min(_UNSEEN).reciprocal_(), total <= _UNSEEN


def _chessboard(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """1 on the white fields and 0 on the black ones."""
    fields = like.new_zeros(())
    for n in shape:
        fields = (fields.unsqueeze(-1) + torch.arange(n, dtype=like.dtype, device=like.device)) % 2
    return fields
