"""Where a sensor's values end."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clipped", "clipped_ends", "white_level", "white_seen"]

# Of white, from which on a pixel counts as clipped: the brightest level of 8 bits but one.
_FROM = 254 / 255

# In another unit, clipped pixels are a plateau at the maximum: of so many, and so many times more than the four levels
# below have in the mean. Photographs that are not clipped have fewer the brighter.
_LEAST_COUNT, _LEAST_SHARE, _TIMES = 5, 1e-4, 3.0


def clipped(image: Tensor, *, white: float | None = None) -> Tensor:
    """Which pixels are clipped highlights.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)` or `(B, C, D, H, W)`, floating point.
    white : float, optional
        The value at which the image is clipped. By default 1 where the greatest value is 1 or one level of 8 bits
        below. Greater or lesser ones belong to images in another unit: they are clipped at their maximum if there is a
        plateau of many equal values, and otherwise not at all.

    Returns
    -------
    Tensor
        bool, of the image's shape.

    Raises
    ------
    ValueError
        A white that is not positive.

    Examples
    --------
    >>> import torch
    >>> clipped(torch.tensor([[[[0.2, 0.9, 1.0]]]]))
    tensor([[[[False, False,  True]]]])
    """
    return image >= _FROM * _whites(image, white)


def clipped_ends(image: Tensor, *, white: float | None = None) -> Tensor:
    """At which end of the range pixels are clipped.

    Black is 0, and known where white is.

    Parameters
    ----------
    image, white
        As for `clipped`.

    Returns
    -------
    Tensor
        int8, of the image's shape: 1 at white, -1 at black, 0 between.

    Raises
    ------
    ValueError
        A white that is not positive.

    Examples
    --------
    >>> import torch
    >>> clipped_ends(torch.tensor([[[[0.0, 0.9, 1.0]]]]))
    tensor([[[[-1,  0,  1]]]], dtype=torch.int8)
    """
    whites = _whites(image, white)
    return (image >= _FROM * whites).to(torch.int8) - ((image <= 0) & whites.isfinite()).to(torch.int8)


def _whites(image: Tensor, white: float | None) -> Tensor:
    """The white of each image, `(B, 1, 1, 1)`, infinite where there is none."""
    if white is not None and not white > 0:
        raise ValueError(f"white: expected a positive number, given {white}")
    ends = [white if white is not None else white_level(sample) for sample in image.detach()]
    ends = image.new_tensor([float("inf") if end is None else end for end in ends])
    return ends.view(-1, *[1] * (image.ndim - 1))


def white_level(values: Tensor) -> float | None:
    """The value at which one image is clipped, as its own values show it.

    Parameters
    ----------
    values : Tensor
        Of any shape, floating point.

    Returns
    -------
    float or None
        See `clipped`; None for none.
    """
    peak = float(values.max())
    if _FROM <= peak <= 1:
        return 1.0
    step = (1 - _FROM) * peak
    plateau, below = (int((values >= peak - levels * step).sum()) for levels in (1, 5))
    many = plateau >= max(_LEAST_COUNT, _LEAST_SHARE * values.numel())
    return peak if peak > 0 and many and plateau > _TIMES * (below - plateau) / 4 else None


def white_seen(values: Tensor, full: float | None) -> float | None:
    """The value at which an image is clipped, as its full scale and its values show it.

    Integers of 8 bits are clipped at full scale. Cameras of 10 to 14 bits write words of 16, which end at a plateau
    below it: 4095, say.

    Parameters
    ----------
    values : Tensor
        Of any shape, floating point; of integers, shares of full scale.
    full : float or None
        Of integers that end at white, that number, 255 or 65535; None for others and for floats.

    Returns
    -------
    float or None
        In the unit of `values`; None for none.
    """
    if full is not None and full <= 255:
        return 1.0
    level = white_level(values)
    return level if full is None else level or 1.0
