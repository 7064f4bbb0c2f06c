"""A mixture of Gaussians as the density of patches: small, and exact in everything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import Function

from ..ops.tracking import is_tracked, is_transformed
from .patch_prior import PatchPrior

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["GaussianMixturePrior"]

# Eigenvalues below this part of the noise's variance change a log-density by less than what float32 does.
_NEGLIGIBLE = 1e-3

# Components evaluated together, by falling rank.
_TOGETHER = 25

# Patches whose products of coefficients are formed together: as many as a processor's caches hold.
_PATCHES = 512

# A component less probable than this contributes nothing to the mean.
_IMPROBABLE = 1e-5

# And one less probable than this so little to a denoised patch, 0.004 of the noise, that the time is better saved.
_FAINT = 1e-3

# How far from orthonormal eigenvectors may be: what half precision leaves of them, and more.
_SKEW = 0.05


class GaussianMixturePrior(PatchPrior):
    r"""Patches from K Gaussians of mean zero, with noise.

    .. math:: p_\sigma(v) = \sum_k \pi_k \, \mathcal N(v; 0, \Sigma_k + \sigma^2 I)

    It is exact for every noise level; and the mean of the clean patches behind a noisy one is one Wiener filter a
    component, :math:`\sum_k r_k(v) \, \Sigma_k (\Sigma_k + \sigma^2 I)^{-1} v`, weighted by how probable the component
    is.

    Parameters
    ----------
    weights : Tensor
        :math:`\pi_k`, `(K,)`, positive; they are divided by their sum.
    values, vectors : Tensor
        Eigenvalues `(K, D)`, not negative, and eigenvectors `(K, D, D)`, in columns, of :math:`\Sigma_k`, D being
        :math:`n^2 - 1` for patches of n x n pixels. The vectors need little precision: they are made orthonormal.
    sigma_min, sigma_max : float
        Noise levels that are used as they are.

    Raises
    ------
    ValueError
        Anything that is no mixture of Gaussians.

    References
    ----------
    Zoran and Weiss, "From learning models of natural image patches to whole image restoration", ICCV 2011.
    """

    kind = "gmm"
    spread, refined_spread = 1.6, 1.14

    weights: Tensor
    values: Tensor
    vectors: Tensor

    def __init__(
        self,
        weights: Tensor,
        values: Tensor,
        vectors: Tensor,
        *,
        sigma_min: float = 0.002,
        sigma_max: float = 1.0,
    ) -> None:
        _check(weights, values, vectors)
        super().__init__(math.isqrt(values.shape[-1] + 1), sigma_min, sigma_max)
        # Components of like rank stand together: what is negligible can then be left out of them all.
        values, rank = values.double().sort(dim=-1, descending=True)
        order = torch.argsort(values.clamp_min(1e-6).log().sum(-1), descending=True)
        vectors = torch.linalg.qr(vectors.double()).Q.gather(2, rank.unsqueeze(1).expand_as(vectors))
        self.register_buffer("weights", (weights / weights.sum())[order].float())
        self.register_buffer("values", values[order].float())
        self.register_buffer("vectors", vectors[order].float())
        self.eval()  # nothing in it is trained, but what is around it may be

    @classmethod
    def from_covariances(cls, weights: Tensor, covariances: Tensor, **levels: float) -> Self:
        r"""The mixture of these covariances.

        Parameters
        ----------
        weights : Tensor
            `(K,)`, positive.
        covariances : Tensor
            :math:`\Sigma_k`, `(K, D, D)`, symmetric; negative eigenvalues, as rounding leaves them, become zero.
        **levels : float
            `sigma_min` and `sigma_max`.

        Returns
        -------
        GaussianMixturePrior
            The mixture.
        """
        values, vectors = torch.linalg.eigh(covariances.detach().double())
        return cls(weights, values.clamp_min(0), vectors, **levels)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Self:
        if extra := tensors.keys() - {"weights", "values", "vectors"}:
            raise ValueError(f"a mixture has no {', '.join(sorted(extra))}")
        return cls(tensors["weights"], tensors["values"], tensors["vectors"], **config)

    def patch_log_prob(self, coefficients: Tensor, sigma: float) -> Tensor:
        # Training differentiates twice: a few large products then cost less than many small ones.
        if self.training or is_transformed():
            return self.joint(coefficients, float(sigma)).logsumexp(1)
        return _LogProb.apply(coefficients, self, float(sigma))

    def patch_score(self, coefficients: Tensor, sigma: float) -> Tensor:
        clean = self.wiener_mean(coefficients, self.joint(coefficients, sigma).softmax(1), sigma)
        return (clean - coefficients) / sigma**2

    def patch_denoise(self, coefficients: Tensor, sigma: float) -> Tensor:
        level = self.nearest_level(sigma)
        if is_tracked(coefficients):
            return self.wiener_mean(coefficients, self.joint(coefficients, level).softmax(1), sigma)
        shares = self._joint_by_products(coefficients, level).softmax(1)
        shares = torch.where(shares > _FAINT, shares, 0)
        return self.wiener_mean(coefficients, shares / shares.sum(1, keepdim=True), sigma)

    def sample(self, count: int, sigma: float, *, generator: torch.Generator | None = None) -> Tensor:
        """Draw noisy patches.

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
            Coefficients of `cosine_basis`, `(count, D)`.
        """
        k = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        normal = torch.randn(count, self.values.shape[1], generator=generator)
        scaled = (self.values[k] + sigma**2).sqrt() * normal
        return (self.vectors[k] @ scaled.unsqueeze(2)).squeeze(2)

    def joint(self, v: Tensor, sigma: float) -> Tensor:
        r"""Log-density of patch and component, `(N, K)`.

        With the eigenvalues l and the projections c on the eigenvectors, the exponent is
        :math:`|v|^2/\sigma^2 - \sum_i (1/\sigma^2 - 1/(l_i + \sigma^2)) c_i^2`: eigenvalues far below the noise drop
        out.
        """
        noise = sigma**2
        values, vectors, weights = (t.to(v) for t in (self.values, self.vectors, self.weights))
        volume = (values + noise).log().sum(1) + v.shape[1] * math.log(2 * math.pi)
        constant = weights.log() - 0.5 * volume
        outside = v.square().sum(1, keepdim=True) / noise
        joint = []
        for some, axes in zip(values.split(_TOGETHER), vectors.split(_TOGETHER), strict=True):
            rank = int((some > _NEGLIGIBLE * noise).sum(1).max())
            gain = (1 / noise - 1 / (some[:, :rank] + noise)).sqrt()
            matrix = (axes[..., :rank] * gain.unsqueeze(1)).transpose(0, 1).flatten(1)
            inside = (v @ matrix).unflatten(1, (len(some), rank))
            joint.append(inside.square().sum(2))
        return constant - 0.5 * (outside - torch.cat(joint, 1))

    def _joint_by_products(self, v: Tensor, sigma: float) -> Tensor:
        r"""`joint` to a tenth of a nat, in a third of the time or less: one product of matrices for all components.

        The exponent is linear in the products :math:`v_i v_j`, :math:`i \le j`, of which there are fewer than
        projections on the eigenvectors of all components.
        """
        noise = sigma**2
        values, vectors, weights = (t.to(v) for t in (self.values, self.vectors, self.weights))
        constant = weights.log() - 0.5 * ((values + noise).log().sum(1) + v.shape[1] * math.log(2 * math.pi))
        inverse = (vectors / (values + noise).unsqueeze(1)) @ vectors.mT
        rows, columns = torch.triu_indices(v.shape[1], v.shape[1], device=v.device)
        # Half of what is on the diagonal, since the exponent is half of the sum over all i and j.
        forms = (inverse[:, rows, columns] * torch.where(rows == columns, 0.5, 1.0).to(v)).mT.contiguous()
        products = (some.index_select(1, rows) * some.index_select(1, columns) for some in v.split(_PATCHES))
        return constant - torch.cat([some @ forms for some in products])

    def wiener_mean(self, v: Tensor, responsibilities: Tensor, sigma: float) -> Tensor:
        """What the Wiener filters of the components make of patches `(N, D)`, averaged with the weights `(N, K)`."""
        values, vectors = self.values.to(v), self.vectors.to(v)
        filters = (vectors * (values / (values + sigma**2)).unsqueeze(1)) @ vectors.mT
        # The pairs of component and patch that count, by component.
        shares = responsibilities.mT.contiguous()
        component, patch = (shares > _IMPROBABLE).nonzero().unbind(1)
        parts = patch.split(torch.bincount(component, minlength=len(shares)).tolist())
        clean = torch.zeros_like(v)
        for share, chosen, matrix in zip(shares, parts, filters, strict=True):
            if len(chosen):
                clean.index_add_(0, chosen, share[chosen].unsqueeze(1) * (v[chosen] @ matrix))
        return clean


class _LogProb(Function):
    """The log-density, whose gradient is taken through the few components that are probable and not through all."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, prior: GaussianMixturePrior, sigma: float) -> Tensor:
        joint = prior.joint(v, sigma)
        ctx.prior, ctx.sigma = prior, sigma
        ctx.save_for_backward(v, joint.softmax(1))
        return joint.logsumexp(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        v, responsibilities = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            responsibilities = ctx.prior.joint(v, ctx.sigma).softmax(1)
        clean = ctx.prior.wiener_mean(v, responsibilities, ctx.sigma)
        return gradient.unsqueeze(1) * (clean - v) / ctx.sigma**2, None, None


def _check(weights: Tensor, values: Tensor, vectors: Tensor) -> None:
    """Refuse what is no mixture of Gaussians."""
    count, dimensions = values.shape if values.ndim == 2 else (0, 0)
    if not count or math.isqrt(dimensions + 1) ** 2 != dimensions + 1 or dimensions < 3:
        raise ValueError(f"values: expected (K, n^2 - 1) for patches of n x n pixels, given {tuple(values.shape)}")
    for name, tensor, shape in (("weights", weights, (count,)), ("vectors", vectors, (count, dimensions, dimensions))):
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name}: expected {shape} for values {tuple(values.shape)}, given {tuple(tensor.shape)}")
    if not (weights.isfinite() & (weights > 0)).all():
        raise ValueError("weights: expected positive numbers")
    if not (values.isfinite() & (values >= 0)).all():
        raise ValueError("values: expected variances of 0 or more")
    axes = vectors.double()
    identity = torch.eye(dimensions, dtype=axes.dtype, device=axes.device)
    if not ((axes.mT @ axes - identity).abs() < _SKEW).all():
        raise ValueError("vectors: expected orthonormal columns")
