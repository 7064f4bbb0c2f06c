"""The anchor matrix: the channel mixing of a pixel with itself, the diagonal block of the causal operator."""

from __future__ import annotations

import torch
from torch import Tensor

from .geometry import Support, anchor_column

__all__ = ["anchor_of", "invert_anchor", "singular_anchor"]


def anchor_of(weight: Tensor, support: Support, groups: int) -> Tensor:
    """The anchor matrices `(groups, C/groups, C/groups)` of a kernel `(C, C/groups, kh, kw)`; a view."""
    inner = weight.shape[1]
    return weight[:, :, -1, anchor_column(weight.shape[-1], support)].reshape(groups, inner, inner)


def singular_anchor(condition: float) -> ValueError:
    """The error every solver raises for an anchor that cannot be inverted."""
    return ValueError(
        f"weight: the anchor matrix is singular (condition number {condition:.3g}), so the causal convolution "
        "has no inverse; its anchor tap must be an invertible channel matrix"
    )


def invert_anchor(weight: Tensor, support: Support, groups: int) -> Tensor:
    """Inverse of the anchor matrices, `(groups, C/groups, C/groups)` in the dtype of `weight`.

    Computed in float64, because its error multiplies every pixel. Raises `ValueError` where the matrix is
    singular to the precision of `weight`.
    """
    anchor = anchor_of(weight, support, groups).double()
    inverse, _ = torch.linalg.inv_ex(anchor)
    condition = torch.linalg.matrix_norm(anchor, 1) * torch.linalg.matrix_norm(inverse, 1)
    worst = float(condition.max())
    if not worst * torch.finfo(weight.dtype).eps < 1:  # written so that NaN is refused too
        raise singular_anchor(worst)
    return inverse.to(weight.dtype)
