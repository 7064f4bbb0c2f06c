r"""The data term of splitting: the variables of the blurred image and of what the boundary allows.

.. math:: \tfrac12 \| W^{1/2} (y - u) \|^2 \text{ with } u = h * x, \qquad v = P x ,

see `deconv.restore.splitting`, of whose iterations these are the half that all penalties share.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..ops.tracking import is_tracked
from .compiled import compiled_data, compiled_solution
from .padded_domain import PaddedDomain

__all__ = ["RELAXATION", "DataTerm"]

# Penalty on u - h * x and over-relaxation (Eckstein and Bertsekas, 1992). Between 0.1 and 0.3, and 1.6 and 1.8, nothing
# changes by more than 0.05 dB in photographs under camera shake.
_PENALTY = 0.2
RELAXATION = 1.7

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
        self.blurred = domain.blur(latent).contiguous()
        self.wanted = self.blurred.clone()  # u + multipliers
        if domain.inside is not None:
            self.allowed = latent
            self.allowed_dual = torch.zeros_like(latent)
        self.share = 1 / (domain.mask + _PENALTY)
        self.power = _PENALTY * domain.forward.power
        if domain.inside is not None:
            self.power = self.power + _BOUNDARY_PENALTY
        if not domain.forward.diagonal:
            self.spectrum, self.seen = domain.fft(latent), self.blurred.clone()  # the last x, and its blur

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
        spectrum = compiled_solution(domain, self.wanted, pull, self.power, power, penalty=_PENALTY)
        if spectrum is not None:
            return spectrum
        total = self.power + power
        # A frequency that neither the blur nor the penalty sees stays zero.
        # Complex numbers are multiplied ten times faster than divided.
        inverse = torch.where(total > 1e-12, total, torch.inf).reciprocal_()
        del total
        if domain.forward.diagonal:
            seen = domain.forward.spectrum_of_adjoint(self.wanted)
            tensors = [each for each in (seen, pull, inverse) if torch.is_tensor(each)]
            if is_tracked(*tensors):
                return (pull + _PENALTY * seen) * inverse
            return seen.mul_(_PENALTY).add_(pull).mul_(inverse)  # large images have no room for more buffers
        missing = pull + _PENALTY * domain.forward.spectrum_of_adjoint(self.wanted - self.seen) - power * self.spectrum
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
        seen = forward.combine(moved.square()).sum(forward.axes, keepdim=True)
        curvature = _PENALTY * math.prod(forward.shape) * seen
        curvature = (curvature + forward.dot(step, power * step)).clamp_min(torch.finfo(moved.dtype).tiny)
        length = forward.dot(step, missing) / curvature
        self.spectrum, self.seen = self.spectrum + length * step, self.seen + length * moved
        return self.spectrum

    def update(self, spectrum: Tensor, latent: Tensor) -> None:
        """Minimise over u and v, and update the multipliers, given x and its spectrum."""
        domain = self.domain
        seen = domain.forward.blur_of_spectrum(spectrum) if domain.forward.diagonal else self.seen
        quick = compiled_data(domain, seen, self.blurred, self.wanted, self.share)
        if quick is not None:
            quick(relaxation=RELAXATION, penalty=_PENALTY)
        else:
            # u + relaxation * (seen - u) - multipliers, and the mirror image of that in the new u.
            wanted = torch.lerp(self.blurred, seen, RELAXATION) + (self.blurred - self.wanted)
            self.blurred = self.share * torch.add(domain.target(wanted), wanted, alpha=_PENALTY)
            self.wanted = 2 * self.blurred - wanted
        if domain.inside is not None:
            wanted = torch.lerp(self.allowed, latent, RELAXATION) - self.allowed_dual
            self.allowed = domain.project(wanted)
            self.allowed_dual = self.allowed - wanted
