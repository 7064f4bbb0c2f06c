"""What splitting does to its variables in each iteration, in one pass over memory, compiled by numba.

In torch, every difference, product and sum is a pass of its own over responses and multipliers, and the memory is what
takes the time. Only for what is usual: two axes, one group per stack of filters, no gradients asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from ...solvers.compiled.parallel import run
from ..shrinkage import Shrinkage, factor_table
from .kernels import BAND, KINDS, PIECE, data_kernel, spectrum_kernel, terms_kernel, work_rows

if TYPE_CHECKING:
    from ..splitting import Term

__all__ = ["Variables", "solve_spectrum", "update_data"]


class Variables:
    """The variables z = F x of the terms of a sparse penalty, and their multipliers.

    Parameters
    ----------
    terms : sequence of Term
        First differences, or first and second ones in this order; of one kind of shrinkage and one exponent.
    latent : Tensor
        x to start from, `(B, C, H, W)`.
    seen : sequence of int
        Height and width of the part that is shrunk.
    relaxation : float
        Over-relaxation.
    """

    def __init__(self, terms: Sequence[Term], latent: Tensor, seen: Sequence[int], relaxation: float) -> None:
        self._terms, self._seen, self._relaxation = terms, seen, relaxation
        parts = []
        for term in terms:
            parts += [term.analysis.analyse(latent), torch.ones_like(latent)[None]]  # nothing has been shrunk
        self._variables = torch.cat(parts)
        height, width = latent.shape[2:]
        ends = [end for first in range(0, height, BAND) for end in (first, min(first + BAND, height) - 1)]
        lines = self._variables[..., ends, :].permute(1, 2, 3, 0, 4)
        self._edges = lines.reshape(-1, 2, len(self._variables), width).contiguous()
        self._next_edges = torch.empty_like(self._edges)

    def start(self, penalties: Sequence[Tensor | float]) -> Tensor:
        """What the first x is drawn to."""
        parts = self._variables.split([3, 4][: len(self._terms)])
        given = zip(self._terms, penalties, parts, strict=True)
        return functools.reduce(torch.add, (penalty * term.analysis.adjoint(z[:-1]) for term, penalty, z in given))

    def update(
        self, latent: Tensor, penalties: Sequence[Tensor | float], next_penalties: Sequence[Tensor | float]
    ) -> Tensor:
        """Minimise over z, and update the multipliers.

        Parameters
        ----------
        latent : Tensor
            x, `(B, C, H, W)`.
        penalties, next_penalties : sequence of Tensor or float
            Of each term in this iteration and in the next, one for all pixels of a channel.

        Returns
        -------
        Tensor
            What x is drawn to next: the sum over the terms of their next penalty times the adjoint of z + multipliers.
        """
        latent = latent.contiguous()
        total = torch.empty_like(latent)
        numbers = [latent.new_tensor([self._relaxation])]
        proxes = [cast(Shrinkage, term.prox) for term in self._terms]
        for term, prox, penalty, following in zip(self._terms, proxes, penalties, next_penalties, strict=True):
            of_planes = [_of_planes(each, latent) for each in (prox.threshold(1 / penalty), torch.as_tensor(following))]
            numbers += [latent.new_tensor([1 / term.growth]), torch.stack(of_planes, 1).flatten()]
        settings = torch.cat(numbers).contiguous()
        prox = proxes[0]
        factors = factor_table(prox.exponent).to(latent.dtype) if prox.kind == "power" else latent.new_zeros(2)
        height, width = latent.shape[-2:]
        planes = latent.shape[:2].numel()
        tasks = planes * -(-height // BAND)
        threads = max(1, min(torch.get_num_threads(), tasks))
        components = len(self._variables) - len(self._terms)
        rows = latent.new_empty(threads, work_rows(components, len(self._terms)), width + 2)
        kernel = terms_kernel(latent.element_size())
        words = (
            *(each.data_ptr() for each in (latent, self._variables, total)),
            *(planes, height, width, *self._seen),
            *(len(self._terms) - 1, KINDS.index(prox.kind), settings.data_ptr(), factors.data_ptr(), len(factors) - 2),
            *(each.data_ptr() for each in (self._edges, self._next_edges, rows)),
        )
        run(kernel, words, tasks, threads)
        self._edges, self._next_edges = self._next_edges, self._edges
        return total


def update_data(
    seen: Tensor,
    blurred: Tensor,
    wanted: Tensor,
    observed: Tensor,
    shares: Tensor,
    *,
    space: int,
    relaxation: float,
    penalty: float,
    bounds: tuple[Tensor, Tensor] | None,
) -> None:
    """Minimise over u, and update the multipliers, both in place.

    Parameters
    ----------
    seen : Tensor
        The blurred latent image.
    blurred, wanted : Tensor
        u, and u + multipliers.
    observed : Tensor
        The observation times W. All of one shape.
    shares : Tensor
        1 / (W + penalty), broadcasts against these along all but the spatial axes.
    space : int
        Number of spatial axes.
    relaxation, penalty : float
        Over-relaxation, and the penalty on u - h * x.
    bounds : pair of Tensor, optional
        Of clipped pixels the sides, and the limits beyond which they are explained.
    """
    seen, observed, shares = seen.contiguous(), observed.contiguous(), shares.contiguous()
    lead = blurred.shape[:-space]
    size = blurred.shape[-space:].numel()
    lines = lead.numel()
    begins = _begins(shares, lead, space)
    numbers = seen.new_tensor([relaxation, penalty])
    tasks = lines * -(-size // PIECE)
    threads = max(1, min(torch.get_num_threads(), tasks))
    clipped = [] if bounds is None else [each.contiguous() for each in bounds]
    words = (
        *(each.data_ptr() for each in (seen, blurred, wanted)),
        *(lines, size),
        *(each.data_ptr() for each in (observed, shares, begins, numbers, *clipped)),
        *([] if clipped else [0, 0]),
    )
    run(data_kernel(seen.element_size()), words, tasks, threads)


def solve_spectrum(
    spectrum: Tensor, pull: Tensor, otf: Tensor, power: Tensor, smoothing: Tensor, *, space: int, penalty: float
) -> None:
    """Minimise over x, in place of the spectrum of u + multipliers.

    Parameters
    ----------
    spectrum, pull : Tensor
        Of u + multipliers, and of what else draws x; of one shape.
    otf, power, smoothing : Tensor
        H, the penalty times its squared magnitude, and the power of other penalties; broadcast against these along all
        but the spatial axes.
    space : int
        Number of spatial axes.
    penalty : float
        On u - h * x.
    """
    lead, size = spectrum.shape[:-space], spectrum.shape[-space:].numel()
    lines = lead.numel()
    otf, power, smoothing = (each.resolve_conj().contiguous() for each in (otf, power, smoothing))
    begins = [_begins(each, lead, space) for each in (otf, power, smoothing)]
    tasks = lines * -(-size // PIECE)
    threads = max(1, min(torch.get_num_threads(), tasks))
    number = power.new_tensor([penalty])
    words = [spectrum.data_ptr(), pull.data_ptr()]
    for each, begin in zip((otf, power, smoothing), begins, strict=True):
        words += [each.data_ptr(), begin.data_ptr()]
    run(spectrum_kernel(power.element_size()), (*words, lines, size, number.data_ptr()), tasks, threads)


def _begins(values: Tensor, lead: Sequence[int], space: int) -> Tensor:
    """Where in memory the values of each of the leading indices begin, `values` broadcast along them."""
    size = values.shape[-space:].numel()
    starts = torch.arange(values.numel() // size).mul(size).view(values.shape[:-space])
    return starts.expand(tuple(lead)).contiguous()


def _of_planes(value: Tensor, image: Tensor) -> Tensor:
    """One for each plane."""
    return value.to(image.dtype).expand(*image.shape[:2], 1, 1).flatten()
