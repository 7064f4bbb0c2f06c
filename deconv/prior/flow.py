"""A normalizing flow as the density of images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..imaging.boundary import crop, extend
from . import haar
from .coupling import DetailStep
from .image_prior import ImagePrior, grid_offset
from .mixture import GaussianMixturePrior
from .patches import cosine_basis

__all__ = ["FlowPrior"]

# Bumps by which the networks know the noise.
_LEVELS = 8

# A large image is denoised in squares of so many pixels a side, with so many around: what is farther away has no say
# that matters.
_TILE, _AROUND = 256, 24


class FlowPrior(ImagePrior):
    r"""Images whose blocks are a mixture of Gaussians, once a flow of inverse convolutions has bent them.

    .. math:: \log p_\sigma(x) = \sum_i \log q_\sigma(P_i f_\sigma(x)) + \log|\det f_\sigma'|

    The blocks P of 8 x 8 pixels cover the image once, and q, exact at every level of noise, is a mixture of their
    coefficients without the mean. The flow f works on the whole image. The Haar transform splits it, three times, into
    a low band, which stays as it is, and details, which `DetailStep` bends given the low band and their neighbours on
    all sides: what a block takes from those around it, q alone cannot know. Before training f is the identity.

    Parameters
    ----------
    base: q.
    steps, kernel_size, width, depth, gates: at each scale; see `DetailStep`.
    sigma_min, sigma_max: the noise levels that it is trained for.
    """

    spacing = 8

    def __init__(
        self,
        base: GaussianMixturePrior,
        *,
        steps: int = 4,
        kernel_size: int = 3,
        width: int = 32,
        depth: int = 3,
        gates: int = 8,
        sigma_min: float = 0.004,
        sigma_max: float = 0.25,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(base.size, sigma_min, sigma_max)
        own = {"kernel_size": kernel_size, "width": width, "depth": depth, "gates": gates}
        self.config: dict[str, Any] = {"steps": steps, **own, "sigma_min": sigma_min, "sigma_max": sigma_max}
        self.base = base
        centres = torch.linspace(math.log(sigma_min), math.log(sigma_max), _LEVELS)
        self.register_buffer("centres", centres, persistent=False)
        self.scales = nn.ModuleList(
            nn.ModuleList(DetailStep(k, **own, features=_LEVELS, generator=generator) for k in range(steps))
            for _ in range(round(math.log2(self.size)))
        )

    def bend(self, image: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """f: images `(B, 1, H, W)` in units of their noise to the like without the means of their blocks, and ladj
        `(B,)`. sigma: of each image, `(B,)` or `(1,)`."""
        noise = self._features(sigma)
        # Brightness does not matter; without it, rounding does not either.
        low = image - image.detach().mean((2, 3), keepdim=True)
        ladj, bent = image.new_zeros(len(image)), []
        for steps in self.scales:
            low, details = haar.analyse(low)
            for step in steps:
                details, change = step(details, low, noise)
                ladj = ladj + change
            bent.append(details)
        return self._together(torch.zeros_like(low), bent), ladj

    def unbend(self, bent: Tensor, means: Tensor, sigma: Tensor) -> Tensor:
        """The inverse of f, given the means of the blocks in units of the noise, `(B, 1, H / 8, W / 8)`."""
        noise = self._features(sigma)
        pyramid = []
        for _ in self.scales:
            bent, details = haar.analyse(bent)
            pyramid.append(details)
        low = self.size * means
        for steps, details in zip(reversed(self.scales), reversed(pyramid), strict=True):
            for step in reversed(steps):
                details, _ = step.inverse(details, low, noise)
            low = haar.synthesise(low, details)
        return low

    def block_log_prob(self, image: Tensor, sigma: Tensor | float) -> Tensor:
        """Log-density of what is in the blocks of `(B, 1, H, W)`, given their means, in nats, `(B,)`.

        H and W are multiples of the side of a block. sigma: of the noise, for all images or `(B,)`.
        """
        levels = torch.as_tensor(sigma, dtype=image.dtype, device=image.device).reshape(-1)
        unit = levels.view(-1, 1, 1, 1)
        bent, ladj = self.bend(image / unit, levels)
        blocks = pixel_unshuffle(bent * unit, self.size).movedim(1, -1).flatten(1, 2) @ self._basis(image).T
        parts = blocks.split(len(image) // len(levels))
        base = [
            self.base.patch_log_prob(part.flatten(0, 1), level).view(len(part), -1).sum(1)
            for part, level in zip(parts, levels.tolist(), strict=True)
        ]
        return torch.cat(base) + ladj

    def block_score(self, image: Tensor, sigma: Tensor | float) -> Tensor:
        """Gradient of `block_log_prob`, of the image's shape; itself differentiable where gradients are recorded."""
        return self.block_log_prob_and_score(image, sigma)[1]

    def block_log_prob_and_score(self, image: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        """Both, for the price of the latter."""
        further = torch.is_grad_enabled() and (self.training or image.requires_grad)
        with torch.enable_grad():
            x = image if image.requires_grad else image.detach().requires_grad_()
            log_prob = self.block_log_prob(x, sigma)
            (score,) = torch.autograd.grad(log_prob.sum(), x, create_graph=further)
        return log_prob, score

    def log_prob(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        planes, parts = self._cut(image, stride, generator)
        level = self.nearest_level(sigma)
        total = sum(share * self.block_log_prob(planes[part], level) for part, share in parts)
        return total.view(image.shape[:2]).sum(1).to(image.dtype)

    def score(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        planes, parts = self._cut(image, stride, generator)
        level = self.nearest_level(sigma)
        total = torch.zeros_like(planes)
        for part, share in parts:
            total[part] += share * self.block_score(planes[part], level)
        return total.view_as(image).to(image.dtype)

    def tweedie(self, image: Tensor, sigma: float, *, stride: int, generator: torch.Generator | None = None) -> Tensor:
        level = self.nearest_level(sigma)
        planes = image.flatten(0, 1).unsqueeze(1).to(self._dtype)
        total, count = torch.zeros_like(planes), 0
        for offset in self._offsets(stride, generator):
            margins = [
                (self.size + o, self.size + (-n - o) % self.size) for n, o in zip(image.shape[-2:], offset, strict=True)
            ]
            total += crop(self._tiled_score(extend(planes, margins, method="reflect"), level), margins)
            count += 1
        return (planes + min(sigma, level) ** 2 * total / count).view_as(image).to(image.dtype)

    def sample(self, count: int, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Noisy blocks of mean zero drawn from the density, coefficients `(count, 63)` of `cosine_basis`."""
        means = torch.zeros(count, 1, 1, 1, dtype=self._dtype)
        blocks = self.sample_details(means, sigma, generator=generator)
        return blocks.flatten(1) @ self._basis(blocks).T

    def sample_details(self, means: Tensor, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Noisy images drawn given the means of their blocks, `(B, 1, h, w)` to `(B, 1, 8 h, 8 w)`: plain convolutions
        and no solve in the linear parts' way back."""
        drawn = self.base.sample(means.numel(), sigma, generator=generator).to(means) @ self._basis(means)
        bent = pixel_shuffle(drawn.view(len(means), *means.shape[2:], -1).movedim(-1, 1), self.size)
        levels = torch.tensor([sigma]).to(means)
        return self.unbend(bent / sigma, means / sigma, levels) * sigma

    def _tiled_score(self, planes: Tensor, sigma: float) -> Tensor:
        """`block_score` of large planes, square by square."""
        score = torch.empty_like(planes)
        for rows, columns in itertools.product(*(_tiles(n, self.size) for n in planes.shape[2:])):
            kept = (slice(None), slice(None), rows[1], columns[1])
            seen = planes[:, :, rows[0], columns[0]]
            together = max(1, _TILE**2 // seen[0].numel())
            part = torch.cat([self.block_score(some, sigma) for some in seen.split(together)])
            own = [slice(k.start - s.start, k.stop - s.start) for s, k in (rows, columns)]
            score[kept] = part[:, :, own[0], own[1]]
        return score

    def _together(self, low: Tensor, pyramid: list[Tensor]) -> Tensor:
        for details in reversed(pyramid):
            low = haar.synthesise(low, details)
        return low

    def _cut(self, image: Tensor, stride: int, generator: torch.Generator | None) -> tuple[Tensor, list]:
        """The image's planes, and where the blocks of each grid are in them, with what a pixel there counts for."""
        if image.ndim != 4 or min(image.shape[-2:]) < self.size:
            raise ValueError(f"image: expected (B, C, H, W) of {self.size} or more pixels, given {tuple(image.shape)}")
        planes = image.flatten(0, 1).unsqueeze(1).to(self._dtype)
        parts = []
        for offset in self._offsets(stride, generator):
            window, share = [slice(None), slice(None)], 1.0
            for n, o in zip(image.shape[-2:], offset, strict=True):
                first = o % (n - self.size + 1)
                length = (n - first) // self.size * self.size
                window.append(slice(first, first + length))
                share *= n / length
            parts.append((tuple(window), share))
        return planes, [(window, share / len(parts)) for window, share in parts]

    def _offsets(self, stride: int, generator: torch.Generator | None) -> Iterator[tuple[int, int]]:
        """Where grids of blocks start, at every `stride`-th row and column of a block."""
        if not 1 <= stride <= self.size:
            raise ValueError(f"stride: expected 1 to {self.size}, the side of a block, given {stride}")
        top, left = grid_offset(stride, generator)
        return itertools.product(range(top, self.size, stride), range(left, self.size, stride))

    def _basis(self, like: Tensor) -> Tensor:
        return cosine_basis(self.size).to(like)

    def _features(self, levels: Tensor) -> Tensor:
        width = self.centres[1] - self.centres[0]
        return torch.exp(-0.5 * ((levels.log()[:, None] - self.centres) / width).square())


def _tiles(length: int, size: int) -> Iterator[tuple[slice, slice]]:
    """An axis in equal parts of whole blocks: what is looked at, and what is kept of it."""
    blocks = length // size
    parts = -(-length // _TILE)
    for k in range(parts):
        first, stop = (size * (blocks * i // parts) for i in (k, k + 1))
        yield slice(max(first - _AROUND, 0), min(stop + _AROUND, length)), slice(first, stop)
