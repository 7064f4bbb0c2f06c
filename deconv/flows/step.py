"""A step of flow; for sampling, its linear part is folded into few convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from ..nn.cache import cached, caches
from ..nn.precision import at_least_float32, without_autocast
from .actnorm import ActNorm
from .inverse_unit import InverseUnit
from .layer import Flow, Sequential, per_image
from .one_by_one import OneByOne

__all__ = ["LinearPart", "Step"]


class LinearPart(Sequential):
    r"""Units, then an activation normalisation and a 1 x 1 convolution.

    In evaluation `inverse` is folded: :math:`x = U^{-1}(e^{-s} \odot M z + m)` takes one 1 x 1 convolution, with a
    bias, before the units. Where the unit is an `InverseUnit`, :math:`U^{-1} = A_1 \cdots A_n` is a convolution itself,
    the matrix enters the first of its kernels, and

    .. math:: x = A_1 \cdots (A_n \, e^{-s} M) z + A_1 \cdots A_n m

    is its n convolutions and the addition of one image, constant but near the border.

    Parameters
    ----------
    units : sequence of Flow
        The layers under comparison; may be empty.
    channels : int
        C of the images `(B, C, H, W)`.
    """

    def __init__(self, units: Sequence[Flow], channels: int):
        super().__init__(*units, ActNorm(channels), OneByOne(channels, direction="inverse"))

    def _folded_mixing(self) -> tuple[Tensor, Tensor, Tensor]:
        """Matrix, shift and log-determinant per pixel of what the last two layers do to a latent."""
        normalisation, mixing = cast("ActNorm", self[-2]), cast("OneByOne", self[-1])
        matrix, log_det = mixing.product()
        log_scale, mean = at_least_float32(normalisation.log_scale), at_least_float32(normalisation.mean)
        return (-log_scale).exp()[:, None] * matrix, mean, log_det - log_scale.sum()

    def _folded_kernels(self, height: int, width: int) -> tuple[list[Tensor], Tensor, Tensor]:
        """The kernels from the last to the first, the constant image, and the log-determinant per pixel."""
        matrix, shift, log_det = self._folded_mixing()
        unit = cast("InverseUnit", self[0])
        weights, unit_log_det = unit.weights_and_log_det()
        image = unit.convolve(shift[None, :, None, None].expand(1, -1, height, width), weights)
        *others, last = weights
        last = torch.einsum("oiyx,ij->ojyx", last, matrix)
        return [*others, last], image, log_det + unit_log_det

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if not caches(self):
            return super().inverse(z, context)
        height, width = z.shape[-2:]
        *units, _, _ = self.layers
        if len(units) == 1 and isinstance(units[0], InverseUnit):
            weights, image, log_det = cached(self, lambda: self._folded_kernels(height, width), "folded", height, width)
            x = units[0].convolve(z, weights)
            return x.add_(image), per_image(height * width * log_det, z)
        matrix, shift, log_det = cached(self, self._folded_mixing)
        x, total = conv2d(z, matrix[:, :, None, None], shift), per_image(height * width * log_det, z)
        for unit in reversed(units):
            x, ladj = unit.inverse(x, context)
            total = total + ladj
        return x, total


class Step(Sequential):
    """A linear part, then a coupling.

    Parameters
    ----------
    units : sequence of Flow
        The layers under comparison; may be empty.
    channels : int
        C of the images `(B, C, H, W)`.
    coupling : Flow
        Comes last.
    """

    def __init__(self, units: Sequence[Flow], channels: int, coupling: Flow):
        super().__init__(LinearPart(units, channels), coupling)
