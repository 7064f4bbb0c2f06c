r"""What lies outside the frame: canvases for methods that need a periodic image or one without a border.

An observation is usually the valid part of the blur of a larger scene. A closed-form method, which divides by
a transfer function, sees the jump from the last row to the first one and rings; so does a recursive one that
meets a border. `extend` puts the observation on a larger canvas that continues it, `crop` takes the frame out
again, and `canvas_margins` says how large a canvas should be.

All functions work on as many of the last axes as `margins` has pairs: two for images, three for volumes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .convolution import _source, convolve, fast_length

__all__ = ["EXTENSIONS", "canvas_margins", "crop", "edgetaper", "extend", "fade"]

EXTENSIONS = ("smooth", "reflect", "replicate", "circular", "zero")

# Room for the seam to close even where the psf is narrow: regularisation reaches across it too.
_LEAST_GAP = 8

Margins = Sequence[tuple[int, int]]


def extend(image: Tensor, margins: Margins, *, method: str = "smooth") -> Tensor:
    r"""Put `image` on a larger canvas that continues it.

    ``"smooth"`` continues it periodically, values and slopes: on the torus the canvas has no edge anywhere.
    The gap between the last row and the first one of the next period is filled with the solution of the
    biharmonic equation

    .. math:: \Delta^2 u = 0, \qquad u \text{ given on the two rows on either side of the gap,}

    a surface of least bending. A Fourier transform along the edge turns it into one ordinary equation per
    frequency, solved in closed form: the finer a detail along the edge, the faster it fades into the gap. One
    axis is done after the other; while the next one is not yet periodic, the image is mirrored along it.

    Parameters
    ----------
    image: floating-point tensor `(..., H, W)` or `(..., D, H, W)`, any range.
    margins: how many rows to add ``((top, bottom), (left, right))``, one pair per spatial axis.
    method: ``"smooth"``; ``"reflect"``: mirrored about the edge pixel, which is not repeated;
        ``"replicate"``: the edge pixel goes on; ``"circular"``: the image repeats; ``"zero"``: zeros.

    Returns
    -------
    Tensor of the image's dtype and device, larger by the margins; a linear function of `image`,
    differentiable.

    Raises
    ------
    ValueError: unknown method, negative margins, or more pairs than the image has axes.
    TypeError: `image` is not a floating-point tensor.

    References
    ----------
    Liu and Jia, "Reducing boundary artifacts in image deconvolution", ICIP 2008, who fill three rectangles by
    Laplace's equation. Taking the slopes along as well is worth 0.2 dB after a Wiener filter.

    Examples
    --------
    >>> import torch
    >>> ramp = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])
    >>> extend(ramp, ((0, 0), (0, 5)))
    tensor([[0.0000, 1.0000, 2.0000, 3.0000, 4.0000, 3.9286, 3.1429, 2.0000, 0.8571,
             0.0714]])
    """
    if method not in EXTENSIONS:
        raise ValueError(f"method: unknown {method!r}, allowed are {', '.join(EXTENSIONS)}")
    if not isinstance(image, Tensor) or not image.is_floating_point():
        given = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(f"image: expected a floating-point tensor, given {given}")
    margins = _checked(margins, image)
    if method == "zero":
        return F.pad(image, [side for pair in reversed(margins) for side in pair])
    if method == "smooth":
        return _smooth(image, margins)
    for axis, (before, after) in zip(_axes(margins), margins, strict=True):
        if before or after:
            image = image.index_select(axis, _source(image, axis, before, after, method))
    return image


def crop(canvas: Tensor, margins: Margins) -> Tensor:
    """Take the frame out of the canvas: undoes `extend` with the same `margins`. A view."""
    for axis, (before, after) in zip(_axes(margins), margins, strict=True):
        canvas = canvas.narrow(axis, before, canvas.shape[axis] - before - after)
    return canvas


def fade(canvas: Tensor, margins: Margins) -> Tensor:
    """Let a canvas fade to zero across its margins, along half a period of a cosine; the frame stays as it
    is.

    A filter that takes everything outside for zero sees no edge then. Subtract the mean before.
    """
    for axis, (before, after) in zip(_axes(margins), margins, strict=True):
        rise, fall = (
            0.5 - 0.5 * torch.cos((torch.arange(n, device=canvas.device) + 0.5) * (math.pi / max(n, 1)))
            for n in (before, after)
        )
        frame = rise.new_ones(canvas.shape[axis] - before - after)
        weight = torch.cat([rise, frame, fall.flip(0)]).to(canvas.dtype)
        canvas = canvas * weight.reshape([-1] + [1] * (-axis - 1))
    return canvas


def canvas_margins(frame: Sequence[int], size: Sequence[int], *, spread: float = 1.0) -> Margins:
    """Margins around a frame for a blur of the given size, so that the canvas has lengths an FFT is quick at.

    frame: the observation's `(H, W)` or `(D, H, W)`.
    size: the psf's, as many numbers.
    spread: how many sizes of the psf to add along each axis at least, in all. From 1 on, no observed pixel is
        blurred from across the seam of the periodic canvas.

    >>> canvas_margins((498, 498), (15, 15))
    ((21, 21), (21, 21))
    """
    pairs = []
    for n, s in zip(frame, size, strict=True):
        extra = fast_length(n + max(_LEAST_GAP, math.ceil(spread * s))) - n
        pairs.append((extra // 2, extra - extra // 2))
    return tuple(pairs)


def edgetaper(image: Tensor, psf: Tensor) -> Tensor:
    r"""Blend `image` towards its own periodic blur near the borders, which hides the seam of the torus.

    .. math:: \alpha y + (1 - \alpha)(h * y), \qquad
        \alpha = \prod_{\text{axes}} \Big( 1 - \frac{\rho(p)}{\rho(0)} \Big)

    with the periodic autocorrelation :math:`\rho` of the psf's projection on each axis: 0 on the border, 1 as
    far inside as the psf reaches. The frame keeps its size; the border is lost to the taper, which is why
    `extend` restores better.

    image: `(B, C, H, W)` or `(B, C, D, H, W)`. psf: `(kh, kw)` or `(kd, kh, kw)`.
    """
    space = psf.ndim
    blurred = convolve(image, psf, boundary="circular")
    alpha = image.new_ones(())
    for axis in range(space):
        n = image.shape[axis - space]
        profile = psf.sum([a for a in range(space) if a != axis]) if space > 1 else psf
        spectrum = torch.fft.rfft(_wrapped(profile, n)).abs().square()
        correlation = torch.fft.irfft(spectrum, n=n).to(image.dtype)
        # The two border rows are neighbours on the torus; both get the weight zero.
        lag = torch.arange(n, device=image.device)
        lag = torch.minimum(lag, n - 1 - lag)
        weight = 1 - correlation[lag] / correlation[0]
        alpha = alpha * weight.reshape([-1] + [1] * (space - 1 - axis))
    return alpha * image + (1 - alpha) * blurred


def _wrapped(profile: Tensor, n: int) -> Tensor:
    return profile.new_zeros(n).index_add(0, torch.arange(len(profile), device=profile.device) % n, profile)


def _axes(margins: Margins) -> range:
    return range(-len(margins), 0)


def _checked(margins: Margins, image: Tensor) -> Margins:
    pairs = tuple((int(before), int(after)) for before, after in margins)
    if not 1 <= len(pairs) <= image.ndim:
        raise ValueError(f"margins: {len(pairs)} pairs do not fit an image of shape {tuple(image.shape)}")
    if min(min(pair) for pair in pairs) < 0:
        raise ValueError(f"margins: must not be negative, given {pairs}")
    return pairs


def _smooth(image: Tensor, margins: Margins) -> Tensor:
    canvas = image.to(torch.promote_types(image.dtype, torch.float32))
    axes = _axes(margins)
    for axis, (before, after) in zip(axes, margins, strict=True):
        if before + after:
            along = [(a, canvas.shape[a] > image.shape[a]) for a in axes if a != axis]
            gap = _bridge(canvas, axis, before + after, along)
            ends = gap.narrow(axis, after, before), gap.narrow(axis, 0, after)
            canvas = torch.cat([ends[0], canvas, ends[1]], axis)
    return canvas.to(image.dtype)


def _bridge(image: Tensor, axis: int, gap: int, along: list[tuple[int, bool]]) -> Tensor:
    """What fills `gap` rows between the last rows and the first ones.

    along: the other axes, and for each whether the image is periodic in it, having been bridged already.
    """
    n = image.shape[axis]
    rows = min(2, n)
    known = torch.cat([image.narrow(axis, n - rows, rows), image.narrow(axis, 0, rows)], axis)
    eigenvalue = torch.zeros((), dtype=torch.float64, device=image.device)
    lengths = []
    for a, periodic in along:
        if not periodic:
            known = torch.cat([known, known.flip(a)], a)
        length = known.shape[a]
        lengths.append(length)
        count = length // 2 + 1 if len(lengths) == len(along) else length  # the last one is a real transform
        frequency = torch.arange(count, dtype=torch.float64, device=image.device) * (2 * math.pi / length)
        eigenvalue = eigenvalue.unsqueeze(-1) + 2 - 2 * frequency.cos()
    interpolation = _interpolation(eigenvalue, gap, rows).to(image.dtype)

    known = known.movedim(axis, -1)
    if along:
        dims = tuple(range(-1 - len(along), -1))
        spectrum = torch.fft.rfftn(known, dim=dims)
        filled = (interpolation.to(spectrum.dtype) @ spectrum.unsqueeze(-1)).squeeze(-1)
        filled = torch.fft.irfftn(filled, s=lengths, dim=dims)
    else:
        filled = (interpolation @ known.unsqueeze(-1)).squeeze(-1)
    filled = filled.movedim(-1, axis)
    for a, _ in along:
        filled = filled.narrow(a, 0, image.shape[a])
    return filled


def _interpolation(eigenvalue: Tensor, gap: int, rows: int) -> Tensor:
    r"""Per frequency, the matrix `(..., gap, 2 rows)` from the known rows to those of the gap.

    In the frequency with the eigenvalue s of the Laplacian along the edge, the rows satisfy
    :math:`(\delta^2 - s)^2 u = 0`, whose solutions are :math:`r^j, j r^j` and their mirror images, with
    :math:`r + 1/r = 2 + s`. One known row on each side leaves the first power of the operator.
    """
    s = eigenvalue.unsqueeze(-1)
    r = 1 + s / 2 - torch.sqrt(s + s * s / 4)
    j = torch.arange(gap + 2 * rows, dtype=torch.float64, device=s.device)
    t = (j / j.mean() - 1).unsqueeze(-1)
    decay = torch.exp(r.log() * j)
    basis = torch.stack([decay, decay.flip(-1)], -1)
    if rows == 2:
        basis = torch.cat([basis, basis * t], -1)
    # Near s = 0 the solutions become the powers of j.
    flat = s.unsqueeze(-1) < (0.05 / (gap + 1)) ** 2
    basis = torch.where(flat, t ** torch.arange(2 * rows, device=s.device), basis)
    edges = torch.cat([basis[..., :rows, :], basis[..., -rows:, :]], -2)
    return basis[..., rows:-rows, :] @ torch.linalg.inv(edges)
