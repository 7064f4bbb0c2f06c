"""The inverse of a causal convolution as an invertible layer."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..choices import check_choice, pair_of_sizes
from ..ops import causal_conv2d, inverse_conv2d
from ..solvers.geometry import CORNERS, SUPPORTS, Corner, Support, anchor_column, support_mask
from ..solvers.precision import full_precision
from .cache import cached
from .clamp import clamp_closed
from .precision import at_least_float32, without_autocast

__all__ = ["InverseConv2d"]

Anchor = Literal["unit", "plu"]


class InverseConv2d(nn.Module):
    r"""Learnable inverse convolution, the layer of Inverse-Flow: `forward` solves, `inverse` convolves.

    With the causal convolution ``A = T (I + N)``, `T` the channel matrix of the anchor tap and `N` the taps off it,

    .. math:: z = A^{-1} x, \qquad \log\left|\det \frac{\partial z}{\partial x}\right| = -H W \log |\det T|.

    The density direction (`forward`) runs the exact parallel solve, the sampling direction (`inverse`) a plain
    convolution.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    kernel_size : int or tuple of int
        `k` or `(kh, kw)`; `kw` odd for half-plane support.
    corner : {"tl", "tr", "bl", "br"}
        Where the pixels lie that a pixel sees, see `deconv.causal_conv2d`.
    support : {"quarter", "half"}
        Of the kernel, see `deconv.causal_conv2d`.
    groups : int
        Groups of channels, as in `torch.nn.Conv2d`.
    anchor : {"unit", "plu"}
        ``"unit"``: `T` is unit lower triangular, the log-determinant exactly zero (the paper's layer). ``"plu"``:
        `T = P L (U + diag(s))`, a full invertible matrix; the layer then contains Glow's 1 x 1 convolution.
    max_gain : float, optional
        Bound on the max-norm gain of `forward`, for images of any size, enforced by the parametrisation:
        ``inverse_gain_bound(layer.weight) <= max_gain`` whatever the parameters. At least 1; None leaves the taps free.
    init : {"identity", "rotation"}
        ``"identity"``: near the identity. ``"rotation"``: `T` a random rotation (anchor ``"plu"`` only), as in Glow.
    check_finite : bool
        Raise where the solution is not finite, see `deconv.inverse_conv2d`.
    generator : torch.Generator, optional
        Source of the initial values; the global one by default, as in torch's own layers.
    device : torch.device or str, optional
        Of the parameters, as in torch's own layers.
    dtype : torch.dtype, optional
        Of the parameters, as in torch's own layers.

    Attributes
    ----------
    weight : Tensor
        The kernel `(C, C / groups, kh, kw)` as `causal_conv2d` takes it, made from the parameters.

    Notes
    -----
    Images `(B, C, H, W)` of any H and W give images of the same shape and the log-determinant `(B,)`, summed over
    dimensions, in x's dtype. Half precision is computed in float32 and cast back, also under autocast; its
    log-determinants stay float32.

    References
    ----------
    Nagar and Varma, "Parallel Backpropagation for Inverse of a Convolution with Application to Normalizing Flows",
    AISTATS 2025. Kingma and Dhariwal, "Glow: Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018.

    Examples
    --------
    >>> import torch
    >>> layer = InverseConv2d(3, 3, anchor="plu", max_gain=10.0)
    >>> x = torch.rand(2, 3, 8, 8)
    >>> z, ladj = layer(x)
    >>> back, _ = layer.inverse(z)
    >>> bool((back - x).abs().max() < 1e-5), ladj.shape
    (True, torch.Size([2]))
    """

    corner: Corner
    support: Support
    tap_mask: Tensor
    sign: Tensor
    permutation: Tensor

    def __init__(
        self,
        channels: int,
        kernel_size: int | tuple[int, int],
        *,
        corner: Corner = "tl",
        support: Support = "quarter",
        groups: int = 1,
        anchor: Anchor = "unit",
        max_gain: float | None = None,
        init: Literal["identity", "rotation"] = "identity",
        check_finite: bool = True,
        generator: torch.Generator | None = None,
        device=None,
        dtype=None,
    ):
        super().__init__()
        kh, kw = pair_of_sizes(kernel_size)
        check_choice("corner", corner, CORNERS)
        check_choice("support", support, SUPPORTS)
        check_choice("anchor", anchor, get_args(Anchor))
        check_choice("init", init, ("identity", "rotation") if anchor == "plu" else ("identity",))
        if channels < 1 or groups < 1 or channels % groups:
            raise ValueError(f"groups: must divide channels, given {groups} groups and {channels} channels")
        if support == "half" and kw % 2 == 0:
            raise ValueError(f"kernel_size: must be of odd width for a half plane, given {(kh, kw)}")
        if max_gain is not None and not max_gain >= 1:
            raise ValueError(f"max_gain: must be at least 1, given {max_gain}")
        self.channels, self.kernel_size, self.groups = channels, (kh, kw), groups
        self.corner, self.support, self.anchor = corner, support, anchor
        self.max_gain, self.check_finite = max_gain, check_finite

        inner = channels // groups
        mask = support_mask(kh, kw, support)
        mask[-1, anchor_column(kw, support)] = False
        self.register_buffer("tap_mask", mask.to(device), persistent=False)

        def noise(*shape, scale):
            values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
            return values.to(device=device, dtype=dtype or torch.get_default_dtype())

        # The taps of an output channel sum to about a tenth of the anchor: near the identity, and stable.
        self.taps = nn.Parameter(noise(channels, inner, kh, kw, scale=0.1 / (inner * kh * kw)))
        self.lower = nn.Parameter(noise(groups, inner, inner, scale=0.01 / inner))
        if anchor == "plu":
            start = torch.eye(inner, dtype=torch.float64).repeat(groups, 1, 1)
            if init == "rotation":
                start = torch.linalg.qr(torch.randn(start.shape, generator=generator, dtype=torch.float64)).Q
            permutation, lower, upper = torch.linalg.lu(start)
            diagonal = upper.diagonal(dim1=-2, dim2=-1)
            with torch.no_grad():
                self.lower += (lower.tril(-1)).to(self.lower)
            self.upper = nn.Parameter(upper.triu(1).to(self.lower))
            self.log_scale = nn.Parameter(diagonal.abs().log().to(self.lower))
            self.register_buffer("sign", diagonal.sign().to(self.lower.detach()))
            self.register_buffer("permutation", permutation.to(self.lower.detach()))

    def _anchor(self) -> tuple[Tensor, Tensor]:
        """The anchor matrices `(groups, n, n)` and the sum of their log-determinants."""
        strict = at_least_float32(self.lower).tril(-1)
        identity = torch.eye(strict.shape[-1], device=strict.device, dtype=strict.dtype)
        # The bound is shared evenly: the square root for the anchor, the square root for the taps off it.
        limit = None if self.max_gain is None else math.sqrt(self.max_gain)
        if self.anchor == "unit":
            if limit is None:
                return identity + strict, strict.new_zeros(())
            # Parametrised by its inverse, whose rows are easy to bound; it stays unit triangular.
            inverse = identity + _bounded(strict, limit - 1)
            anchor = torch.linalg.solve_triangular(inverse, identity, upper=False, unitriangular=True)
            return anchor, strict.new_zeros(())
        log_scale = at_least_float32(self.log_scale)
        upper = at_least_float32(self.upper).triu(1) + torch.diag_embed(self.sign.to(strict) * log_scale.exp())
        anchor = self.permutation.to(strict) @ (identity + strict) @ upper
        log_det = log_scale.sum()
        if limit is not None:
            gain = torch.linalg.inv(anchor).abs().sum(-1).amax(-1)
            scale = clamp_closed(gain / limit, low=1)
            anchor = anchor * scale[:, None, None]
            log_det = log_det + anchor.shape[-1] * scale.log().sum()
        return anchor, log_det

    def weight_and_log_det(self) -> tuple[Tensor, Tensor]:
        """The kernel and the determinant of its anchor.

        Returns
        -------
        weight : Tensor
            `(C, C / groups, kh, kw)`, as `causal_conv2d` takes it.
        log_det : Tensor
            ``log |det T|`` summed over the groups, a scalar.
        """
        with full_precision(self.taps.device.type):
            return self._weight_and_log_det()

    def _weight_and_log_det(self) -> tuple[Tensor, Tensor]:
        anchor, log_det = self._anchor()
        groups, inner, _ = anchor.shape
        kh, kw = self.kernel_size
        taps = (at_least_float32(self.taps) * self.tap_mask).reshape(groups, inner, inner * kh * kw)
        if self.max_gain is not None:
            taps = anchor @ _bounded(taps, 1 - 1 / math.sqrt(self.max_gain))
        weight = taps.reshape(self.channels, inner, kh, kw)
        place = torch.zeros(kh, kw, device=weight.device, dtype=weight.dtype)
        place[-1, anchor_column(kw, self.support)] = 1
        return weight + anchor.reshape(self.channels, inner, 1, 1) * place, log_det

    @property
    def weight(self) -> Tensor:
        return self.weight_and_log_det()[0]

    @without_autocast
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Image to latent, ``z = A^-1 x``: the solve."""
        weight, log_det = cached(self, self.weight_and_log_det)
        options = {"corner": self.corner, "support": self.support, "groups": self.groups}
        z = inverse_conv2d(x, weight.to(x.dtype), **options, check_finite=self.check_finite)
        return z, (-x.shape[-2] * x.shape[-1] * log_det).to(x.dtype).expand(x.shape[0])

    @without_autocast
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent to image, ``x = A z``: a plain convolution."""
        weight, log_det = cached(self, self.weight_and_log_det)
        x = causal_conv2d(z, weight.to(z.dtype), corner=self.corner, support=self.support, groups=self.groups)
        return x, (z.shape[-2] * z.shape[-1] * log_det).to(z.dtype).expand(z.shape[0])

    def extra_repr(self) -> str:
        kh, kw = self.kernel_size
        extras = f", groups={self.groups}" if self.groups > 1 else ""
        if self.max_gain is not None:
            extras += f", max_gain={self.max_gain}"
        return (
            f"{self.channels}, kernel_size=({kh}, {kw}), corner={self.corner!r}, support={self.support!r}, "
            f"anchor={self.anchor!r}{extras}"
        )


def _bounded(rows: Tensor, limit: float) -> Tensor:
    """`rows` shrunk smoothly so that each sums to less than `limit` in absolute value; small rows hardly change."""
    if limit <= 0:
        return rows * 0
    return rows / (1 + rows.abs().sum(-1, keepdim=True) / limit)
