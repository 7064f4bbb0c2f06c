r"""What lies outside the frame of an image, and images continued beyond their frame.

An observation is usually the valid part of the blur of a larger image. A closed-form method, which divides by a
transfer function, sees the jump from the last row to the first one and rings; so does a recursive one that meets a
border. `extend` puts the observation into a larger image that continues it, and `crop` takes the frame out again.

`extend`, `crop` and `fade` work on as many of the last axes as `margins` has pairs: two for images, three for volumes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..choices import check_choice
from ..solvers.precision import full_precision

__all__ = [
    "BLUR_BOUNDARIES",
    "BOUNDARIES",
    "EXTENSIONS",
    "BlurBoundary",
    "Boundary",
    "Extension",
    "Margins",
    "check_blur_boundary",
    "crop",
    "extend",
    "fade",
    "source_index",
]

# What a restoration takes to lie outside the frame. "unknown": nothing, the observation is the valid part of the blur
# of a larger image; "circular": the image repeats; "reflect": mirrored about the edge pixel, which is not repeated;
# "replicate": the edge pixel goes on; "zero": black.
Boundary = Literal["unknown", "circular", "reflect", "replicate", "zero"]

# What a blur takes to lie there. "valid": nothing, the part that needs no outside is kept; the others as above.
BlurBoundary = Literal["valid", "circular", "reflect", "replicate", "zero"]

# How an image is continued beyond its frame. "smooth": periodically, values and slopes; the others as above.
Extension = Literal["smooth", "circular", "reflect", "replicate", "zero"]

BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)
BLUR_BOUNDARIES: tuple[BlurBoundary, ...] = get_args(BlurBoundary)
EXTENSIONS: tuple[Extension, ...] = get_args(Extension)

Margins = Sequence[tuple[int, int]]


def check_blur_boundary(boundary: str) -> None:
    """Refuse what is not a `BlurBoundary`; ``"unknown"`` with the word for what is meant."""
    if boundary == "unknown":
        raise ValueError(
            'boundary: a blur needs to know what is outside the frame, "unknown" is for restorations; "valid" keeps '
            "the part of the blurred image that needs no outside"
        )
    check_choice("boundary", boundary, BLUR_BOUNDARIES)


def extend(image: Tensor, margins: Margins, *, method: Extension = "smooth") -> Tensor:
    r"""Put `image` into a larger one that continues it.

    ``"smooth"`` continues it periodically, values and slopes: on the torus the padded image has no edge anywhere. The
    gap between the last row and the first one of the next period is filled with the solution of the biharmonic
    equation

    .. math:: \Delta^2 u = 0, \qquad u \text{ given on the two rows on either side of the gap,}

    a surface of least bending. A Fourier transform along the edge turns it into one ordinary equation per frequency,
    solved in closed form: the finer a detail along the edge, the faster it fades into the gap. One axis is done after
    the other; while the next one is not yet periodic, the image is mirrored along it.

    Parameters
    ----------
    image : Tensor
        `(..., H, W)` or `(..., D, H, W)`, floating point, any range.
    margins : sequence of pairs of int
        How many rows to add, ``((top, bottom), (left, right))``: one pair per spatial axis.
    method : {"smooth", "circular", "reflect", "replicate", "zero"}
        ``"circular"``: the image repeats; ``"reflect"``: mirrored about the edge pixel, which is not repeated;
        ``"replicate"``: the edge pixel goes on; ``"zero"``: zeros.

    Returns
    -------
    Tensor
        Of the image's dtype and device, larger by the margins; a linear function of `image`, differentiable.

    Raises
    ------
    ValueError
        Unknown method, negative margins, or more pairs than the image has axes.
    TypeError
        `image` is not a floating-point tensor.

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
    check_choice("method", method, EXTENSIONS)
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
            image = image.index_select(axis, source_index(image, axis, before, after, method))
    return image


def crop(image: Tensor, margins: Margins) -> Tensor:
    """Take the frame out of a padded image: undoes `extend`.

    Parameters
    ----------
    image : Tensor
        `(..., H, W)` or `(..., D, H, W)`, padded.
    margins : sequence of pairs of int
        What was added, ``((top, bottom), (left, right))``.

    Returns
    -------
    Tensor
        Smaller by the margins; a view.
    """
    for axis, (before, after) in zip(_axes(margins), margins, strict=True):
        image = image.narrow(axis, before, image.shape[axis] - before - after)
    return image


def fade(image: Tensor, margins: Margins) -> Tensor:
    """Let a padded image fade to zero across its margins, along half a period of a cosine; the frame stays as it is.

    A filter that takes everything outside for zero sees no edge then. Subtract the mean before.
    """
    for axis, (before, after) in zip(_axes(margins), margins, strict=True):
        rise, fall = (
            0.5 - 0.5 * torch.cos((torch.arange(n, device=image.device) + 0.5) * (math.pi / max(n, 1)))
            for n in (before, after)
        )
        frame = rise.new_ones(image.shape[axis] - before - after)
        taper = torch.cat([rise, frame, fall.flip(0)]).to(image.dtype)
        image = image * taper.reshape([-1] + [1] * (-axis - 1))
    return image


def source_index(
    image: Tensor, axis: int, before: int, after: int, boundary: Literal["circular", "reflect", "replicate"]
) -> Tensor:
    """The row of the image that each row of the padded one is a copy of, for any width of padding."""
    n = image.shape[axis]
    row = torch.arange(-before, n + after, device=image.device)
    if boundary == "circular":
        return row % n
    if boundary == "replicate":
        return row.clamp(0, n - 1)
    period = max(2 * (n - 1), 1)
    row = row % period
    return torch.minimum(row, period - row) % n


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
    padded = image.to(torch.promote_types(image.dtype, torch.float32))
    axes = _axes(margins)
    for axis, (before, after) in zip(axes, margins, strict=True):
        if before + after:
            along = [(a, padded.shape[a] > image.shape[a]) for a in axes if a != axis]
            gap = _bridge(padded, axis, before + after, along)
            ends = gap.narrow(axis, after, before), gap.narrow(axis, 0, after)
            padded = torch.cat([ends[0], padded, ends[1]], axis)
    return padded.to(image.dtype)


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
        frequency = torch.arange(length // 2 + 1, dtype=torch.float64, device=image.device) * (2 * math.pi / length)
        eigenvalue = eigenvalue.unsqueeze(-1) + 2 - 2 * frequency.cos()
    interpolation = _interpolation(eigenvalue, gap, rows).to(image.dtype)
    for place, length in enumerate(lengths[:-1]):  # the last one is a real transform, without negative frequencies
        row = torch.arange(length, device=image.device)
        interpolation = interpolation.index_select(place, torch.minimum(row, length - row))

    known = known.movedim(axis, -1)
    if along:
        dims = tuple(range(-1 - len(along), -1))
        spectrum = torch.fft.rfftn(known, dim=dims)
        with full_precision(image.device.type):
            filled = torch.view_as_complex((interpolation @ torch.view_as_real(spectrum)).contiguous())
        filled = torch.fft.irfftn(filled, s=lengths, dim=dims)
    else:
        with full_precision(image.device.type):
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
