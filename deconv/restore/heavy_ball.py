r"""Heavy-ball acceleration of a step that never overshoots, such as that of Richardson-Lucy.

Where R improves a latent image x by a scaled gradient of what it minimises, :math:`R(x) = x - D \nabla J`, with D small
enough that x never overshoots, as the step of Richardson-Lucy does, :math:`D = x / H^T w`,

.. math:: x_{k+1} = \max\bigl(x_k + \omega_k (R(x_k) - x_k) + \beta_k (x_k - x_{k-1}),\; c\, x_k\bigr)

is a heavy ball, with the weights of Brakhage's :math:`\nu`-method for :math:`\nu = 1`,

.. math:: \omega_k = \frac{4 k (2k + 1)}{(k + 1)(2k + 3)}, \qquad
    \beta_k = \frac{(k - 1)(2k - 3)(2k + 1)}{(k + 1)(2k + 3)(2k - 1)} .

**Why it converges.** Near the solution :math:`D \nabla^2 J` is self-adjoint in the scalar product
:math:`\langle a, b \rangle = \sum a b / D`, with eigenvalues in [0, 1]. The error along an eigenvector is multiplied by
a polynomial of its eigenvalue :math:`\lambda`, after n plain steps :math:`(1 - \lambda)^n`: it is there until n is
about :math:`1 / \lambda`. Those of the :math:`\nu`-method are Jacobi polynomials, at most 1 on all of [0, 1] and
:math:`O((1 + n^2 \lambda)^{-1})`: it is there until n is about :math:`1 / \sqrt\lambda`. Stopped early, both
regularise, and the :math:`\nu`-method to the optimal order (Hanke, "Accelerated Landweber iterations for the solution
of ill-posed equations", Numer. Math. 1991).

**Where it might not.** Far from the solution, and where total variation adds to the curvature, an eigenvalue may be
above 1. So k falls back by one, down to 1, a plain step, for as long as the ball rolls uphill,
:math:`\langle R(x_k) - x_k, x_k - x_{k-1} \rangle < 0`. (To stop it at once, as restarts do, leaves tiles of one image
at different stages.) And nothing keeps less than the part c of its value in one step, so that it stays positive and may
grow again.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["HeavyBall"]

# c: how much of its value a pixel keeps in one step at least.
_KEPT = 0.05

# What divides by x divides by this part of its mean at least.
_LEAST = 1e-3


class HeavyBall:
    """The iterates of a positive latent image, accelerated for each sample and channel by itself.

    Parameters
    ----------
    axes : tuple of int
        The spatial axes.
    """

    def __init__(self, axes: tuple[int, ...]) -> None:
        self._axes = axes
        self._before: Tensor | None = None
        self._count: Tensor | None = None

    def step(self, latent: Tensor, improved: Tensor) -> Tensor:
        """The next latent image.

        Parameters
        ----------
        latent : Tensor
            x, `(B, C, H, W)` or `(B, C, D, H, W)`.
        improved : Tensor
            R(x).

        Returns
        -------
        Tensor
            Of the same shape, and nowhere negative where these are not.
        """
        change = improved - latent
        if self._before is None or self._count is None:
            last = torch.zeros_like(latent)
            k = torch.ones_like(latent[(..., *[slice(0, 1)] * len(self._axes))])
        else:
            last = latent - self._before
            scale = latent.clamp_min(_LEAST * latent.mean(self._axes, keepdim=True))
            uphill = _dot(change / scale, last, self._axes) < 0
            k = torch.where(uphill, (self._count - 1).clamp_min(1), self._count + 1)
        reach = 4 * k * (2 * k + 1) / ((k + 1) * (2 * k + 3))
        momentum = (k - 1) * (2 * k - 3) * (2 * k + 1) / ((k + 1) * (2 * k + 3) * (2 * k - 1))
        ahead = latent + reach * change + momentum * last
        self._before, self._count = latent, k
        return torch.maximum(ahead, _KEPT * latent)


def _dot(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor:
    product = torch.linalg.vecdot(a.flatten(axes[0]), b.flatten(axes[0]))
    return product.reshape(*product.shape, *[1] * len(axes))
