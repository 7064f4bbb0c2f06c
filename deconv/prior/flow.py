"""A normalizing flow as the density of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..imaging.boundary import crop, extend
from ..ops.tracking import is_transformed
from . import compiled, haar
from .detail_step import DetailStep
from .flow_config import check_config, scales
from .image_prior import ImagePrior
from .mixture import GaussianMixturePrior
from .patches import cosine_basis
from .score import log_prob_and_score
from .tilings import evaluate_by_parts, tiling_margins, tiling_windows

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FlowPrior"]

# Gaussian bumps over the logarithm of the noise, by which the networks know it.
_BUMPS = 8
_BASE = "base."


class FlowPrior(ImagePrior):
    r"""Images whose blocks are a mixture of Gaussians once a flow of inverse convolutions has transformed them.

    .. math:: \log p_\sigma(x) = \sum_i \log q_\sigma(P_i f_\sigma(x)) + \log|\det f_\sigma'|

    The blocks P of 8 x 8 pixels cover the image once, and q, exact at every level of noise, is a mixture of their
    coefficients without the mean. The flow f works on the whole image. The Haar transform splits it, three times, into
    a low band, which stays as it is, and details, which `DetailStep` transforms given the low band and their neighbours
    on all sides: what a block takes from those around it, q alone cannot know. Before training f is the identity.

    Parameters
    ----------
    base : GaussianMixturePrior
        q.
    steps, kernel_size, width, depth, gates : int
        At each scale; see `DetailStep`.
    sigma_min, sigma_max : float
        The noise levels that it is trained for.
    generator : torch.Generator, optional
        Source of the initial values; the global one by default.

    Raises
    ------
    ValueError
        Numbers that make no flow.
    """

    kind = "flow"
    spacing = 8
    spread, refined_spread = 1.35, 1.1

    centres: Tensor

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
        if base.size != 2 ** scales(base.size):
            raise ValueError(f"base: expected blocks of 2, 4, 8, ... pixels a side, given {base.size}")
        own = {"kernel_size": kernel_size, "width": width, "depth": depth, "gates": gates}
        self._numbers = {"steps": steps, **own}
        for name, value in self._numbers.items():
            least = 0 if name == "depth" else 1
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: expected a whole number from {least} on, given {value!r}")
        self.base = base
        centres = torch.linspace(math.log(sigma_min), math.log(sigma_max), _BUMPS)
        self.register_buffer("centres", centres, persistent=False)
        with nullcontext() if generator is None else torch.random.fork_rng(devices=[]):
            if generator is not None:  # torch's own layers draw from the global one only
                torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            self.scales = nn.ModuleList(
                nn.ModuleList(DetailStep(k, **own, features=_BUMPS) for k in range(steps))
                for _ in range(scales(self.size))
            )

    @property
    def config(self) -> dict[str, Any]:
        return {**self._numbers, **super().config}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Self:
        its = {name.removeprefix(_BASE): t for name, t in tensors.items() if name.startswith(_BASE)}
        base = GaussianMixturePrior.from_tensors(its, {})
        check_config(config, sum(t.numel() for t in tensors.values()), size=base.size)
        prior = cls(base, **config)
        own = {name: t for name, t in tensors.items() if not name.startswith(_BASE)}
        prior.load_state_dict({**own, **base.state_dict(prefix=_BASE)})
        return prior.eval().requires_grad_(False)

    def transform(self, image: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Apply f.

        Parameters
        ----------
        image : Tensor
            `(B, 1, H, W)`, in units of the noise.
        sigma : Tensor
            Noise of each image, `(B,)` or `(1,)`.

        Returns
        -------
        transformed : Tensor
            `(B, 1, H, W)`, without the means of its blocks.
        ladj : Tensor
            Logarithm of the determinant of the Jacobian, `(B,)`.
        """
        noise, kernels = self._features(sigma), compiled.networks_are_compiled(self, image, sigma)
        # Brightness does not matter, nor does rounding without it.
        low = image - image.detach().mean((2, 3), keepdim=True)
        ladj, pyramid = image.new_zeros(len(image)), []
        for steps in self._steps:
            low, details = haar.analyse(low)
            for step in steps:
                details, change = step(details, low, noise, compiled=kernels)
                ladj = ladj + change
            pyramid.append(details)
        transformed = torch.zeros_like(low)
        for details in reversed(pyramid):
            transformed = haar.synthesise(transformed, details)
        return transformed, ladj

    def inverse_transform(self, transformed: Tensor, means: Tensor, sigma: Tensor) -> Tensor:
        """Apply the inverse of f.

        Parameters
        ----------
        transformed : Tensor
            `(B, 1, H, W)`.
        means : Tensor
            Of the blocks of the image, in units of the noise, `(B, 1, H / 8, W / 8)`.
        sigma : Tensor
            Noise of each image, `(B,)` or `(1,)`.

        Returns
        -------
        Tensor
            The image, `(B, 1, H, W)`, in units of the noise.
        """
        noise, kernels = self._features(sigma), compiled.networks_are_compiled(self, transformed, sigma)
        pyramid = []
        for _ in self._steps:
            transformed, details = haar.analyse(transformed)
            pyramid.append(details)
        low = self.size * means
        for steps, details in zip(reversed(self._steps), reversed(pyramid), strict=True):
            for step in reversed(steps):
                details, _ = step.inverse(details, low, noise, compiled=kernels)
            low = haar.synthesise(low, details)
        return low

    def block_log_prob(self, image: Tensor, sigma: Tensor | float) -> Tensor:
        """Log-density of what is in the blocks, given their means.

        Parameters
        ----------
        image : Tensor
            `(B, 1, H, W)`, H and W multiples of the side of a block.
        sigma : float or Tensor
            Of the noise, for all images or `(B,)`.

        Returns
        -------
        Tensor
            Nats, `(B,)`.
        """
        blocks, levels, ladj = self._coefficients(image, sigma)
        parts = blocks.split(len(image) // len(levels))
        base = [
            self.base.patch_log_prob(part.flatten(0, 1), level).view(len(part), -1).sum(1)
            for part, level in zip(parts, levels.tolist(), strict=True)
        ]
        return torch.cat(base) + ladj

    def _coefficients(self, image: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """What f makes of the blocks, `(B, blocks, 63)` in the cosine basis, the levels of noise, and the ladj."""
        levels = torch.as_tensor(sigma, dtype=image.dtype, device=image.device).reshape(-1)
        unit = levels.view(-1, 1, 1, 1)
        transformed, ladj = self.transform(image / unit, levels)
        blocks = pixel_unshuffle(transformed * unit, self.size).movedim(1, -1).flatten(1, 2)
        return blocks @ cosine_basis(self.size).to(image).T, levels, ladj

    def block_score(self, image: Tensor, sigma: Tensor | float) -> Tensor:
        """Gradient of `block_log_prob`, of the image's shape; itself differentiable where gradients are recorded."""
        return self.block_log_prob_and_score(image, sigma)[1]

    def block_log_prob_and_score(self, image: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
        """Both, for the price of the latter."""
        return log_prob_and_score(lambda x: self.block_log_prob(x, sigma), image, training=self.training)

    def log_prob(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        planes, level = self._planes(image).unsqueeze(1), self.nearest_level(sigma)
        total = torch.zeros_like(planes[:, 0, 0, 0])
        for (rows, columns), share in tiling_windows(self.size, stride, image.shape[-2:], generator):
            total = total + share * self.block_log_prob(planes[..., rows, columns], level)
        return total.view(image.shape[:2]).sum(1).to(image.dtype)

    def score(
        self,
        image: Tensor,
        sigma: float | None = None,
        *,
        stride: int = 8,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        planes, level = self._planes(image).unsqueeze(1), self.nearest_level(sigma)
        total = torch.zeros_like(planes)
        for (rows, columns), share in tiling_windows(self.size, stride, image.shape[-2:], generator):
            total[..., rows, columns] += share * self.block_score(planes[..., rows, columns], level)
        return total.view_as(image).to(image.dtype)

    def tweedie(self, image: Tensor, sigma: float, *, stride: int, generator: torch.Generator | None = None) -> Tensor:
        level = self.nearest_level(sigma)
        planes = image.flatten(0, 1).unsqueeze(1).to(self._dtype)
        tilings, total = list(tiling_margins(self.size, stride, image.shape[-2:], generator)), torch.zeros_like(planes)
        for margins in tilings:
            wide = extend(planes, margins, method="reflect")
            total += crop(evaluate_by_parts(lambda x: self._denoising_score(x, level), wide, self.size), margins)
        return (planes + min(sigma, level) ** 2 * total / len(tilings)).view_as(image).to(image.dtype)

    def _denoising_score(self, image: Tensor, level: float) -> Tensor:
        r"""`block_score`, :math:`f'^T \nabla \log q + \nabla \log |\det f'|`, by the components of q that count."""
        if is_transformed() or (torch.is_grad_enabled() and (self.training or image.requires_grad)):
            return self.block_score(image, level)
        with torch.enable_grad():
            x = image.detach().requires_grad_()
            blocks, _, ladj = self._coefficients(x, level)
            clean = self.base.patch_denoise(blocks.detach().flatten(0, 1), level).view_as(blocks)
            # Of a sum: given gradients of several outputs, torch imports symbolic algebra first, for a second.
            total = (blocks * (clean - blocks.detach())).sum() / level**2 + ladj.sum()
        return torch.autograd.grad(total, x)[0]

    def sample(self, count: int, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw noisy blocks of mean zero.

        Parameters
        ----------
        count : int
            How many.
        sigma : float
            Standard deviation of the noise in them.
        generator : torch.Generator, optional
            Source of the randomness.

        Returns
        -------
        Tensor
            Coefficients of `cosine_basis`, `(count, 63)`.
        """
        blocks = self.sample_details(torch.zeros(count, 1, 1, 1, dtype=self._dtype), sigma, generator=generator)
        return blocks.flatten(1) @ cosine_basis(self.size).to(blocks).T

    def sample_details(self, means: Tensor, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Noisy images drawn given the means of their blocks, `(B, 1, h, w)` to `(B, 1, 8 h, 8 w)`; see `sample`."""
        drawn = self.base.sample(means.numel(), sigma, generator=generator).to(means)
        blocks = (drawn @ cosine_basis(self.size).to(means)).view(len(means), *means.shape[2:], -1).movedim(-1, 1)
        unit = torch.tensor([sigma]).to(means)
        return self.inverse_transform(pixel_shuffle(blocks, self.size) / sigma, means / sigma, unit) * sigma

    @property
    def _steps(self) -> list[list[DetailStep]]:  # of each scale, from the finest on
        return [[cast(DetailStep, step) for step in cast(nn.ModuleList, scale)] for scale in self.scales]

    def _features(self, levels: Tensor) -> Tensor:
        width = self.centres[1] - self.centres[0]
        return torch.exp(-0.5 * ((levels.log()[:, None] - self.centres) / width).square())
