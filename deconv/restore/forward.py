r"""The forward model on a periodic domain: a blur, or several of one latent image.

Several frames :math:`y_i = h_i * x + n_i` of one latent image x are one observation :math:`y = A x + n` with the
stacked operator

.. math:: A = (A_1, \dots, A_n), \qquad A_i x = h_i * x .

Frames with less noise tell more. With the share :math:`s_i` of frame i, the inverse of its noise's variance over the
sum of all these, the inner product of two stacks is :math:`\sum_i s_i \langle y_i, z_i \rangle`, and the adjoint
:math:`A^* y = \sum_i s_i A_i^T y_i`. A method that is written with A and its adjoint is one for frames then, and frames
that are alike count like their mean.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from ..imaging.convolution import psf_to_otf
from ..ops.tracking import is_tracked

__all__ = ["Convolution", "Forward"]


class Forward:
    """What all forward models have: the domain, its spectra, and the frames.

    Parameters
    ----------
    shape : tuple of int
        The domain.
    shares : Tensor, optional
        Of frames, `(F, B or 1, C or 1, 1, 1)`, which sum to 1 over F.

    Attributes
    ----------
    diagonal : bool
        Whether :math:`A^* A` is diagonal among frequencies.
    """

    diagonal = True

    def __init__(self, shape: tuple[int, ...], shares: Tensor | None = None) -> None:
        self.shape = shape
        self.axes = tuple(range(-len(shape), 0))
        self.shares = shares

    @property
    def power(self) -> Tensor:
        """What :math:`A^* A` is among frequencies, or is near to, on the grid of the real FFT."""
        raise NotImplementedError

    @property
    def gain(self) -> Tensor:
        """What a constant latent image of 1 becomes."""
        raise NotImplementedError

    def blur(self, latent: Tensor) -> Tensor:
        """``A x``."""
        raise NotImplementedError

    def adjoint(self, data: Tensor) -> Tensor:
        """``A* y``."""
        raise NotImplementedError

    def blur_of_spectrum(self, spectrum: Tensor) -> Tensor:
        """``A x``, given the spectrum of x."""
        raise NotImplementedError

    def spectrum_of_adjoint(self, data: Tensor) -> Tensor:
        """The spectrum of ``A* y``."""
        raise NotImplementedError

    def combine(self, stack: Tensor) -> Tensor:
        """The mean of frames by their shares; of one observation what it is."""
        return stack if self.shares is None else (self.shares * stack).sum(0)

    def fft(self, image: Tensor) -> Tensor:
        """Spectrum of an image on the domain."""
        return torch.fft.rfftn(image, dim=self.axes)

    def ifft(self, spectrum: Tensor) -> Tensor:
        """The image of a spectrum."""
        return torch.fft.irfftn(spectrum, s=self.shape, dim=self.axes)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products of the images of two spectra, up to a factor, for each sample and channel."""
        # Each column stands for its mirror image too, but for the first and, where the width is even, the last.
        total = 2 * _real_dot(a, b) - _real_dot(a[..., :1], b[..., :1])
        if self.shape[-1] % 2 == 0:
            total = total - _real_dot(a[..., -1:], b[..., -1:])
        return total.reshape(*total.shape, *[1] * len(self.shape))


class Convolution(Forward):
    """The blur by one psf, or by one for each frame, diagonal in frequency.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`, or either behind two axes that broadcast against B and C; of frames behind one
        more axis.
    shape : tuple of int
        The domain.
    shares : Tensor, optional
        Of frames, `(F, B or 1, C or 1, 1, 1)`, which sum to 1 over F.

    Attributes
    ----------
    otf : Tensor
        The transfer functions.
    """

    def __init__(self, psf: Tensor, shape: tuple[int, ...], shares: Tensor | None = None) -> None:
        super().__init__(shape, shares)
        self.otf = psf_to_otf(psf, shape)

    @functools.cached_property
    def power(self) -> Tensor:
        """The eigenvalues of :math:`A^* A`, on the grid of the real FFT."""
        return self.combine(self.otf.real.square() + self.otf.imag.square())

    @property
    def gain(self) -> Tensor:
        """What a constant latent image of 1 becomes, of the shape of `otf` with one frequency."""
        return self.otf.real[(..., *[slice(0, 1)] * len(self.shape))]

    def blur(self, latent: Tensor) -> Tensor:
        """``A x``."""
        return self.ifft(_product(self.fft(latent), self.otf))

    def adjoint(self, data: Tensor) -> Tensor:
        """``A* y``."""
        return self.ifft(self.combine(_product(self.fft(data), self.otf.conj())))

    def blur_of_spectrum(self, spectrum: Tensor) -> Tensor:
        """``A x``, given the spectrum of x."""
        return self.ifft(self.otf * spectrum)

    def spectrum_of_adjoint(self, data: Tensor) -> Tensor:
        """The spectrum of ``A* y``."""
        return self.combine(_product(self.fft(data), self.otf.conj()))


def _real_dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a.flatten(2), b.flatten(2)).real


def _product(spectrum: Tensor, otf: Tensor) -> Tensor:
    """Of a spectrum that nobody else needs: in its place, where no gradient asks for it."""
    fits = otf.ndim <= spectrum.ndim
    fits = fits and all(n in (1, m) for n, m in zip(otf.shape[::-1], spectrum.shape[::-1], strict=False))
    if is_tracked(spectrum, otf) or not fits:
        return spectrum * otf
    return spectrum.mul_(otf)
