"""Woodbury transformations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.cache import cached
from ..nn.precision import at_least_float32, without_autocast
from .layer import Flow, per_image

__all__ = ["LowRankMixing", "MemoryEfficientWoodbury", "Woodbury"]


class LowRankMixing(nn.Module):
    r"""The matrix :math:`I + U V` of size n with U `n x rank` and V `rank x n`, its inverse and determinant.

    .. math:: (I + U V)^{-1} = I - U (I + V U)^{-1} V, \qquad \det(I + U V) = \det(I + V U)

    Parameters
    ----------
    size, rank : int
        n, and the rank of the change, at most n.
    """

    def __init__(self, size: int, rank: int):
        super().__init__()
        rank = min(rank, size)
        scale = 0.1 / size**0.5
        self.left = nn.Parameter(scale * torch.randn(size, rank))
        self.right = nn.Parameter(scale * torch.randn(rank, size))

    def _core(self) -> Tensor:
        left, right = at_least_float32(self.left), at_least_float32(self.right)
        return torch.eye(len(right), device=left.device, dtype=left.dtype) + right @ left

    def log_abs_det(self) -> Tensor:
        """``log |det(I + U V)|``, a scalar."""
        return cached(self, lambda: torch.linalg.slogdet(self._core()).logabsdet, "log_det")

    def multiply(self, x: Tensor) -> Tensor:
        """``(I + U V) x`` for `x` `(..., n, m)`."""
        return x + self.left.to(x.dtype) @ (self.right.to(x.dtype) @ x)

    def divide(self, z: Tensor) -> Tensor:
        """``(I + U V)^-1 z`` for `z` `(..., n, m)`."""
        left = cached(self, lambda: torch.linalg.solve(self._core(), at_least_float32(self.left), left=False), "left")
        return z - left.to(z.dtype) @ (self.right.to(z.dtype) @ z)


class Woodbury(Flow):
    r"""Low-rank mixing of the channels, then of the pixels; both directions cost the same.

    With the image as a matrix X of C rows and N = H W columns,

    .. math:: Z = (I + U_c V_c) X (I + U_s V_s), \qquad
              \mathrm{ladj} = N \log|\det(I + V_c U_c)| + C \log|\det(I + V_s U_s)|

    Parameters
    ----------
    image_shape : tuple of int
        `(C, H, W)`; the pixels that are mixed are those of this size only.
    rank : int
        Of both mixings, at most C and N.

    References
    ----------
    Lu and Huang, "Woodbury Transformations for Deep Generative Flows", NeurIPS 2020.
    """

    def __init__(self, image_shape: tuple[int, int, int], rank: int = 16):
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        self.channels = LowRankMixing(channels, rank)
        self.pixels = LowRankMixing(height * width, rank)

    def _ladj(self, x: Tensor) -> Tensor:
        channels, height, width = self.image_shape
        total = height * width * self.channels.log_abs_det() + channels * self.pixels.log_abs_det()
        return per_image(total, x)

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_shape(x, self.image_shape)
        mixed = self.channels.multiply(x.flatten(2))
        return self.pixels.multiply(mixed.mT).mT.reshape(x.shape), self._ladj(x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_shape(z, self.image_shape)
        mixed = self.pixels.divide(z.flatten(2).mT).mT
        return self.channels.divide(mixed).reshape(z.shape), -self._ladj(z)


class MemoryEfficientWoodbury(Flow):
    r"""Low-rank mixing of the channels, the rows and the columns, with one small matrix pair for each.

    .. math:: \mathrm{ladj} = H W \log|\det(I + V_c U_c)| + C W \log|\det(I + V_h U_h)| + C H \log|\det(I + V_w U_w)|

    Parameters
    ----------
    image_shape : tuple of int
        `(C, H, W)`; the rows and columns that are mixed are those of this size only.
    rank : int
        Of the mixings, at most C, H and W.

    References
    ----------
    Lu and Huang, "Woodbury Transformations for Deep Generative Flows", NeurIPS 2020.
    """

    def __init__(self, image_shape: tuple[int, int, int], rank: int = 16):
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        self.channels = LowRankMixing(channels, rank)
        self.rows = LowRankMixing(height, rank)
        self.columns = LowRankMixing(width, rank)

    def _ladj(self, x: Tensor) -> Tensor:
        channels, height, width = self.image_shape
        total = (
            height * width * self.channels.log_abs_det()
            + channels * width * self.rows.log_abs_det()
            + channels * height * self.columns.log_abs_det()
        )
        return per_image(total, x)

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_shape(x, self.image_shape)
        mixed = self.channels.multiply(x.flatten(2)).reshape(x.shape)
        return self.columns.multiply(self.rows.multiply(mixed).mT).mT, self._ladj(x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_shape(z, self.image_shape)
        mixed = self.rows.divide(self.columns.divide(z.mT).mT)
        return self.channels.divide(mixed.flatten(2)).reshape(z.shape), -self._ladj(z)


def _check_shape(x: Tensor, image_shape: tuple[int, int, int]) -> None:
    if x.shape[1:] != image_shape:
        raise ValueError(f"x: this layer mixes the pixels of images (B, {image_shape}) only, given {tuple(x.shape)}")
