"""What splitting does to the responses of a term in each iteration, in one pass over memory, compiled by numba.

In torch, every difference, product and sum is a pass of its own over responses and multipliers, and the memory is what
takes the time. Only for what is usual: two axes, one group per stack of filters, no gradients asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...solvers.compiled.parallel import run
from ..shrinkage import Shrinkage, factor_table
from .kernels import BAND, adjoint_kernel, shrink_kernel

if TYPE_CHECKING:
    from numba.core.ccallback import CFunc

__all__ = ["Passes"]


@dataclass(frozen=True)
class Passes:
    """The passes of one term.

    Attributes
    ----------
    order : int
        1 or 2, of the differences.
    prox : Shrinkage
        What happens to their lengths.
    """

    order: int
    prox: Shrinkage

    def shrink(
        self,
        latent: Tensor,
        responses: Tensor,
        duals: Tensor,
        step: Tensor | float,
        seen: Sequence[int],
        relaxation: float,
        growth: float,
    ) -> None:
        """Responses and multipliers of the next iteration, in place.

        Parameters
        ----------
        latent : Tensor
            `(B, C, H, W)`.
        responses, duals : Tensor
            `(2, B, C, H, W)` of first differences, `(3, B, C, H, W)` of second ones; contiguous.
        step : Tensor or float
            That of the proximal operator, one for all pixels of a channel.
        seen : sequence of int
            Height and width of the part that is shrunk.
        relaxation, growth : float
            Over-relaxation, and what the multipliers are divided by.
        """
        latent = latent.contiguous()
        numbers = _numbers(latent, self.prox.threshold(step), [relaxation, 1 / growth])
        prox = self.prox
        factors = factor_table(prox.exponent).to(latent.dtype) if prox.kind == "power" else latent.new_zeros(2)
        height, width = latent.shape[-2:]
        planes = latent.shape[0] * latent.shape[1]
        kernel = shrink_kernel(latent.element_size(), self.order, prox.kind)
        addresses = (latent.data_ptr(), responses.data_ptr(), duals.data_ptr())
        words = (*addresses, planes, height, width, *seen, numbers.data_ptr(), factors.data_ptr(), len(factors) - 2)
        _run(kernel, words, latent)

    def add_adjoint(self, total: Tensor, responses: Tensor, duals: Tensor, penalty: Tensor | float) -> Tensor:
        """The sum `(B, C, H, W)`, to which the penalty times the adjoint differences of responses + multipliers are
        added in place."""
        numbers = _numbers(total, torch.as_tensor(penalty), [])
        height, width = total.shape[-2:]
        planes = total.shape[0] * total.shape[1]
        addresses = (total.data_ptr(), responses.data_ptr(), duals.data_ptr())
        kernel = adjoint_kernel(total.element_size(), self.order)
        _run(kernel, (*addresses, planes, height, width, numbers.data_ptr()), total)
        return total


def _numbers(image: Tensor, of_planes: Tensor, first: list[float]) -> Tensor:
    """The first numbers and one for each plane, in one array of the image's type."""
    values = of_planes.to(image.dtype).expand(*image.shape[:2], 1, 1).flatten()
    return torch.cat([image.new_tensor(first), values]).contiguous()


def _run(kernel: CFunc, words: tuple[int, ...], image: Tensor) -> None:
    tasks = image.shape[:2].numel() * -(-image.shape[2] // BAND)
    threads = max(1, min(torch.get_num_threads(), tasks))
    rows = image.new_empty(threads, 5, image.shape[3])
    run(kernel, (*words, rows.data_ptr()), tasks, threads)
