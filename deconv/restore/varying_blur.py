r"""A blur that varies over the field, as one operator.

Every point p of the latent image is spread by its own psf, and with psfs that are sums of products, see
`deconv.restore.psf_components`,

.. math:: A x = \sum_k h_k * (w_k x), \qquad A^T y = \sum_k w_k\, (h_k^T * y) .

The weights are those of the places where the light comes from: a star, or a bead, is seen as the psf that was measured
there, and all of its light is kept. (Products :math:`w_k (h_k * x)` give each pixel of the observation a psf to look
through, which is another model where psfs change within their own size, and which loses light.)
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..imaging.convolution import psf_to_otf
from .forward import Forward

__all__ = ["VaryingBlur"]


class VaryingBlur(Forward):
    """The blur by a sum of products of psfs and weights.

    Parameters
    ----------
    components : Tensor
        :math:`h_k`, `(1 + K, kh, kw)`, the mean psf first, and without light all others.
    weights : Tensor
        :math:`w_k`, of the domain's shape or 1 along its axes, the first 1 everywhere.
    shape : tuple of int
        The domain.
    """

    diagonal = False

    def __init__(self, components: Tensor, weights: Tensor, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.otfs = psf_to_otf(components, shape)
        self.weights = weights

    @functools.cached_property
    def power(self) -> Tensor:
        r"""The mean of :math:`|\hat h_p|^2` over the domain.

        That is the diagonal of :math:`A A^T` among frequencies, of all that is diagonal there the nearest to it, and
        near to :math:`A^T A` as well where the psf changes slowly.
        """
        flat = self.weights.expand(len(self.weights), *self.shape).flatten(1)
        gram = (flat @ flat.T / flat.shape[1]).to(self.otfs.dtype)
        mixed = torch.tensordot(gram, self.otfs, 1)
        return (mixed * self.otfs.conj()).sum(0).real.clamp_min(0)

    @property
    def gain(self) -> Tensor:
        """What a constant latent image of 1 becomes."""
        return self.otfs[0].real[(..., *[slice(0, 1)] * len(self.shape))]

    def blur(self, latent: Tensor) -> Tensor:
        """``A x``."""
        # One component at a time: the memory does not grow with their number.
        total = self.fft(latent) * self.otfs[0]
        for weight, otf in zip(self.weights[1:], self.otfs[1:], strict=True):
            total = total + self.fft(weight * latent) * otf
        return self.ifft(total)

    def adjoint(self, data: Tensor) -> Tensor:
        """``A^T y``."""
        spectrum = self.fft(data)
        total = self.ifft(spectrum * self.otfs[0].conj())
        for weight, otf in zip(self.weights[1:], self.otfs[1:], strict=True):
            total = total + weight * self.ifft(spectrum * otf.conj())
        return total

    def blur_of_spectrum(self, spectrum: Tensor) -> Tensor:
        """``A x``, given the spectrum of x."""
        return self.blur(self.ifft(spectrum))

    def spectrum_of_adjoint(self, data: Tensor) -> Tensor:
        """The spectrum of ``A^T y``."""
        return self.fft(self.adjoint(data))
