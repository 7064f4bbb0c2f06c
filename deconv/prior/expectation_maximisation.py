"""Fitting a mixture of Gaussians to patches, a minibatch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .mixture import GaussianMixturePrior

__all__ = ["fit_mixture"]

_PSEUDOCOUNT = 1e-5  # share of the batch that no component loses
_FLOOR = 1e-8  # of a variance


def fit_mixture(
    batches: Iterator[Tensor],
    *,
    components: int,
    sigma: float,
    steps: int = 300,
    generator: torch.Generator | None = None,
) -> GaussianMixturePrior:
    r"""Fit a mixture by stochastic expectation maximisation.

    Each patch is assigned to one component, drawn by how probable it is, and the moments of the components are
    averaged over the batches with weights :math:`(t + 1)^{-0.7}`, which forget the first, poor, ones.

    Parameters
    ----------
    batches : iterator of Tensor
        Coefficients of noisy patches `(N, D)`, N well above `components`.
    components : int
        Gaussians in the mixture.
    sigma : float
        Standard deviation of the noise in the patches, which is taken out of the covariances.
    steps : int
        Batches used.
    generator : torch.Generator, optional
        Source of the draws; the global one by default.

    Returns
    -------
    GaussianMixturePrior
        The mixture, of patches without noise.

    References
    ----------
    Celeux and Diebolt, "The SEM algorithm", Computational Statistics Quarterly 1985. Cappé and Moulines, "On-line
    expectation-maximization algorithm for latent data models", JRSS B 2009.
    """
    first = next(batches)
    shares = torch.full((components,), 1 / components)
    moments = shares[:, None, None] * _neighbourhoods(first, components, generator)
    for step in range(steps):
        batch = next(batches)
        chosen = torch.multinomial(_joint(batch, shares, moments).softmax(1), 1, generator=generator).squeeze(1)
        rate = (step + 1) ** -0.7 if step else 0.5
        for k in range(components):
            own = batch[chosen == k]
            shares[k] += rate * (len(own) / len(batch) - shares[k])
            moments[k] += rate * (own.T @ own / len(batch) - moments[k])
    noise = sigma**2 * torch.eye(first.shape[1])
    return GaussianMixturePrior.from_covariances(shares, _covariances(shares, moments) - noise)


def _covariances(shares: Tensor, moments: Tensor) -> Tensor:
    identity = torch.eye(moments.shape[-1])
    pooled = moments.sum(0)
    return (moments + _PSEUDOCOUNT * pooled) / (shares[:, None, None] + _PSEUDOCOUNT) + _FLOOR * identity


def _joint(batch: Tensor, shares: Tensor, moments: Tensor) -> Tensor:
    """Log-density of patch and component up to a constant, `(N, K)`."""
    factor = torch.linalg.cholesky(_covariances(shares, moments))
    inverse = torch.linalg.solve_triangular(factor, torch.eye(batch.shape[1]), upper=False)
    volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    exponents = [(batch @ row.T).square().sum(1) / 2 for row in inverse]
    return (shares + 1e-12).log() - volume - torch.stack(exponents, 1)


def _neighbourhoods(batch: Tensor, components: int, generator: torch.Generator | None) -> Tensor:
    """Covariances of the patches most like, in direction and size, some that are drawn: distinct starts."""
    size = batch.norm(dim=1)
    drawn = torch.randperm(len(batch), generator=generator)[:components]
    likeness = (batch[drawn] @ batch.T).abs() / (size[drawn, None] * size)
    likeness = likeness - 0.3 * (size[drawn, None].log() - size.log()).abs()
    near = likeness.topk(max(batch.shape[1], len(batch) // components), dim=1).indices
    pooled = batch.T @ batch / len(batch)
    return torch.stack([batch[i].T @ batch[i] / len(i) + 0.01 * pooled for i in near])
