"""The log-determinant of a causal convolution."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv.solvers.anchor import anchor_of
from deconv.solvers.geometry import Support

from .checks import check_weight

__all__ = ["causal_log_abs_det"]


def causal_log_abs_det(
    weight: Tensor, height: int, width: int, *, support: Support = "quarter", groups: int = 1
) -> Tensor:
    r"""Logarithm of the absolute determinant of `causal_conv2d` on a `height` x `width` image.

    .. math:: \log |\det A| = H \, W \sum_g \log |\det T_g|

    since `A` is block triangular in raster order with the anchor matrix `T` on its diagonal: zero for a unit
    triangular anchor, whatever the other taps. The inverse has the same with the opposite sign.

    Parameters
    ----------
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`, see `causal_conv2d`. The corner does not matter.
    height, width : int
        The image's size in pixels.
    support : {"quarter", "half"}
        Of the kernel.
    groups : int
        Channel groups.

    Returns
    -------
    Tensor
        A scalar in the dtype of `weight` (float32 for half precision), differentiable; minus infinity where the
        anchor is singular.

    Raises
    ------
    ValueError, TypeError
        As `causal_conv2d`.

    Examples
    --------
    >>> import torch
    >>> causal_log_abs_det(torch.tensor([[[[9.0, 1.0]]]]), 5, 5)
    tensor(0.)
    """
    check_weight(weight, support, groups)
    if height < 0 or width < 0:
        raise ValueError(f"height, width: must not be negative, given {height} x {width}")
    weight = weight if weight.dtype == torch.float64 else weight.float()
    return height * width * torch.linalg.slogdet(anchor_of(weight, support, groups)).logabsdet.sum()
