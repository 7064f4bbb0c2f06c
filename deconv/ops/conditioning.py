"""How much the inverse can amplify."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv.solvers.anchor import anchor_of
from deconv.solvers.geometry import Support, anchor_column, support_mask

from .checks import check_weight

__all__ = ["inverse_gain_bound", "off_anchor_ratio"]


def off_anchor_ratio(weight: Tensor, *, support: Support = "quarter", groups: int = 1) -> Tensor:
    """``rho = max over output channels of sum |T^-1 W[q]|`` over the taps off the anchor; scalar, differentiable."""
    inner, kh, kw = weight.shape[1:]
    others = support_mask(kh, kw, support, weight.device)
    others[-1, anchor_column(kw, support)] = False
    taps = (weight * others.to(weight.dtype)).reshape(groups, inner, inner * kh * kw)
    return torch.linalg.solve(anchor_of(weight, support, groups), taps).abs().sum(-1).max()


def inverse_gain_bound(weight: Tensor, *, support: Support = "quarter", groups: int = 1) -> Tensor:
    r"""Bound on the max-norm gain of `inverse_conv2d`, for images of any size.

    .. math:: \|A^{-1}\|_\infty \le \frac{\|T^{-1}\|_\infty}{1 - \rho}, \qquad
              \rho = \max_o \sum_{q \ne \text{anchor}} \sum_i |(T^{-1} W[q])_{oi}|

    by the Neumann series of ``T^-1 A = I + N`` with ``|N| <= rho``. Where ``rho >= 1`` there is no such bound, the
    inverse may grow exponentially with the image's size, and the result is infinity. The bound is sufficient, not
    necessary: spectral factors of real blurs exceed it and are stable.

    Parameters
    ----------
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`, see `causal_conv2d`. The corner does not matter.
    support : {"quarter", "half"}
        Of the kernel.
    groups : int
        Channel groups.

    Returns
    -------
    Tensor
        A scalar, at least ``|T^-1|``, differentiable where finite; taps of zero, at which absolute values have a kink,
        get the slope 0, and so does everything where the result is infinite.

    Raises
    ------
    ValueError, TypeError
        As `causal_conv2d`.
    torch.linalg.LinAlgError
        The anchor matrix is singular.

    Examples
    --------
    >>> import torch
    >>> inverse_gain_bound(torch.tensor([[[[0.25, 0.5, 1.0]]]]))
    tensor(4.)
    """
    check_weight(weight, support, groups)
    weight = weight if weight.dtype == torch.float64 else weight.float()
    inverse = torch.linalg.inv(anchor_of(weight, support, groups))
    rho = off_anchor_ratio(weight, support=support, groups=groups)
    norm = inverse.abs().sum(-1).max()
    bounded = rho < 1
    return torch.where(bounded, norm / torch.where(bounded, 1 - rho, 1), torch.inf)
