"""Butterfly layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..nn.cache import cached
from ..nn.precision import at_least_float32, without_autocast
from .layer import Flow, per_image

__all__ = ["ButterflyLayer"]


class ButterflyLayer(Flow):
    r"""A product of sparse matrices that mixes all pixels of a channel in :math:`\log_2 N` stages.

    Stage l takes the N = H W pixels in raster order in pairs :math:`2^l` apart and mixes each with a matrix of its own,

    .. math:: \begin{pmatrix} z_p \\ z_{p + 2^l} \end{pmatrix} =
              \begin{pmatrix} a & b \\ c & d \end{pmatrix} \begin{pmatrix} x_p \\ x_{p + 2^l} \end{pmatrix}, \qquad
              \mathrm{ladj} = \sum \log |a d - b c|

    (pixels without a partner, for an N that is no power of two, stay). Both directions cost the same.

    Parameters
    ----------
    image_shape : tuple of int
        `(C, H, W)`; each channel and pair has its own matrix, so that the size is fixed.
    stages : int, optional
        How many; by default all.

    References
    ----------
    Meng, Zhou, Choi, Dao and Ermon, "ButterflyFlow: Building Invertible Layers with Butterfly Matrices", ICML 2022.
    """

    def __init__(self, image_shape: tuple[int, int, int], stages: int | None = None):
        super().__init__()
        self.image_shape = image_shape
        channels, pixels = image_shape[0], image_shape[1] * image_shape[2]
        most = math.ceil(math.log2(pixels)) if pixels > 1 else 0
        if stages is not None and not 0 <= stages <= most:
            raise ValueError(f"stages: must be 0 ... {most} for {pixels} pixels, given {stages}")
        self.matrices = nn.ParameterList()
        for stage in range(most if stages is None else stages):
            stride = 1 << stage
            first = torch.arange(pixels)
            first = first[(first & stride == 0) & (first + stride < pixels)]
            alone = torch.ones(pixels, dtype=torch.bool)
            alone[first] = alone[first + stride] = False
            order = torch.cat([first, first + stride, torch.arange(pixels)[alone]])
            self.register_buffer(f"order_{stage}", order, persistent=False)
            self.register_buffer(f"place_{stage}", order.argsort(), persistent=False)
            start = torch.eye(2)[:, :, None, None] + 0.05 * torch.randn(2, 2, channels, len(first))
            self.matrices.append(nn.Parameter(start))

    def _determinants(self) -> list[Tensor]:
        return [m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0] for m in map(at_least_float32, self.matrices)]

    def _inverses(self) -> list[Tensor]:
        return [
            torch.stack([m[1, 1], -m[0, 1], -m[1, 0], m[0, 0]]).unflatten(0, (2, 2)) / determinant
            for m, determinant in zip(map(at_least_float32, self.matrices), self._determinants(), strict=True)
        ]

    def _log_abs_det(self) -> Tensor | float:
        return sum((determinant.abs().log().sum() for determinant in self._determinants()), start=0.0)

    def _stage(self, x: Tensor, stage: int, matrix: Tensor) -> Tensor:
        pairs = matrix.shape[-1]
        ordered = x[..., getattr(self, f"order_{stage}")]
        first, second, alone = ordered.split((pairs, pairs, x.shape[-1] - 2 * pairs), dim=-1)
        matrix = matrix.to(x.dtype)
        mixed = [row[0] * first + row[1] * second for row in matrix]
        return torch.cat([*mixed, alone], dim=-1)[..., getattr(self, f"place_{stage}")]

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != self.image_shape:
            raise ValueError(
                f"x: this layer mixes the pixels of images (B, {self.image_shape}) only, given {tuple(x.shape)}"
            )

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(x)
        z = x.flatten(2)
        for stage, matrix in enumerate(self.matrices):
            z = self._stage(z, stage, matrix)
        return z.reshape(x.shape), per_image(cached(self, self._log_abs_det, "log_det"), x)

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(z)
        x = z.flatten(2)
        for stage, matrix in reversed(list(enumerate(cached(self, self._inverses, "inverses")))):
            x = self._stage(x, stage, matrix)
        return x.reshape(z.shape), per_image(-cached(self, self._log_abs_det, "log_det"), z)
