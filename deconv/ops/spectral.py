r"""The causal factor of a Wiener filter's denominator.

Wiener deconvolution multiplies the spectrum of an image by :math:`\bar H / R` with the positive denominator
:math:`R = |H|^2 + \lambda G`. Written as :math:`R = P \bar P` with a causal p, dividing by R is two exact
inverses of causal convolutions, one from each end of the image: no Fourier transform of the image and no
periodic border.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deconv.solvers.geometry import support_mask

from .denominator import Denominator, Grid
from .inverse_conv import inverse_conv2d

__all__ = ["amplify_factor", "spectral_divide", "spectral_factor"]

# Largest cepstral coefficient allowed where the cepstrum wraps around: it is a relative error of P.
_ALIASING = 1e-5
_LARGEST_GRID = 1024
_GROWTH = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


def spectral_factor(
    psf: Tensor,
    noise_to_signal: float | Tensor,
    *,
    penalty: Tensor | None = None,
    size: tuple[int, int] | None = None,
    tolerance: float = 1e-2,
) -> Tensor:
    r"""Half-plane kernel p with :math:`|P|^2 = R`, the denominator of a Wiener filter.

    .. math:: R(\omega) = |H(\omega)|^2 + \lambda G(\omega), \qquad
        G = \sum_k |G_k|^2 \quad (G = 1 \text{ without a penalty})

    R is positive, so its logarithm has a cepstrum c. Keep the half plane of c that raster order reaches first
    (the rows below, in the row itself what lies to the right, and half of the term at 0): with it
    :math:`P = \exp \hat c_+` is causal, its inverse too, and :math:`P \bar P = R`. At each frequency along
    the rows, R is a trigonometric polynomial of degree kh - 1 down the columns, so p has exactly kh rows;
    along a row it decays, and is cut to the given number of columns.

    Parameters
    ----------
    psf : Tensor
        Blur `(..., kh, kw)`, floating point. Where its centre lies does not matter.
    noise_to_signal : float or Tensor
        :math:`\lambda > 0`, a number, or a tensor that broadcasts against the psf's leading axes. With G = 1 it is the
        variance of the noise over that of the signal, taken as equal at all frequencies.
    penalty : Tensor, optional
        Filters `(..., K, gh, gw)` whose summed power is G, up to a factor the inverse of the signal's spectrum.
        Differences stand for a spectrum that falls like :math:`1 / |\omega|^2`, as a photograph's does.
    size : tuple of int, optional
        Rows and columns of the result, the columns odd. By default `(kh, 2 kw - 1)`, for the larger one of psf and
        penalty, widened up to eight times where the tolerance asks for it.
    tolerance : float
        How large the error of the restored image may be, relative to its root mean square, for an image of spectrum
        1 / G observed with its noise. This norm weights the relative error of R by what the filter lets pass: where H
        vanishes, so does what R divides, and R needs no digits there.

    Returns
    -------
    Tensor
        `(..., rows, columns)` of the psf's dtype, a kernel for `inverse_conv2d` with ``support="half"``: the anchor is
        ``[..., -1, columns // 2]``, the taps right of it are zero. Computed in float64 on a Fourier grid of eight times
        the psf's size or more, doubled until the cepstrum has decayed to 1e-5 half-way around it (up to 1024).
        Differentiable in `psf`, `noise_to_signal` and `penalty`.

    Raises
    ------
    ValueError
        Shapes that do not fit; `noise_to_signal` not positive; R not positive; a factor that misses the tolerance, or
        whose inverse would grow without bound, which too few taps can cause.
    TypeError
        A psf that is not a floating-point tensor.

    Notes
    -----
    For a psf that is wider than high, the factor of the transposed one is often far shorter: with a penalty,
    blur along the rows takes hundreds of columns, blur along the columns the default size.

    References
    ----------
    Ekstrom and Woods, "Two-dimensional spectral factorization with applications in recursive digital
    filtering", IEEE Transactions on Acoustics, Speech, and Signal Processing 24 (1976), section III.

    Examples
    --------
    >>> import torch
    >>> psf = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    >>> factor = spectral_factor(psf, 0.1)
    >>> tuple(factor.shape)
    (3, 9)
    >>> restored = spectral_divide(torch.ones(1, 1, 65, 65), factor)
    >>> round(float(restored[0, 0, 32, 32]), 2)  # 1 / (1 + 0.1)
    0.91
    """
    denominator = Denominator.of(psf, noise_to_signal, penalty)
    if size is None:
        rows = max(f.shape[-2] for f in denominator.filters)
        columns = 2 * max(f.shape[-1] for f in denominator.filters) - 1
    else:
        rows, columns = _check_size(size)
    widths = [columns]
    if size is None:
        widths = [2 * (math.ceil(factor * columns) // 2) + 1 for factor in _GROWTH]

    cepstrum = _resolved_cepstrum(denominator, rows, columns)
    grid = (cepstrum.shape[-2], cepstrum.shape[-1])
    transfer = torch.exp(torch.fft.rfft2(cepstrum * _half_plane(grid, cepstrum.device)))
    response = torch.fft.irfft2(transfer, s=grid)
    error_of = _restoration_error(denominator, grid)
    for width in widths:
        kernel = _truncate(response, rows, min(width, grid[1] // 2 - 1))
        error, stable = error_of(kernel.detach()), _same_winding(kernel, transfer, grid)
        if stable and error <= tolerance:
            return kernel.to(psf.dtype)
    what = f"is {error:.2g} off the denominator" if stable else "has an inverse that grows without bound"
    raise ValueError(
        f"size: the factor of {kernel.shape[-2]} x {kernel.shape[-1]} taps {what} for this psf and "
        f"noise_to_signal (tolerance {tolerance:.2g}); give more columns, the psf transposed, or a larger "
        "noise_to_signal"
    )


def spectral_divide(image: Tensor, factor: Tensor) -> Tensor:
    r"""Divide the spectrum of an image by :math:`R = |P|^2`, where `factor` is p: :math:`A_p^{-T} A_p^{-1} x`.

    Two exact inverses of causal convolutions, one from the top left corner and one from the bottom right. What
    lies outside the frame counts as zero, which differs from the stationary filter as far from the border as
    the response of 1 / P reaches. Applied to an image correlated with the psf it is the Wiener filter.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)`.
    factor : Tensor
        From `spectral_factor`, `(rows, columns)` or, for samples or channels of their own,
        `(B or 1, C or 1, rows, columns)`.

    Returns
    -------
    Tensor
        `(B, C, H, W)`, differentiable in both.

    Raises
    ------
    ValueError, TypeError, FloatingPointError
        As `inverse_conv2d`.
    """
    batch, channels, height, width = image.shape
    factor = factor.expand(*(1, 1, *factor.shape)[-4:])
    # Images that share a factor are a batch to the solver, those that do not are groups of channels.
    if factor.shape[:2] == (1, 1):
        stack = image.reshape(-1, 1, height, width)
    elif factor.shape[0] == 1:
        stack = image
    elif factor.shape[1] == 1:
        stack = image.transpose(0, 1)
    else:
        stack = image.reshape(1, -1, height, width)
    kernel = factor.reshape(-1, 1, *factor.shape[2:])
    for corner in ("tl", "br"):
        stack = inverse_conv2d(stack, kernel, corner=corner, support="half", groups=len(kernel))
    if factor.shape[0] != 1 and factor.shape[1] == 1:
        stack = stack.transpose(0, 1)
    return stack.reshape(batch, channels, height, width)


def amplify_factor(factor: Tensor, cepstrum: Tensor) -> Tensor:
    r"""Change a spectral factor by :math:`P \to P \exp(\hat c)`; its inverse stays stable whatever c is.

    The exponential of anything causal is causal with a causal inverse, so that c, unlike the taps of p, may be
    any half-plane kernel: a learnt one, say. The product is cut to the size of `factor`; should that cost the
    inverse its stability, c is halved until it does not.

    Parameters
    ----------
    factor : Tensor
        P, `(rows, columns)`, from `spectral_factor`.
    cepstrum : Tensor
        c, in the same layout.

    Returns
    -------
    Tensor
        The new factor, in the dtype of `factor`; computed in float64, differentiable in both.
    """
    rows, columns = factor.shape[-2:]
    # The product of the two has decayed at twice the size of either.
    grid = _power_of_two(4 * rows), _power_of_two(4 * columns)
    start = _transfer(factor.double(), grid)
    cepstrum = cepstrum.double() * support_mask(rows, columns, "half", device=factor.device)
    change = _transfer(cepstrum, grid)
    while True:
        transfer = start * torch.exp(change)
        kernel = _truncate(torch.fft.irfft2(transfer, s=grid), rows, columns)
        if _same_winding(kernel, transfer, grid):
            return kernel.to(factor.dtype)
        change = change / 2


def _check_size(size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1 or size[1] % 2 == 0:
        raise ValueError(f"size: expected the rows and an odd number of columns, given {tuple(size)}")
    return int(size[0]), int(size[1])


def _power_of_two(least: int) -> int:
    """The side of a Fourier grid, 32 or more."""
    return 2 ** max(5, math.ceil(math.log2(least)))


def _resolved_cepstrum(denominator: Denominator, rows: int, columns: int) -> Tensor:
    """The cepstrum of R, on a grid doubled along an axis until it has decayed where it wraps around."""
    height, width = _power_of_two(8 * rows), _power_of_two(8 * ((columns + 1) // 2))
    while True:
        spectrum, _, _ = denominator.on((height, width))
        if not bool((spectrum.detach() > 0).all()):
            raise ValueError("penalty: vanishes at a frequency where the psf does, so that R is not positive")
        cepstrum = torch.fft.irfft2(torch.log(spectrum).to(torch.complex128), s=(height, width))
        end_of_rows, end_of_columns = cepstrum[..., height // 2, :], cepstrum[..., :, width // 2]
        taller = height < _LARGEST_GRID and bool(end_of_rows.detach().abs().max() > _ALIASING)
        wider = width < _LARGEST_GRID and bool(end_of_columns.detach().abs().max() > _ALIASING)
        if not taller and not wider:
            return cepstrum
        height, width = height * (1 + taller), width * (1 + wider)


def _half_plane(grid: Grid, device: torch.device) -> Tensor:
    """1 on the causal half plane, 0 on the other, 1/2 on what both share: origin and Nyquist terms."""
    mask = torch.zeros(grid, dtype=torch.float64, device=device)
    rows, columns = grid[0] // 2, grid[1] // 2
    mask[1:rows] = 1
    mask[0, 1:columns] = 1
    mask[rows] = mask[0, columns] = mask[0, 0] = 0.5
    return mask


def _truncate(response: Tensor, rows: int, columns: int) -> Tensor:
    """Cut the impulse response to a kernel, in which delays run backwards: cross-correlation layout."""
    reach = columns // 2
    delay = torch.arange(rows - 1, -1, -1, device=response.device)
    shift = torch.arange(reach, -reach - 1, -1, device=response.device) % response.shape[-1]
    kernel = response.index_select(-2, delay).index_select(-1, shift)
    return kernel * support_mask(rows, columns, "half", device=response.device)


def _transfer(kernel: Tensor, grid: Grid) -> Tensor:
    """The transfer function of a kernel: undoes `_truncate`."""
    rows, columns = kernel.shape[-2:]
    response = kernel.new_zeros(*kernel.shape[:-2], *grid)
    response[..., :rows, :columns] = kernel.flip(-2, -1)
    return torch.fft.rfft2(torch.roll(response, -(columns // 2), -1))


@torch.no_grad()
def _same_winding(kernel: Tensor, transfer: Tensor, grid: Grid) -> bool:
    """Whether a truncated factor has a stable inverse because the one it was cut from has.

    While the quotient of the two keeps away from the negative axis, the one can be deformed into the other
    without ever vanishing on the torus, and inherits that its inverse is causal.
    """
    return bool((_transfer(kernel, grid) / transfer).real.min() > 0)


def _restoration_error(denominator: Denominator, grid: Grid) -> Callable[[Tensor], float]:
    """The relative error of an image restored with a truncated factor, as a function of the factor."""
    # On other frequencies than those the factor was made from: aliasing would show here.
    other = 3 * grid[0] // 4, 3 * grid[1] // 4
    spectrum, blur, penalty = (t.detach() for t in denominator.on(other))
    signal = 1 / (penalty + 1e-3 * penalty.mean((-2, -1), keepdim=True))  # finite where the penalty vanishes
    passed = blur * signal / spectrum
    passed = passed / passed.sum((-2, -1), keepdim=True)

    def error_of(factor: Tensor) -> float:
        error = spectrum / _transfer(factor, other).abs().square() - 1
        return float((error.square() * passed).sum((-2, -1)).max().sqrt())

    return error_of
