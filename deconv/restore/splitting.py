r"""The alternating direction method of multipliers on a padded domain.

All methods here minimise, over the images x that the boundary allows,

.. math:: \tfrac12 \| W^{1/2} (y - h * x) \|^2 + \phi(x) .

The pixel mask W is diagonal in space and the blur in frequency, so the blurred image gets a variable of its own,
u = h * x (Almeida and Figueiredo, "Deconvolving images with unknown boundaries using the alternating direction method
of multipliers", IEEE TIP 2013), and so does the projection on what the boundary allows, v = P x. `DataTerm` keeps both
with their multipliers. For a quadratic penalty :math:`\phi`, an iteration is then one division in frequency and one
weighted mean in space, without inner iterations: `quadratic`. At a clipped pixel u is free on the far side of white. A
sparse penalty splits every filter response off, too, z = F x (Afonso, Bioucas-Dias and Figueiredo, IEEE TIP 2011), and
what remains is shrinkage: `sparse`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..ops.tracking import is_tracked
from .compiled import compiled_variables
from .convergence import Minimisation
from .data_term import RELAXATION, DataTerm
from .padded_domain import PaddedDomain

__all__ = ["Analysis", "Splits", "Term", "growing", "positive", "quadratic", "sparse"]


def quadratic(domain: PaddedDomain, power: Tensor) -> Minimisation:
    r"""Minimise for :math:`\phi = \tfrac12 \sum r(\omega) |\hat x(\omega)|^2`.

    Parameters
    ----------
    domain : PaddedDomain
        With the observation.
    power : Tensor
        r, on the grid of the real FFT.

    Returns
    -------
    Minimisation
        Latent images that converge to the minimum.
    """
    # No quadratic penalty allows for the jump to zero at the frame: it is better not told of it.
    domain = domain.unbounded() if domain.boundary == "zero" else domain

    def iterates() -> Iterator[Tensor]:
        data_term = DataTerm(domain, domain.start())
        while True:
            spectrum = data_term.solve(power)
            latent = domain.ifft(spectrum)
            yield latent
            data_term.update(spectrum, latent)

    def objective(latent: Tensor) -> Tensor:
        roughness = latent * domain.ifft(power * domain.fft(latent))
        return domain.misfit(latent) + 0.5 * roughness.flatten(1).sum(1)

    return Minimisation(iterates(), objective)


class Analysis(Protocol):
    """A stack of filters, see `deconv.restore.derivatives`."""

    def analyse(self, x: Tensor) -> Tensor: ...
    def adjoint(self, v: Tensor) -> Tensor: ...
    def power(self, shape: Sequence[int], like: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Term:
    r"""One group :math:`\phi(F x)` of a sparse penalty.

    Parameters
    ----------
    analysis : Analysis
        The filters F.
    prox : callable
        v, t -> the minimiser over z of :math:`t\,\phi(z) + \tfrac12 |z - v|^2`, on the stack of responses.
    penalty : Tensor or float
        1 / t, positive; broadcasts against the image.
    growth : float
        What the penalty is multiplied by after each iteration. A convex :math:`\phi` needs none. One that is not has
        many minima: a small penalty moves freely between them, a large one settles in the nearest.
    value : callable, optional
        :math:`\phi` of a stack of responses, at each pixel.
    """

    analysis: Analysis
    prox: Callable[[Tensor, Tensor | float], Tensor]
    penalty: Tensor | float
    growth: float = 1.0
    value: Callable[[Tensor], Tensor] | None = None


def sparse(domain: PaddedDomain, terms: Sequence[Term]) -> Iterator[Tensor]:
    r"""Minimise for :math:`\phi = \sum_g \phi_g(F_g x)`, summed over the part of the domain that is seen.

    Beyond it, where the domain closes on itself, a penalty would tie opposite borders of the frame together.

    Parameters
    ----------
    domain : PaddedDomain
        With the observation.
    terms : sequence of Term
        The groups.

    Returns
    -------
    iterator of Tensor
        Better and better latent images; a `Minimisation` if every term has its value.
    """
    values = [term.value for term in terms if term.value is not None]

    def objective(latent: Tensor) -> Tensor:
        total = domain.misfit(latent)
        for term, value in zip(terms, values, strict=True):
            total = total + value(term.analysis.analyse(latent))[domain.seen].flatten(1).sum(1)
        return total

    iterates = _sparse_iterates(domain, terms)
    return Minimisation(iterates, objective) if len(values) == len(terms) else iterates


def _sparse_iterates(domain: PaddedDomain, terms: Sequence[Term]) -> Iterator[Tensor]:
    latent = domain.start()
    data_term = DataTerm(domain, latent)
    splits = Splits(terms, domain, latent)
    while True:
        spectrum = data_term.solve(splits.power, domain.fft(splits.pull))
        latent = domain.ifft(spectrum)
        yield latent
        data_term.update(spectrum, latent)
        del spectrum
        splits.update(latent)


class Splits:
    """The variables z = F x of the terms of a sparse penalty, and their scaled multipliers.

    Parameters
    ----------
    terms : sequence of Term
        The groups of the penalty.
    domain : PaddedDomain
        With the observation.
    latent : Tensor
        The image to start from.

    Attributes
    ----------
    pull : Tensor
        What draws x towards z: the sum of the terms' penalties times the adjoint of z + multipliers.
    """

    def __init__(self, terms: Sequence[Term], domain: PaddedDomain, latent: Tensor) -> None:
        self.terms = terms
        self.seen = domain.seen
        self.penalties = [term.penalty for term in terms]
        self.powers = [term.analysis.power(domain.shape, latent) for term in terms]
        differentiated = is_tracked(latent, domain.forward.power, domain.mask)
        ends = [part.stop for part in self.seen[1:]]
        self.compiled = None if differentiated else compiled_variables(terms, latent, ends, RELAXATION)
        if self.compiled is None:
            self.responses = [term.analysis.analyse(latent) for term in terms]
            self.duals = [torch.zeros_like(each) for each in self.responses]
            self.pull = self._pull()
        else:
            self.pull = self.compiled.start(self.penalties)

    @property
    def power(self) -> Tensor:
        """The sum of penalties times squared transfer functions."""
        return functools.reduce(torch.add, map(operator.mul, self.penalties, self.powers))

    def update(self, latent: Tensor) -> None:
        """Minimise over z, and update the multipliers, given x."""
        last = self.penalties
        self.penalties = [penalty * term.growth for penalty, term in zip(last, self.terms, strict=True)]
        if self.compiled is not None:
            self.pull = self.compiled.update(latent, last, self.penalties)
            return
        for number, (term, penalty) in enumerate(zip(self.terms, last, strict=True)):
            responses, duals = self.responses[number], self.duals[number]
            wanted = torch.lerp(responses, term.analysis.analyse(latent), RELAXATION).sub_(duals)
            shrunk = wanted.clone()
            shrunk[self.seen] = term.prox(wanted[self.seen], 1 / penalty)
            # Scaled by the penalty, a multiplier shrinks where that grows.
            self.responses[number], self.duals[number] = shrunk, (shrunk - wanted).div_(term.growth)
        self.pull = self._pull()

    def _pull(self) -> Tensor:
        given = zip(self.terms, self.penalties, self.responses, self.duals, strict=True)
        return functools.reduce(torch.add, (p * term.analysis.adjoint(z + d) for term, p, z, d in given))


def positive(penalty: Tensor | float, least: float = 1e-6) -> Tensor:
    """A penalty that splitting works with also where the weight it was derived from is zero."""
    return torch.as_tensor(penalty).clamp_min(least)


def growing(factors: tuple[float, float], weight: Tensor | float, num_iter: int) -> tuple[Tensor, float]:
    """First penalty and its growth per iteration, where it goes from one multiple of the weight to another."""
    first, last = factors
    return positive(first * weight), (last / first) ** (1 / max(num_iter - 1, 1))
