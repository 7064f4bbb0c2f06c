r"""Alternating directions on a domain: every step is pointwise in space or pointwise in frequency.

All methods here minimise, over scenes s that the boundary allows,

.. math:: \tfrac12 \| W^{1/2} (y - h * s) \|^2 + \phi(s) .

The mask W is diagonal in space and the blur in frequency, so the blurred scene gets a variable u = h * s of its
own (Almeida and Figueiredo, "Deconvolving images with unknown boundaries using the alternating direction method
of multipliers", IEEE TIP 2013); so do the copies that a boundary makes. `DataTerm` keeps both. Given
a prior that is quadratic, a step is then one division in frequency and one weighted mean in space: nothing is
nested. `quadratic` is just that; `sparse` splits every filter response off, too (Afonso, Bioucas-Dias and
Figueiredo, IEEE TIP 2011), so that what remains is shrinkage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .padded_domain import PaddedDomain

__all__ = ["Analysis", "DataTerm", "Term", "quadratic", "sparse"]

# Penalty on the data and over-relaxation (Eckstein and Bertsekas, 1992). Between 0.1 and 0.3, and 1.6 and 1.8,
# nothing changes by more than 0.05 dB in photographs under camera shake.
_PENALTY = 0.2
_RELAXATION = 1.7

# Penalty on what contradicts the boundary; a larger one clings to the start, a smaller one to the unknown boundary.
_BOUNDARY_PENALTY = 0.03


class DataTerm:
    """The variables of the data term and of the boundary, and their scaled multipliers."""

    def __init__(self, domain: PaddedDomain, scene: Tensor) -> None:
        self.domain = domain
        self.blurred = domain.blur(scene)
        self.blurred_dual = torch.zeros_like(self.blurred)
        self.framed = scene
        self.framed_dual = torch.zeros_like(scene)
        self.share = 1 / (domain.weight + _PENALTY)
        self.power = _PENALTY * domain.otf.abs().square()
        if domain.inside is not None:
            self.power = self.power + _BOUNDARY_PENALTY

    def solve(self, power: Tensor | float, pull: Tensor | float = 0.0) -> Tensor:
        r"""Spectrum of the scene for a prior :math:`\tfrac12 \sum r |\hat s|^2 - \mathrm{Re} \sum t^* \hat s`,
        with r = power, t = pull."""
        domain = self.domain
        pull = pull + _PENALTY * domain.otf.conj() * domain.fft(self.blurred + self.blurred_dual)
        if domain.inside is not None:
            pull = pull + _BOUNDARY_PENALTY * domain.fft(self.framed + self.framed_dual)
        total = self.power + power
        # A frequency that neither the blur nor the prior sees stays out of the scene.
        # Complex numbers are multiplied ten times faster than divided.
        return pull * torch.where(total > 1e-12, total, torch.inf).reciprocal()

    def update(self, spectrum: Tensor, scene: Tensor) -> None:
        """Move the variables towards the scene that `solve` gave."""
        domain = self.domain
        wanted = torch.lerp(self.blurred, domain.ifft(domain.otf * spectrum), _RELAXATION) - self.blurred_dual
        self.blurred = self.share * torch.add(domain.observed, wanted, alpha=_PENALTY)
        self.blurred_dual = self.blurred - wanted
        if domain.inside is not None:
            wanted = torch.lerp(self.framed, scene, _RELAXATION) - self.framed_dual
            self.framed = domain.project(wanted)
            self.framed_dual = self.framed - wanted


def quadratic(domain: PaddedDomain, power: Tensor) -> Iterator[Tensor]:
    r"""Yield scenes that converge to the minimum for :math:`\phi = \tfrac12 \sum r(\omega) |\hat s(\omega)|^2`,
    r being the power."""
    # No quadratic prior can live with the jump to zero at the frame: it is better not told of it.
    domain = domain.unbounded() if domain.boundary == "zero" else domain
    data_term = DataTerm(domain, domain.start())
    while True:
        spectrum = data_term.solve(power)
        scene = domain.ifft(spectrum)
        yield scene
        data_term.update(spectrum, scene)


class Analysis(Protocol):
    """A stack of filters, see `deconv.restore.derivatives`."""

    def analyse(self, x: Tensor) -> Tensor: ...
    def adjoint(self, v: Tensor) -> Tensor: ...
    def power(self, shape: Sequence[int], like: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Term:
    """One group of a sparse prior.

    analysis: the filters F.
    prox: v, t -> the minimiser over z of ``t phi(z) + |z - v|^2 / 2``, on the stack of responses.
    penalty: positive, a number or a tensor that broadcasts against the image; 1 / t.
    growth: what the penalty is multiplied by after each iteration. A convex prior needs none. One that is not
        has many minima: a small penalty moves freely between them, a large one settles in the nearest.
    """

    analysis: Analysis
    prox: Callable[[Tensor, Tensor | float], Tensor]
    penalty: Tensor | float
    growth: float = 1.0


def sparse(domain: PaddedDomain, terms: Sequence[Term]) -> Iterator[Tensor]:
    r"""Yield better and better scenes for :math:`\phi = \sum_g \phi_g(F_g s)`, summed over all but the seam.

    A penalty there would tie each border of the frame to the opposite one.
    """
    scene = domain.start()
    seen = domain.seen
    data_term = DataTerm(domain, scene)
    responses = [term.analysis.analyse(scene) for term in terms]
    duals = [torch.zeros_like(v) for v in responses]
    powers = [term.analysis.power(domain.shape, scene) for term in terms]
    penalties = [term.penalty for term in terms]
    while True:
        pull = sum(
            penalty * term.analysis.adjoint(v + dual)
            for term, penalty, v, dual in zip(terms, penalties, responses, duals, strict=True)
        )
        power = sum(penalty * power for penalty, power in zip(penalties, powers, strict=True))
        spectrum = data_term.solve(power, domain.fft(pull))
        scene = domain.ifft(spectrum)
        yield scene
        data_term.update(spectrum, scene)
        for i, term in enumerate(terms):
            wanted = torch.lerp(responses[i], term.analysis.analyse(scene), _RELAXATION).sub_(duals[i])
            responses[i] = wanted.clone()
            responses[i][seen] = term.prox(wanted[seen], 1 / penalties[i])
            # Scaled by the penalty, a multiplier shrinks where that grows.
            duals[i] = (responses[i] - wanted).div_(term.growth)
            penalties[i] = penalties[i] * term.growth
