"""Monotone rational-quadratic splines and the coupling built of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from ..nn.clamp import clamp_closed
from ..nn.precision import in_float32
from .coupling import halves
from .layer import Flow
from .networks import ConvNet

__all__ = ["SplineCoupling", "rational_quadratic_spline"]

_LEAST_BIN, _LEAST_SLOPE = 1e-3, 1e-3


def rational_quadratic_spline(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    r"""Elementwise monotone spline on ``[-bound, bound]``, the identity outside; and the logarithm of its slope.

    In a bin of width w, height h, mean slope s = h / w and knot slopes d, d', with :math:`\xi` from 0 to 1 across it,

    .. math:: y = y_k + \frac{h (s \xi^2 + d \xi (1 - \xi))}{s + (d + d' - 2 s) \xi (1 - \xi)}

    Parameters
    ----------
    x : Tensor
        Any shape.
    widths, heights : Tensor
        `(..., K)`: of the K bins, before a softmax.
    slopes : Tensor
        `(..., K - 1)`: at the inner knots, before a softplus. Zeros of all three make the identity.
    bound : float
        Where the spline ends.
    inverse : bool
        Solve for x given y, exactly, by a quadratic equation.

    Returns
    -------
    y : Tensor
        In the shape of `x`; increasing in it.
    log_slope : Tensor
        Of the same shape: ``log dy/dx``, and for the inverse ``log dx/dy``.

    References
    ----------
    Durkan, Bekasov, Murray and Papamakarios, "Neural Spline Flows", NeurIPS 2019.
    """
    bins = widths.shape[-1]
    inside = (x >= -bound) & (x <= bound)
    clipped = clamp_closed(x, -bound, bound)

    def knots(raw: Tensor) -> Tensor:
        sizes = _LEAST_BIN + (1 - _LEAST_BIN * bins) * torch.softmax(raw, -1)
        ends = 2 * bound * pad(sizes.cumsum(-1), (1, 0)) - bound
        return torch.cat([ends[..., :-1], torch.full_like(ends[..., -1:], bound)], -1)

    across, up = knots(widths), knots(heights)
    one = math.log(math.expm1(1 - _LEAST_SLOPE))  # so that zero means a slope of one
    slopes = pad(_LEAST_SLOPE + softplus(slopes + one), (1, 1), value=1.0)
    searched = up if inverse else across
    inner, wanted = searched[..., 1:-1].contiguous(), clipped[..., None].contiguous()
    index = torch.searchsorted(inner, wanted, right=True).clamp(0, bins - 1)

    def at(values: Tensor, offset: int = 0) -> Tensor:
        return values.gather(-1, index + offset)[..., 0]

    left, bottom = at(across), at(up)
    width, height = at(across, 1) - left, at(up, 1) - bottom
    mean, first, second = height / width, at(slopes), at(slopes, 1)
    bend = first + second - 2 * mean
    if inverse:
        rise = clipped - bottom
        a = height * (mean - first) + rise * bend
        b = height * first - rise * bend
        c = -mean * rise
        discriminant = b.square() - 4 * a * c  # positive but for rounding, where it is a constant
        discriminant = torch.where(discriminant > 0, discriminant, torch.finfo(x.dtype).tiny)
        xi = 2 * c / (-b - discriminant.sqrt())
    else:
        xi = (clipped - left) / width
    between = xi * (1 - xi)
    denominator = mean + bend * between
    log_slope = (
        2 * mean.log()
        + (second * xi.square() + 2 * mean * between + first * (1 - xi).square()).log()
        - 2 * denominator.log()
    )
    if inverse:
        moved, log_slope = left + xi * width, -log_slope
    else:
        moved = bottom + height * (mean * xi.square() + first * between) / denominator
    return torch.where(inside, moved, x), torch.where(inside, log_slope, torch.zeros_like(log_slope))


class SplineCoupling(Flow):
    """One half of the channels chooses monotone splines for the other; see `rational_quadratic_spline`.

    Both directions cost one evaluation of the network.

    Parameters
    ----------
    channels : int
        At least 2; the first half, the larger one of an odd number, conditions the second.
    width : int
        Hidden channels of the network.
    bins : int
        K of each spline, at least 2.
    bound : float
        Where the splines end; beyond, the identity.
    num_classes : int, optional
        Makes the coupling conditional on int64 labels `(B,)`, its context.
    """

    def __init__(
        self,
        channels: int,
        width: int = 64,
        *,
        bins: int = 8,
        bound: float = 4.0,
        num_classes: int | None = None,
    ):
        super().__init__()
        if bins < 2 or not bound > 0:
            raise ValueError(f"bins, bound: must be at least 2 and positive, given {bins} and {bound}")
        self.sizes, self.bins, self.bound = halves(channels), bins, bound
        self.network = ConvNet(self.sizes[0], self.sizes[1] * (3 * bins - 1), width, num_classes)

    def _couple(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        given, changed = x.split(self.sizes, dim=1)
        raw = self.network(given, context).unflatten(1, (self.sizes[1], 3 * self.bins - 1)).movedim(2, -1)
        parameters = raw.split((self.bins, self.bins, self.bins - 1), dim=-1)
        changed, log_slope = rational_quadratic_spline(changed, *parameters, bound=self.bound, inverse=inverse)
        return torch.cat([given, changed], dim=1), log_slope.sum((1, 2, 3))

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._couple(x, context, inverse=False)

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._couple(z, context, inverse=True)
