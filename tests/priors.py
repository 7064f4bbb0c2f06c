"""Priors of patches that the tests of several files are about: small ones made here, and those that are shipped."""

from __future__ import annotations

import torch

from deconv.prior import FlowPrior, GaussianMixturePrior, load_prior


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def covariances(components: int = 3, dimensions: int = 63) -> torch.Tensor:
    """From nearly flat to strong, of falling spectrum."""
    axes = torch.linalg.qr(random(components, dimensions, dimensions)).Q
    values = 0.3 * torch.exp(-0.15 * torch.arange(dimensions, dtype=torch.float64))
    scales = torch.logspace(-3, 0, components, dtype=torch.float64)
    return axes * (scales[:, None, None] * values) @ axes.mT


def mixture() -> GaussianMixturePrior:
    return GaussianMixturePrior.from_covariances(torch.tensor([0.5, 0.3, 0.2]), covariances()).double()


def bent_flow(amount: float = 0.05) -> FlowPrior:
    """A flow that is far from the identity."""
    flow = FlowPrior(mixture(), steps=3, width=6, depth=1, gates=3, generator=generator()).double()
    for i, parameter in enumerate(flow.parameters()):
        parameter.data += amount * random(*parameter.shape, seed=i)
    return flow.eval().requires_grad_(False)


def photograph(height: int = 40, width: int = 33) -> torch.Tensor:
    from skimage import data

    return torch.from_numpy(data.camera()[120 : 120 + height, 220 : 220 + width] / 255)[None, None]


PRIORS = {
    "mixture": mixture,
    "flow": bent_flow,
    "gmm": lambda: load_prior("gmm").double(),
    "shipped flow": lambda: load_prior("flow").double(),
}
