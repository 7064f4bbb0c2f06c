r"""A blur that varies over the field, as one operator.

Every point p of the latent image is spread by its own psf, and with psfs that are sums of products, see
`deconv.restore.psf_components`,

.. math:: A x = \sum_k h_k * (w_k x), \qquad A^T y = \sum_k w_k\, (h_k^T * y) .

The weights are those of the places where the light comes from: a star, or a bead, is seen as the psf that was measured
there, and all of its light is kept. (Products :math:`w_k (h_k * x)` give each pixel of the observation a psf to look
through, which is another model where psfs change within their own size, and which loses light.)

Several frames of one latent image have a field each, and are stacked as in `deconv.restore.forward`:

.. math:: A_i x = \sum_k h_{ik} * (w_{ik} x), \qquad A^* y = \sum_i s_i A_i^T y_i .
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ..imaging.convolution import psf_to_otf
from .forward import Forward

__all__ = ["VaryingBlur", "VaryingFrames"]


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
        self.components, self.weights = components, weights

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

    def at(self, place: Sequence[int]) -> Tensor:
        """What a point of light becomes at a place of the domain: the psf there."""
        shape = self.weights.shape[1:]
        shares = self.weights[(slice(None), *(p if n > 1 else 0 for p, n in zip(place, shape, strict=True)))]
        return torch.tensordot(shares, self.components, 1)

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


class VaryingFrames(Forward):
    """Several frames of one latent image, the blur of each of which varies over the field.

    Parameters
    ----------
    frames : sequence of VaryingBlur
        The blur of each, all on one domain.
    shares : Tensor
        How much each counts, `(F, B or 1, C or 1, 1, 1)`, of sum 1 over F.
    """

    diagonal = False

    def __init__(self, frames: Sequence[VaryingBlur], shares: Tensor) -> None:
        super().__init__(frames[0].shape, shares)
        self.frames = tuple(frames)

    @functools.cached_property
    def power(self) -> Tensor:
        """The mean of those of the frames, by their shares."""
        return self.combine(self._stacked([frame.power for frame in self.frames]))

    @property
    def gain(self) -> Tensor:
        """What a constant latent image of 1 becomes in each frame, `(F, 1, 1, 1, 1)`."""
        return self._stacked([frame.gain for frame in self.frames])

    def blur(self, latent: Tensor) -> Tensor:
        """``A x``."""
        return torch.stack([frame.blur(latent) for frame in self.frames])

    def adjoint(self, data: Tensor) -> Tensor:
        """``A* y``."""
        return self.combine(torch.stack([frame.adjoint(seen) for frame, seen in zip(self.frames, data, strict=True)]))

    def blur_of_spectrum(self, spectrum: Tensor) -> Tensor:
        """``A x``, given the spectrum of x."""
        return self.blur(self.ifft(spectrum))

    def spectrum_of_adjoint(self, data: Tensor) -> Tensor:
        """The spectrum of ``A* y``."""
        return self.fft(self.adjoint(data))

    def _stacked(self, each: Sequence[Tensor]) -> Tensor:
        """Spectra of the frames, `(F, 1, 1, H, W)`."""
        stack = torch.stack(list(each))
        return stack.reshape(len(stack), 1, 1, *stack.shape[1:])
