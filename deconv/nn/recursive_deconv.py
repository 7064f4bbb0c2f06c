"""The Wiener filter as a layer that can be learnt: one correlation, two causal solves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..imaging.arrays import as_psf
from ..imaging.boundary import crop, extend
from ..ops.spectral import amplify_factor
from .recursive_filter import Spectrum, fading_margins, recursive_filter, wiener_factor

__all__ = ["RecursiveDeconv2d"]


class RecursiveDeconv2d(nn.Module):
    r"""Learnable deconvolution: :math:`x = A_p^{-T} A_p^{-1} (n \star y)`, in two exact inverse convolutions.

    `from_psf` makes it the Wiener filter of a blur: n is the psf, :math:`\star` correlates with it, and p is
    the spectral factor of the filter's denominator. From there both can be learnt, and images are restored by
    the best linear filter for the images, the noise and the sizes trained on, rather than for a model of
    them.

    What is learnt of p is a causal cepstrum c: the factor is multiplied by :math:`\exp c`. An exponential never
    vanishes and its inverse is causal, so that both solves stay stable for any c
    (`deconv.ops.spectral.amplify_factor`). The taps of p themselves have no stable region that is easy to stay
    in: those of sharp filters sum to far more than the anchor.

    Parameters
    ----------
    numerator : Tensor
        n, `(kh, kw)`.
    factor : Tensor
        p, a half-plane kernel `(rows, columns)` with a stable inverse, see `deconv.ops.spectral_factor`.
    transposed : bool
        The factor belongs to the transposed image, which is then solved column by column.
    brightness : float
        The mean of an image is multiplied by it; learning does not change it.
    learnable : bool
        False makes n and c constants.

    Attributes
    ----------
    weight : Tensor
        p times the exponential of the learnt cepstrum, `(1, 1, rows, columns)`, as `deconv.inverse_conv2d` takes it
        with ``support="half"``.

    Notes
    -----
    Images `(B, C, H, W)` of any size are restored to the same shape, channel by channel with the same filter. They are
    continued smoothly past the frame (`deconv.imaging.boundary.extend`), as the boundary is unknown. Solved in float32
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

    first_numerator: Tensor
    first_factor: Tensor
    brightness: Tensor
    transposed: Tensor

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
        # Buffers, so that a state_dict says everything about the filter.
        self.register_buffer("first_numerator", numerator.detach().clone())
        self.register_buffer("first_factor", factor.detach().clone())
        self.register_buffer("brightness", factor.new_tensor(brightness))
        self.register_buffer("transposed", torch.tensor(transposed, device=factor.device))

    @classmethod
    def from_psf(
        cls,
        psf: Any,
        noise_to_signal: float,
        learnable: bool = True,
        *,
        spectrum: Spectrum = "flat",
        dtype: torch.dtype | None = None,
    ) -> RecursiveDeconv2d:
        r"""The Wiener filter :math:`\bar H / (|H|^2 + \lambda G)` of a blur.

        Parameters
        ----------
        psf : array or Tensor
            `(kh, kw)`, its sum positive.
        noise_to_signal : float
            :math:`\lambda > 0`, the variance of the noise over that of the latent image.
        learnable : bool
            Whether training may change the filter.
        spectrum : {"flat", "natural"}
            Assumed of the latent image. ``"flat"``: G = 1, the textbook's filter, a neutral start for learning.
            ``"natural"``: that of photographs, the filter of `deconv.wiener`, on which learning improves little.
        dtype : torch.dtype, optional
            Of the parameters; by default torch's default one.

        Returns
        -------
        RecursiveDeconv2d
            The layer.

        Raises
        ------
        ValueError
            A ratio that is not positive; a psf and ratio for which a recursive filter would need too many taps to be
            stable and exact.
        """
        psf = as_psf(psf).detach().to(dtype or torch.get_default_dtype())
        factor, transposed = wiener_factor(psf, noise_to_signal, spectrum=spectrum)
        brightness = 1 / float(psf.sum())
        return cls(psf, factor, transposed=transposed, brightness=brightness, learnable=learnable)

    @property
    def numerator(self) -> Tensor:
        """n with what was learnt of it, `(kh, kw)`."""
        return self.first_numerator + _evened(self.numerator_change)

    @property
    def weight(self) -> Tensor:
        return amplify_factor(self.first_factor, _evened(self.cepstrum))[None, None]

    def forward(self, image: Tensor) -> Tensor:
        """Restore images.

        Parameters
        ----------
        image : Tensor
            `(B, C, H, W)`.

        Returns
        -------
        Tensor
            `(B, C, H, W)`, in the dtype of the image.

        Raises
        ------
        TypeError, ValueError
            Anything but a floating-point tensor of four axes.
        """
        if not image.is_floating_point():
            raise TypeError(f"image: expected a floating-point tensor, given {image.dtype}")
        if image.ndim != 4:
            raise ValueError(f"image: expected (B, C, H, W), given the shape {tuple(image.shape)}")
        if not image.numel():
            return image.clone()
        dtype = torch.promote_types(image.dtype, torch.float32)
        observed = image.to(dtype)
        mean = observed.mean((-2, -1), keepdim=True)
        size = self.first_numerator.shape
        fading = fading_margins(size)
        rim = [(s, s) for s in size]
        around = [(s + reach, s + reach) for s, (reach, _) in zip(size, fading, strict=True)]
        restored = recursive_filter(
            extend(observed - mean, around),
            fading,
            self.numerator.to(dtype),
            self.weight.to(dtype),
            transposed=bool(self.transposed),
        )
        return (crop(restored, rim) + self.brightness.to(dtype) * mean).to(image.dtype)

    def extra_repr(self) -> str:
        (kh, kw), (rows, columns) = self.first_numerator.shape, self.first_factor.shape
        order = "columns" if self.transposed else "rows"
        learnable = self.cepstrum.requires_grad
        return f"numerator={kh}x{kw}, factor={rows}x{columns}, along={order}, learnable={learnable}"


def _evened(change: Tensor) -> Tensor:
    """A learnt kernel scaled so that one learning rate suits all sizes.

    Optimisers such as Adam move every tap by about the same amount, at worst in one direction, and so the response by
    their sum.
    """
    return change / change.numel() ** 0.5
