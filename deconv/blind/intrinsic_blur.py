"""The blur that a photograph has of its own, and its distribution over photographs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..imaging.convolution import psf_to_otf

__all__ = ["MIRRORED", "IntrinsicBlur"]

# Pixels that are mirrored around the image before its intrinsic blur is undone.
MIRRORED = 16
# The frequencies of the filter's logarithm reach so far. With fewer, more of the intrinsic blur is taken for the causal
# one; with more, more of the causal one for it.
_REACH = 4
_WAVES = tuple(
    (i, j)
    for i in range(_REACH + 1)
    for j in range(-_REACH, _REACH + 1)
    if (i, j) > (0, 0) and i * i + j * j <= _REACH**2
)
# About what a hundred photographs of the Berkeley segmentation set have of it, where `sparse_gradients` is their
# density: the means of the coefficients along rows and columns, the others' being about zero; their standard deviation,
# which falls with the length of m, more steeply off the axes; and that of the asymmetry as a share of it.
_MEANS = {1: 0.37, 2: -0.04, 3: 0.05}
_SPREAD = 0.18
_ASYMMETRY = 0.5


class IntrinsicBlur(nn.Module):
    r"""The blur that a photograph has of its own, from lens, sensor and processing: a filter S with

    .. math:: \log S(\omega) = - \sum_m \big( c_m \, (1 - \cos m \cdot \omega) + i \, d_m \sin m \cdot \omega \big) ,

    m being the whole-numbered vectors of a length of at most four, one of each opposite pair. The coefficients c are
    its symmetric part, d its asymmetry: d = c for a causal filter, d = -c for one that is turned by half a turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(len(_WAVES), dtype=torch.float64, device="cpu"))
        self.asymmetry = nn.Parameter(torch.zeros_like(self.coefficients), requires_grad=False)

    @property
    def log_abs_det(self) -> Tensor:
        r""":math:`\log|\det S^{-1}|` of a pixel: the sum of all c, since cosines and sines are zero in the mean."""
        return self.coefficients.sum()

    def log_prob(self) -> Tensor:
        """Log density of S among photographs: that of independent normal coefficients, up to a constant."""
        length = self.coefficients.new_tensor(_WAVES).norm(dim=1)
        axial = torch.tensor([0 in wave for wave in _WAVES], device=length.device)
        mean = length.new_tensor([_MEANS.get(sum(map(abs, wave)), 0.0) if 0 in wave else 0.0 for wave in _WAVES])
        spread = _SPREAD * length ** torch.where(axial, -4 / 3, -2.0)
        symmetric, odd = (self.coefficients - mean) / spread, self.asymmetry / (_ASYMMETRY * spread)
        return -(symmetric.square().sum() + odd.square().sum()) / 2

    def forward(self, image: Tensor) -> Tensor:
        r""":math:`S^{-1} x` for an image `(B, C, H, W)`, on whatever device it is."""
        padded = F.pad(image, [MIRRORED] * 4, "reflect")
        logarithm = self.coefficients.new_zeros(2 * _REACH + 1, 2 * _REACH + 1)
        logarithm[_REACH, _REACH] = self.log_abs_det
        for sign in (-1, 1):
            rows, columns = ([_REACH + sign * n for n in axis] for axis in zip(*_WAVES, strict=True))
            logarithm[rows, columns] = -(self.coefficients + sign * self.asymmetry) / 2
        gain = psf_to_otf(logarithm.to(image.device), padded.shape[2:]).exp().to(image.dtype.to_complex())
        sharp = torch.fft.irfft2(gain * torch.fft.rfft2(padded), s=padded.shape[2:])
        return sharp[..., MIRRORED:-MIRRORED, MIRRORED:-MIRRORED]
