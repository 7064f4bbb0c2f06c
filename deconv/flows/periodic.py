"""Invertible periodic convolutions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..nn.cache import cached
from ..nn.precision import at_least_float32, without_autocast
from .layer import Flow, per_image

__all__ = ["PeriodicConvolution", "periodic_log_abs_det", "transfer_function"]


def transfer_function(weight: Tensor, height: int, width: int) -> Tensor:
    r"""The channel matrix of a periodic convolution at each frequency.

    .. math:: \hat W(f) = \sum_q W[q] \, e^{2 \pi i f \cdot (q - r)}

    Parameters
    ----------
    weight : Tensor
        `(C, C, kh, kw)` in the order of `torch.nn.functional.conv2d`, r its centre; kernels may be larger than the
        image.
    height, width : int
        Of the image.

    Returns
    -------
    Tensor
        `(H, W // 2 + 1, C, C)`, complex, at the frequencies of `torch.fft.rfft2`.
    """
    weight, waves = at_least_float32(weight), []
    for taps, frequencies in zip(weight.shape[-2:], (height, width // 2 + 1), strict=True):
        size = height if not waves else width
        steps = torch.arange(taps, device=weight.device, dtype=weight.dtype) - taps // 2
        turns = torch.arange(frequencies, device=weight.device, dtype=weight.dtype)[:, None] * steps / size
        waves.append(torch.polar(torch.ones_like(turns), 2 * math.pi * turns))
    return torch.einsum("fp,oipq,gq->fgoi", waves[0], weight.to(waves[0].dtype), waves[1])


def periodic_log_abs_det(weight: Tensor, height: int, width: int) -> Tensor:
    """Log-determinant of a periodic convolution: the sum of ``log |det|`` over all its frequencies.

    Parameters
    ----------
    weight : Tensor
        `(C, C, kh, kw)`, see `transfer_function`.
    height, width : int
        Of the image.

    Returns
    -------
    Tensor
        A scalar.
    """
    return _log_abs_det(transfer_function(weight, height, width), width)


def _log_abs_det(transfer: Tensor, width: int) -> Tensor:
    # rfft2 leaves out one of two frequencies of opposite sign.
    times = torch.full(transfer.shape[1:2], 2.0, device=transfer.device, dtype=transfer.real.dtype)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    return (times * torch.linalg.slogdet(transfer).logabsdet).sum()


class PeriodicConvolution(Flow):
    r"""A k x k convolution of the image continued periodically, in the Fourier domain.

    .. math:: \hat z(f) = \hat W(f) \, \hat x(f), \qquad \mathrm{ladj} = \sum_f \log |\det \hat W(f)|

    Each frequency has a C x C matrix, which `forward` multiplies by and `inverse` divides by: two Fourier transforms
    and a small product per frequency either way. Starts near the identity.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k of the k x k kernel.

    Raises
    ------
    torch.linalg.LinAlgError
        In `inverse`, where a frequency's matrix has become singular.

    References
    ----------
    Hoogeboom, van den Berg and Welling, "Emerging Convolutions for Generative Normalizing Flows", ICML 2019,
    section 3.2.
    """

    def __init__(self, channels: int, kernel_size: int = 3):
        super().__init__()
        if kernel_size < 1:
            raise ValueError(f"kernel_size: must be positive, given {kernel_size}")
        start = 0.1 / (channels * kernel_size**2) * torch.randn(channels, channels, kernel_size, kernel_size)
        start[:, :, kernel_size // 2, kernel_size // 2] += torch.eye(channels)
        self.weight = nn.Parameter(start)

    def _transfer(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        transfer = transfer_function(self.weight, height, width)
        return transfer, _log_abs_det(transfer, width)

    def _quotient(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        transfer, log_det = self._transfer(height, width)
        return torch.linalg.inv(transfer), -log_det

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        height, width = x.shape[-2:]
        transfer, log_det = cached(self, lambda: self._transfer(height, width), "forward", height, width)
        return _mix_frequencies(x, transfer), per_image(log_det, x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        height, width = z.shape[-2:]
        quotient, log_det = cached(self, lambda: self._quotient(height, width), "inverse", height, width)
        return _mix_frequencies(z, quotient), per_image(log_det, z)


def _mix_frequencies(x: Tensor, matrices: Tensor) -> Tensor:
    if not len(x):
        return x  # of no images there are Fourier transforms on some machines only
    spectrum = torch.fft.rfft2(x.to(matrices.real.dtype)).permute(2, 3, 1, 0)
    return torch.fft.irfft2((matrices @ spectrum).permute(3, 2, 0, 1), s=x.shape[-2:]).to(x.dtype)
