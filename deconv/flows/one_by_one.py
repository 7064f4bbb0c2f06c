"""Glow's invertible 1 x 1 convolution."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ..choices import check_choice
from ..nn.cache import cached
from ..nn.precision import at_least_float32, without_autocast
from .layer import Flow, per_image

__all__ = ["OneByOne"]

Parametrisation = Literal["plu", "direct"]
Direction = Literal["forward", "inverse"]


class OneByOne(Flow):
    r"""Invertible channel mixing, the same at every pixel.

    .. math:: z[p] = W x[p], \qquad \mathrm{ladj} = H W \log |\det W|

    Parametrised by M, a random rotation at first, with `W = M` for ``direction="forward"`` and :math:`W = M^{-1}` for
    ``"inverse"``: the direction that multiplies by M needs no inverse. Either costs a 1 x 1 convolution per image.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    parametrisation : {"plu", "direct"}
        ``"plu"``: ``M = P L (U + diag(s))`` with a fixed permutation P, the log-determinant is ``sum log |s|``.
        ``"direct"``: M itself, its log-determinant by a factorisation.
    direction : {"forward", "inverse"}
        Which direction multiplies by M.

    References
    ----------
    Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018, section 3.2.
    """

    sign: Tensor
    permutation: Tensor

    def __init__(
        self,
        channels: int,
        *,
        parametrisation: Parametrisation = "plu",
        direction: Direction = "forward",
    ):
        super().__init__()
        check_choice("parametrisation", parametrisation, get_args(Parametrisation))
        check_choice("direction", direction, get_args(Direction))
        self.parametrisation, self.direction = parametrisation, direction
        dtype = torch.get_default_dtype()
        start = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64)).Q
        if parametrisation == "direct":
            self.matrix = nn.Parameter(start.to(dtype))
            return
        permutation, lower, upper = torch.linalg.lu(start)
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower.tril(-1).to(dtype))
        self.upper = nn.Parameter(upper.triu(1).to(dtype))
        self.log_scale = nn.Parameter(diagonal.abs().log().to(dtype))
        self.register_buffer("sign", diagonal.sign().to(dtype))
        self.register_buffer("permutation", permutation.to(dtype))

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower, upper, sign, log_scale = map(at_least_float32, (self.lower, self.upper, self.sign, self.log_scale))
        identity = torch.eye(len(sign), device=sign.device, dtype=sign.dtype)
        return identity + lower.tril(-1), upper.triu(1) + torch.diag(sign * log_scale.exp())

    def product(self) -> tuple[Tensor, Tensor]:
        """M and the logarithm of its determinant.

        Returns
        -------
        matrix : Tensor
            `(C, C)`.
        log_det : Tensor
            A scalar.
        """
        if self.parametrisation == "direct":
            matrix = at_least_float32(self.matrix)
            return matrix, torch.linalg.slogdet(matrix).logabsdet
        lower, upper = self._factors()
        return self.permutation.to(lower) @ lower @ upper, at_least_float32(self.log_scale).sum()

    def _quotient(self) -> tuple[Tensor, Tensor]:
        """The inverse of M and the logarithm of its determinant."""
        if self.parametrisation == "direct":
            matrix = at_least_float32(self.matrix)
            return torch.linalg.inv(matrix), -torch.linalg.slogdet(matrix).logabsdet
        lower, upper = self._factors()
        inner = torch.linalg.solve_triangular(lower, self.permutation.T.to(lower), upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, inner, upper=True), -at_least_float32(self.log_scale).sum()

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        made = self.product if self.direction == "forward" else self._quotient
        return _mix(x, *cached(self, made, "forward"))

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        made = self._quotient if self.direction == "forward" else self.product
        return _mix(z, *cached(self, made, "inverse"))


def _mix(x: Tensor, matrix: Tensor, log_det: Tensor) -> tuple[Tensor, Tensor]:
    if x.ndim != 4 or x.shape[1] != len(matrix):
        raise ValueError(f"x: must be (B, {len(matrix)}, H, W), given {tuple(x.shape)}")
    return conv2d(x, matrix.to(x.dtype)[:, :, None, None]), per_image(x.shape[-2] * x.shape[-1] * log_det, x)
