"""Self-normalizing convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ..nn.cache import cached
from ..nn.precision import at_least_float32, without_autocast
from .layer import Flow, per_image
from .periodic import periodic_log_abs_det

__all__ = ["SelfNormalizingConvolution"]

# Values of the largest matrix whose determinant is taken: 1 GiB of float32.
_LARGEST_DIMENSION = 16384


class SelfNormalizingConvolution(Flow):
    r"""A k x k convolution with zero padding, and another one that learns to be its inverse.

    .. math:: z = W * x, \qquad x \approx R * z

    In evaluation `ladj` is exact, by factorising the dense D x D matrix of the convolution, D = C H W, once for the
    same weights. In training that would be too slow: there the *gradient* of `ladj` is the self-normalizing one, with R
    for :math:`W^{-1}`,

    .. math:: \frac{\partial}{\partial W_{oi}[q]} \log|\det W| \approx \sum_p R[(i, p + q), (o, p)],

    minus that of the penalty :math:`\lambda |R W x - x|^2`, which teaches R; its *value* is that of the periodic
    convolution with the same weight, which differs by an effect of the border.

    `inverse` is one convolution, and only as good as R: this layer samples approximately. There, `ladj` is that of R.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int
        k, odd.
    penalty : float
        :math:`\lambda`, weight of the squared reconstruction error, summed over an image.

    References
    ----------
    Keller, Peters, Jaini, Hoogeboom, Forre and Welling, "Self Normalizing Flows", ICML 2021.
    """

    def __init__(self, channels: int, kernel_size: int = 3, *, penalty: float = 1.0):
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: must be odd, given {kernel_size}")
        self.reach, self.penalty = kernel_size // 2, penalty
        start = 0.01 / kernel_size * torch.randn(channels, channels, kernel_size, kernel_size)
        start[:, :, self.reach, self.reach] += torch.eye(channels)
        identity = torch.zeros_like(start)
        identity[:, :, self.reach, self.reach] = torch.eye(channels)
        self.weight = nn.Parameter(start)
        # The first order of the Neumann series is near the inverse, as W starts near the identity.
        self.inverse_weight = nn.Parameter(2 * identity - start)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return conv2d(x, weight.to(x.dtype), padding=self.reach)

    def _log_abs_det(self, weight: Tensor, shape: torch.Size) -> Tensor:
        dimension = shape.numel()
        if dimension > _LARGEST_DIMENSION:
            raise ValueError(
                f"x: the exact determinant of a self-normalizing convolution takes at most {_LARGEST_DIMENSION} "
                f"dimensions, given {tuple(shape)}"
            )
        weight = at_least_float32(weight)
        unit_images = torch.eye(dimension, device=weight.device, dtype=weight.dtype).reshape(dimension, *shape)
        return torch.linalg.slogdet(self._convolve(unit_images, weight).flatten(1)).logabsdet

    def _exact_ladj(self, which: str, x: Tensor) -> Tensor:
        shape = x.shape[1:]
        return per_image(cached(self, lambda: self._log_abs_det(getattr(self, which), shape), which, shape), x)

    def _self_normalized_ladj(self, x: Tensor, z: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        with torch.no_grad():
            value = periodic_log_abs_det(self.weight, height, width)
            steps = torch.arange(2 * self.reach + 1, device=x.device) - self.reach
            pairs = (height - steps.abs()).clamp_min(0)[:, None] * (width - steps.abs()).clamp_min(0)
            slope = pairs * at_least_float32(self.inverse_weight).flip(-2, -1).transpose(0, 1)
        surrogate = (at_least_float32(self.weight) * slope).sum() - self.penalty * (
            self._convolve(z, self.inverse_weight) - x
        ).square().flatten(1).sum(1)
        return value + surrogate - surrogate.detach()

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = self._convolve(x, self.weight)
        if self.training:
            return z, self._self_normalized_ladj(x, z).to(x.dtype)
        return z, self._exact_ladj("weight", x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._convolve(z, self.inverse_weight), self._exact_ladj("inverse_weight", z)
