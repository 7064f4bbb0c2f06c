"""The Wiener filter as a layer that can be learnt: one correlation, two causal solves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..imaging.arrays import as_psf
from ..imaging.boundary import crop, extend
from ..ops.spectral import amplify_factor
from .recursive_filter import fading_margins, recursive_filter, wiener_factor

__all__ = ["RecursiveDeconv2d"]


class RecursiveDeconv2d(nn.Module):
    r"""Learnable deconvolution: :math:`x = A_p^{-T} A_p^{-1} (n \star y)`, in two exact inverse convolutions.

    `from_psf` makes it the Wiener filter of a blur: n is the psf, :math:`\star` correlates with it, and p is
    the spectral factor of the filter's denominator. From there both can be learnt, and images are restored by
    the best linear filter for the images, the noise and the sizes trained on, rather than for a model of
    them.

    What is learnt of p is a causal cepstrum c, with which the factor is multiplied by :math:`\exp c`. That is
    the parametrisation in which gradient descent cannot break the layer: an exponential never vanishes and
    its inverse is causal, so that both solves stay stable for any c (`deconv.ops.spectral.amplify_factor`).
    Taps of p itself have no such region that is easily kept to: those of sharp filters sum to far more than
    the anchor.

    Parameters
    ----------
    numerator: n, `(kh, kw)`.
    factor: p, half-plane kernel `(rows, columns)` with a stable inverse, see `deconv.ops.spectral_factor`.
    transposed: the factor belongs to the transposed image, which is then solved column by column.
    brightness: what the mean of an image is multiplied by; learning does not change it.
    learnable: False makes n and c constants.

    Attributes
    ----------
    weight: p with what was learnt of it, `(1, 1, rows, columns)`, as `deconv.inverse_conv2d` takes it with
        ``support="half"``.

    Shapes
    ------
    `(B, C, H, W)` to the same, any sizes, channel by channel with the same filter. Images are continued
    smoothly past the frame (`deconv.imaging.boundary.extend`), as the boundary is unknown. Solved in float32
    at least; the result has the image's dtype.

    References
    ----------
    Ekstrom and Woods, "Two-dimensional spectral factorization with applications in recursive digital
    filtering", IEEE Transactions on Acoustics, Speech, and Signal Processing 24 (1976).

    Examples
    --------
    >>> import torch
    >>> from deconv.imaging.psf import gaussian
    >>> layer = RecursiveDeconv2d.from_psf(gaussian(1.5), noise_to_signal=1e-3)
    >>> layer(torch.rand(2, 3, 40, 50)).shape
    torch.Size([2, 3, 40, 50])
    """

    def __init__(
        self,
        numerator: Tensor,
        factor: Tensor,
        *,
        transposed: bool = False,
        brightness: float = 1.0,
        learnable: bool = True,
    ):
        super().__init__()
        if numerator.ndim != 2 or numerator.numel() == 0:
            raise ValueError(f"numerator: expected (kh, kw), given the shape {tuple(numerator.shape)}")
        if factor.ndim != 2 or factor.shape[-1] % 2 == 0:
            raise ValueError(f"factor: expected (rows, odd columns), given the shape {tuple(factor.shape)}")
        self.numerator_change = nn.Parameter(torch.zeros_like(numerator), requires_grad=learnable)
        self.cepstrum = nn.Parameter(torch.zeros_like(factor), requires_grad=learnable)
        self.register_buffer("first_numerator", numerator.detach().clone())
        self.register_buffer("first_factor", factor.detach().clone())
        # Buffers, so that a state_dict says everything about the filter.
        self.register_buffer("brightness", factor.new_tensor(brightness))
        self.register_buffer("transposed", torch.tensor(transposed, device=factor.device))

    @classmethod
    def from_psf(
        cls,
        psf: Any,
        noise_to_signal: float,
        learnable: bool = True,
        *,
        spectrum: str = "flat",
        dtype: torch.dtype | None = None,
    ) -> RecursiveDeconv2d:
        r"""The Wiener filter :math:`\bar H / (|H|^2 + \lambda G)` of a blur.

        Parameters
        ----------
        psf: array or tensor `(kh, kw)`, its sum positive.
        noise_to_signal: :math:`\lambda > 0`, the variance of the noise over that of the scene.
        learnable: whether to start from this filter, or to stay with it.
        spectrum: assumed of the scene. ``"flat"``: G = 1, the textbook's filter, a neutral start for
            learning. ``"natural"``: as photographs have it, the filter of `deconv.wiener`, which learning
            betters little.
        dtype: of the parameters; by default torch's default one.

        Raises
        ------
        ValueError: a ratio that is not positive; a psf and ratio for which a recursive filter would need too
            many taps to be stable and exact.
        """
        psf = as_psf(psf).detach().to(dtype or torch.get_default_dtype())
        factor, transposed = wiener_factor(psf, noise_to_signal, spectrum=spectrum)
        brightness = 1 / float(psf.sum())
        return cls(psf, factor, transposed=transposed, brightness=brightness, learnable=learnable)

    @property
    def numerator(self) -> Tensor:
        return self.first_numerator + _evened(self.numerator_change)

    @property
    def weight(self) -> Tensor:
        return amplify_factor(self.first_factor, _evened(self.cepstrum))[None, None]

    def forward(self, image: Tensor) -> Tensor:
        """Restore `(B, C, H, W)`."""
        if not image.is_floating_point():
            raise TypeError(f"image: expected a floating-point tensor, given {image.dtype}")
        if image.ndim != 4:
            raise ValueError(f"image: expected (B, C, H, W), given the shape {tuple(image.shape)}")
        dtype = torch.promote_types(image.dtype, torch.float32)
        observed = image.to(dtype)
        mean = observed.mean((-2, -1), keepdim=True)
        size = self.first_numerator.shape
        fading = fading_margins(size)
        kept = [(s, s) for s in size]
        around = [(s + reach, s + reach) for s, (reach, _) in zip(size, fading, strict=True)]
        restored = recursive_filter(
            extend(observed - mean, around),
            fading,
            self.numerator.to(dtype),
            self.weight.to(dtype),
            transposed=bool(self.transposed),
        )
        return (crop(restored, kept) + self.brightness.to(dtype) * mean).to(image.dtype)

    def extra_repr(self) -> str:
        (kh, kw), (rows, columns) = self.first_numerator.shape, self.first_factor.shape
        order = "columns" if self.transposed else "rows"
        learnable = self.cepstrum.requires_grad
        return f"numerator={kh}x{kw}, factor={rows}x{columns}, along={order}, learnable={learnable}"


def _evened(change: Tensor) -> Tensor:
    """Scale a learnt kernel so that one learning rate suits all sizes: optimisers such as Adam move every tap
    by about the same amount, in one direction at worst, and the response by the sum."""
    return change / change.numel() ** 0.5
