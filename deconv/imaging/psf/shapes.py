"""Blurs with a simple shape: Gaussian, disk (defocus), box, and the straight line of linear motion."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .window import Size, check_size, finish, offsets, positive, resolve

__all__ = ["box", "disk", "gaussian", "motion"]

Interval = Callable[[Tensor], tuple[Tensor, Tensor]]

# Lines per pixel on which the area of a shape is summed; along a line it is exact.
_LINES = 64
_AT_ONCE = 2**22


def gaussian(sigma: float, size: Size = None) -> Tensor:
    r"""Gaussian blur: :math:`\exp(-r^2 / 2\sigma^2)` at the pixel centres.

    Sampling gives the transfer function :math:`\exp(-\sigma^2 \omega^2 / 2)`, to 1 % from sigma = 1 on, and exactly the
    variance sigma squared. Below 0.5 pixels it approaches no blur at all.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels.
    size : int or pair of int, optional
        Of the array; by default four sigma to each side.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A standard deviation that is not positive, or a size that is not.

    Examples
    --------
    >>> gaussian(0.8, 3)[1]
    tensor([0.1248, 0.2725, 0.1248])
    """
    positive(sigma=sigma)
    size = resolve(size, 4 * sigma + 0.5, must_hold=False)
    row, column = offsets(size)
    return finish(torch.exp(-(row**2 + column**2) / (2 * sigma**2)), size)


def disk(radius: float, size: Size = None) -> Tensor:
    """Uniform disk, the blur of a defocused lens: each pixel holds the area of the disk within it.

    Parameters
    ----------
    radius : float
        In pixels; 0.5 or less is no blur.
    size : int or pair of int, optional
        Of the array; by default just large enough.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A radius that is not positive, or a size too small for it.
    """
    positive(radius=radius)
    radius = max(radius, 0.5)  # what lies within one pixel is one point, also between the lines that are integrated
    size = resolve(size, radius, must_hold=True)

    def chord(y: Tensor) -> tuple[Tensor, Tensor]:
        half = (radius**2 - y**2).clamp_min(0).sqrt()
        return -half, half

    area = _area(chord, resolve(None, radius, must_hold=True))
    return finish(area + area.T, size)


def box(width: float | tuple[float, float]) -> Tensor:
    """Mean over a rectangle.

    Parameters
    ----------
    width : float or pair of float
        In pixels, of both sides or `(height, width)`. A whole number gives so many equal taps; when it is even, their
        middle lies half a pixel after the centre. Other widths are centred, and the outermost taps hold the part of
        their pixel that is covered.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A width that is not positive.

    Examples
    --------
    >>> box((1, 2.5))
    tensor([[0.3000, 0.4000, 0.3000]])
    """
    sides = (width, width) if isinstance(width, int | float) else tuple(width)
    if len(sides) != 2:
        raise ValueError(f"width: expected a number or two, given {width!r}")
    for side in sides:
        positive(width=side)
    check_size([math.ceil(side) for side in sides])
    rows, columns = (_line(side) for side in sides)
    taps = rows[:, None] * columns
    return (taps / taps.sum()).float()


def motion(length: float, angle: float = 0.0, size: Size = None) -> Tensor:
    """Linear motion at constant speed: a line one pixel wide, each pixel holds the area of the line within it.

    Parameters
    ----------
    length : float
        In pixels; a whole number of them at 0 or 90 degrees gives so many equal taps.
    angle : float
        In degrees, counter-clockwise as seen on the screen; 0 is horizontal, 90 vertical.
    size : int or pair of int, optional
        Of the array; by default just large enough.

    Returns
    -------
    Tensor
        `(kh, kw)`, float32, sum 1.

    Raises
    ------
    ValueError
        A length that is not positive, an angle that is not finite, or a size too small.

    Examples
    --------
    >>> motion(3)
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    positive(length=length)
    if not math.isfinite(angle):
        raise ValueError(f"angle: expected degrees, given {angle!r}")
    angle = (angle + 90) % 180 - 90  # a line has no direction: from here on the cosine is positive
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    if abs(sin) > abs(cos):
        wanted = size if size is None or isinstance(size, int) else (size[1], size[0])
        return motion(length, 90 - angle, wanted).T.contiguous()
    reach = (length * abs(sin) + abs(cos)) / 2, (length * abs(cos) + abs(sin)) / 2

    def chord(y: Tensor) -> tuple[Tensor, Tensor]:
        # Rows count downwards, so the line runs along (cos, -sin) and its width along (sin, cos).
        start, end = (y * sin - length / 2) / cos, (y * sin + length / 2) / cos
        if abs(sin) > 1e-9:
            sides = torch.stack([(-y * cos - 0.5) / sin, (-y * cos + 0.5) / sin])
            start, end = torch.maximum(start, sides.amin(0)), torch.minimum(end, sides.amax(0))
        else:
            end = torch.where(y.abs() <= 0.5, end, start)
        return start, end

    size = resolve(size, reach, must_hold=True)
    return finish(_area(chord, resolve(None, reach, must_hold=True)), size)


def _line(width: float) -> Tensor:
    """The covered length of each pixel under a segment."""
    if float(width).is_integer():
        return torch.ones(int(width), dtype=torch.float64)
    (side, _) = resolve(None, width / 2, must_hold=True)
    pixel = torch.arange(side, dtype=torch.float64) - side // 2
    return (width / 2 - pixel.abs() + 0.5).clamp(0, 1)


def _area(chord: Interval, size: tuple[int, int]) -> Tensor:
    """The area of a convex shape within each pixel; `chord(y)` is the interval of x it covers at height y."""
    row, column = offsets(size)
    line = (torch.arange(_LINES, dtype=torch.float64) + 0.5) / _LINES - 0.5
    rows = []
    for part in row.split(max(1, _AT_ONCE // (_LINES * column.numel()))):
        start, end = chord((part + line)[..., None])  # (rows, lines, 1)
        covered = torch.minimum(end, column + 0.5) - torch.maximum(start, column - 0.5)
        rows.append(covered.clamp_min(0).mean(1))
    return torch.cat(rows)
