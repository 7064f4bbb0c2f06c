r"""The denominator of a Wiener filter, :math:`R = |H|^2 + \lambda G`, on any Fourier grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Denominator", "Grid"]

Grid = tuple[int, int]  # rows and columns of a Fourier transform


@dataclass(frozen=True)
class Denominator:
    """``R = |H|^2 + ratio G``, where ``G = sum |G_k|^2``; all in float64, filters `(..., K, h, w)`."""

    psf: Tensor
    penalty: Tensor
    ratio: Tensor

    @classmethod
    def of(cls, psf: Tensor, noise_to_signal: float | Tensor, penalty: Tensor | None) -> Denominator:
        """Check the arguments of `spectral_factor`."""
        if not isinstance(psf, Tensor) or not psf.is_floating_point():
            given = psf.dtype if isinstance(psf, Tensor) else type(psf).__name__
            raise TypeError(f"psf: expected a floating-point tensor, given {given}")
        if psf.ndim < 2 or psf.numel() == 0:
            raise ValueError(f"psf: expected (..., kh, kw), given the shape {tuple(psf.shape)}")
        ratio = torch.as_tensor(noise_to_signal, dtype=torch.float64, device=psf.device)
        if not bool(((ratio > 0) & torch.isfinite(ratio)).all()):
            raise ValueError(f"noise_to_signal: expected positive and finite, given {noise_to_signal}")
        if penalty is None:
            penalty = psf.new_ones(1, 1, 1)
        if penalty.ndim < 3 or penalty.numel() == 0:
            raise ValueError(f"penalty: expected (..., K, gh, gw), given the shape {tuple(penalty.shape)}")
        leading = [tuple(shape) for shape in (psf.shape[:-2], ratio.shape, penalty.shape[:-3])]
        try:
            torch.broadcast_shapes(*leading)
        except RuntimeError:
            raise ValueError(
                f"noise_to_signal: leading axes of psf, noise_to_signal and penalty do not broadcast: {leading}"
            ) from None
        return cls(psf.double().unsqueeze(-3), penalty.double(), ratio[..., None, None])

    @property
    def filters(self) -> tuple[Tensor, Tensor]:
        return self.psf, self.penalty

    def on(self, grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """R, |H|^2 and G on the frequencies of a real Fourier transform."""
        blur, penalty = (torch.fft.rfft2(f, s=grid).abs().square().sum(-3) for f in self.filters)
        return blur + self.ratio * penalty, blur, penalty
