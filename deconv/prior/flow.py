"""A normalizing flow as the density of patches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..flows import Sequential
from ..nn import InverseConv2d
from .conjugate import Conjugate, NoiseCoupling
from .mixture import GaussianMixturePrior
from .patch_prior import PatchPrior

__all__ = ["FlowPrior"]

_CORNERS = ("tl", "br", "tr", "bl")

# The 63 coefficients of a patch of 8 x 8 pixels, as seven channels of 3 x 3.
_SIZE, _CHANNELS, _SIDE = 8, 7, 3

# Bumps by which the networks know the noise, an octave apart.
_LEVELS = 8


class FlowPrior(PatchPrior):
    r"""Patches whose density is a mixture of Gaussians, bent by a flow of inverse convolutions.

    .. math:: \log p_\sigma(v) = \log q_\sigma(\sigma f_\sigma(v / \sigma)) + \log|\det f_\sigma'|, \qquad
        f_\sigma = f_K \circ \dots \circ f_1, \quad f_k = A_k \circ g_k \circ A_k^{-1}

    q is a mixture, exact for every noise level; :math:`A_k^{-1}` is the exact inverse of a causal convolution of the
    coefficients, seven neighbouring frequencies to the channels and nine bands to the 3 x 3 pixels; :math:`g_k` is a
    coupling whose network knows the noise. Before training f is the identity: the flow learns what the mixture misses.

    Parameters
    ----------
    base: q.
    steps, kernel_size, width: K, the size of A, the hidden units of g.
    sigma_min, sigma_max: the noise levels that it is trained for.
    """

    def __init__(
        self,
        base: GaussianMixturePrior,
        *,
        steps: int = 6,
        kernel_size: int = 3,
        width: int = 160,
        sigma_min: float = 0.003,
        sigma_max: float = 0.3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(_SIZE, sigma_min, sigma_max)
        self.config: dict[str, Any] = {
            "steps": steps,
            "kernel_size": kernel_size,
            "width": width,
            "sigma_min": sigma_min,
            "sigma_max": sigma_max,
        }
        self.base = base
        centres = torch.linspace(math.log(sigma_min), math.log(sigma_max), _LEVELS)
        self.register_buffer("centres", centres, persistent=False)
        self.flow = Sequential(
            *(
                Conjugate(
                    InverseConv2d(
                        _CHANNELS,
                        kernel_size,
                        corner=_CORNERS[k % 4],
                        anchor="plu",
                        check_finite=False,
                        generator=generator,
                    ),
                    NoiseCoupling(_SIZE**2 - 1, width, _LEVELS, swap=k % 2 == 1),
                )
                for k in range(steps)
            )
        )

    def patch_log_prob(self, coefficients: Tensor, sigma: Tensor | float) -> Tensor:
        """See `PatchPrior`; sigma may also be `(G,)`, one for each of G equal parts of the patches."""
        levels = torch.as_tensor(sigma, dtype=coefficients.dtype, device=coefficients.device).reshape(-1)
        each = len(coefficients) // len(levels)
        context, scale = self._features(levels), levels.unsqueeze(1)
        if len(levels) > 1:
            context, scale = context.repeat_interleave(each, 0), scale.repeat_interleave(each, 0)
        bent, ladj = self.flow(_as_image(coefficients / scale), context)
        bent = _as_vector(bent) * scale
        base = [self.base.patch_log_prob(v, level) for v, level in zip(bent.split(each), levels.tolist(), strict=True)]
        return torch.cat(base) + ladj

    def sample(self, count: int, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Noisy patches drawn from the density, coefficients `(count, 63)`: plain convolutions and no solve in
        the linear parts' way back."""
        levels = torch.tensor([sigma])
        scale = levels.unsqueeze(1)
        drawn = self.base.sample(count, sigma, generator=generator)
        return _as_vector(self.flow.inverse(_as_image(drawn / scale), self._features(levels))[0]) * scale

    def _features(self, levels: Tensor) -> Tensor:
        width = self.centres[1] - self.centres[0]
        return torch.exp(-0.5 * ((levels.log()[:, None] - self.centres) / width).square())


def _as_image(v: Tensor) -> Tensor:
    return v.view(-1, _SIDE, _SIDE, _CHANNELS).permute(0, 3, 1, 2).contiguous()


def _as_vector(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1).flatten(1)
