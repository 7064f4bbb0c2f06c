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

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .compiled import compiled_passes
from .convergence import Minimisation
from .padded_domain import PaddedDomain

__all__ = ["Analysis", "DataTerm", "Term", "growing", "positive", "quadratic", "sparse"]

# Penalty on u - h * x and over-relaxation (Eckstein and Bertsekas, 1992). Between 0.1 and 0.3, and 1.6 and 1.8, nothing
# changes by more than 0.05 dB in photographs under camera shake.
_PENALTY = 0.2
_RELAXATION = 1.7

# Penalty on v - x; a larger one stays near the start, a smaller one near the result for an unknown boundary.
_BOUNDARY_PENALTY = 0.03


class DataTerm:
    """The variables u and v of the data term and the boundary, and their scaled multipliers.

    Parameters
    ----------
    domain : PaddedDomain
        With the observation.
    latent : Tensor
        The image to start from.
    """

    def __init__(self, domain: PaddedDomain, latent: Tensor) -> None:
        self.domain = domain
        self.blurred = domain.blur(latent)
        self.blurred_dual = torch.zeros_like(self.blurred)
        if domain.inside is not None:
            self.allowed = latent
            self.allowed_dual = torch.zeros_like(latent)
        self.share = 1 / (domain.mask + _PENALTY)
        self.power = _PENALTY * domain.forward.power
        if domain.inside is not None:
            self.power = self.power + _BOUNDARY_PENALTY
        if not domain.forward.diagonal:
            self.spectrum, self.seen = domain.fft(latent), self.blurred  # the last x, and its blur

    def solve(self, power: Tensor | float, pull: Tensor | float = 0.0) -> Tensor:
        r"""Minimise over x, given u and v.

        Parameters
        ----------
        power, pull : Tensor or float
            r and t of the penalty :math:`\tfrac12 \sum r |\hat x|^2 - \mathrm{Re} \sum \bar t \hat x`, on the grid of
            the real FFT.

        Returns
        -------
        Tensor
            The spectrum of x.
        """
        domain = self.domain
        if domain.inside is not None:
            pull = pull + _BOUNDARY_PENALTY * domain.fft(self.allowed + self.allowed_dual)
        total = self.power + power
        # A frequency that neither the blur nor the penalty sees stays zero.
        # Complex numbers are multiplied ten times faster than divided.
        inverse = torch.where(total > 1e-12, total, torch.inf).reciprocal_()
        del total
        wanted = self.blurred + self.blurred_dual
        if domain.forward.diagonal:
            seen = domain.forward.spectrum_of_adjoint(wanted)
            tensors = [each for each in (seen, pull, inverse) if torch.is_tensor(each)]
            if any(each.requires_grad for each in tensors):
                return (pull + _PENALTY * seen) * inverse
            return seen.mul_(_PENALTY).add_(pull).mul_(inverse)  # large images have no room for more buffers
        missing = pull + _PENALTY * domain.forward.spectrum_of_adjoint(wanted - self.seen) - power * self.spectrum
        if domain.inside is not None:
            missing = missing - _BOUNDARY_PENALTY * self.spectrum
        return self._descend(inverse * missing, missing, power)

    def _descend(self, step: Tensor, missing: Tensor, power: Tensor | float) -> Tensor:
        """A blur that is not diagonal in frequency takes a step instead, of the best length, from the last x on.

        One in each iteration is enough: more of them, up to the solution, make no difference of 0.01 dB.
        """
        forward = self.domain.forward
        moved = forward.blur_of_spectrum(step)
        if self.domain.inside is not None:
            power = power + _BOUNDARY_PENALTY
        curvature = _PENALTY * math.prod(forward.shape) * moved.square().sum(forward.axes, keepdim=True)
        curvature = (curvature + forward.dot(step, power * step)).clamp_min(torch.finfo(moved.dtype).tiny)
        length = forward.dot(step, missing) / curvature
        self.spectrum, self.seen = self.spectrum + length * step, self.seen + length * moved
        return self.spectrum

    def update(self, spectrum: Tensor, latent: Tensor) -> None:
        """Minimise over u and v, and update the multipliers, given x and its spectrum."""
        domain = self.domain
        seen = domain.forward.blur_of_spectrum(spectrum) if domain.forward.diagonal else self.seen
        wanted = torch.lerp(self.blurred, seen, _RELAXATION) - self.blurred_dual
        self.blurred = self.share * torch.add(domain.target(wanted), wanted, alpha=_PENALTY)
        self.blurred_dual = self.blurred - wanted
        if domain.inside is not None:
            wanted = torch.lerp(self.allowed, latent, _RELAXATION) - self.allowed_dual
            self.allowed = domain.project(wanted)
            self.allowed_dual = self.allowed - wanted


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
    splits = [Split(term, domain, latent) for term in terms]

    def solve() -> Tensor:
        pull, power = latent.new_zeros(latent.shape), latent.new_zeros(())
        for split in splits:
            pull = split.pull(pull)
            power = power + split.penalty * split.power
        pull = domain.fft(pull)
        return data_term.solve(power, pull)

    while True:
        spectrum = solve()
        latent = domain.ifft(spectrum)
        yield latent
        data_term.update(spectrum, latent)
        del spectrum
        for split in splits:
            split.update(latent)


class Split:
    """The variable z = F x of one term, and its scaled multipliers.

    Parameters
    ----------
    term : Term
        The group of the penalty.
    domain : PaddedDomain
        With the observation.
    latent : Tensor
        The image to start from.
    """

    def __init__(self, term: Term, domain: PaddedDomain, latent: Tensor) -> None:
        self.term = term
        self.seen = domain.seen
        self.penalty = term.penalty
        self.power = term.analysis.power(domain.shape, latent)
        self.responses = term.analysis.analyse(latent).contiguous()
        self.duals = torch.zeros_like(self.responses)
        self.compiled = compiled_passes(term.analysis, term.prox, term.penalty, latent)

    def pull(self, total: Tensor) -> Tensor:
        """A sum with what draws x towards z added."""
        if self.compiled is not None and not self.responses.requires_grad:
            return self.compiled.add_adjoint(total, self.responses, self.duals, self.penalty)
        return total + self.penalty * self.term.analysis.adjoint(self.responses + self.duals)

    def update(self, latent: Tensor) -> None:
        """Minimise over z, and update the multipliers, given x."""
        growth = self.term.growth
        if self.compiled is not None and not latent.requires_grad:
            ends = [part.stop for part in self.seen[1:]]
            self.compiled.shrink(latent, self.responses, self.duals, 1 / self.penalty, ends, _RELAXATION, growth)
        else:
            wanted = torch.lerp(self.responses, self.term.analysis.analyse(latent), _RELAXATION).sub_(self.duals)
            self.responses = wanted.clone()
            self.responses[self.seen] = self.term.prox(wanted[self.seen], 1 / self.penalty)
            # Scaled by the penalty, a multiplier shrinks where that grows.
            self.duals = (self.responses - wanted).div_(growth)
        self.penalty = self.penalty * growth


def positive(penalty: Tensor | float, least: float = 1e-6) -> Tensor:
    """A penalty that splitting works with also where the weight it was derived from is zero."""
    return torch.as_tensor(penalty).clamp_min(least)


def growing(factors: tuple[float, float], weight: Tensor | float, num_iter: int) -> tuple[Tensor, float]:
    """First penalty and its growth per iteration, where it goes from one multiple of the weight to another."""
    first, last = factors
    return positive(first * weight), (last / first) ** (1 / max(num_iter - 1, 1))
