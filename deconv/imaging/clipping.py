"""Where a sensor's values end."""

from __future__ import annotations

from torch import Tensor

__all__ = ["clipped"]

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
    if white is not None and not white > 0:
        raise ValueError(f"white: expected a positive number, given {white}")
    ends = [white if white is not None else _white_of(sample) for sample in image.detach()]
    limit = image.new_tensor([float("inf") if end is None else _FROM * end for end in ends])
    return image >= limit.view(-1, *[1] * (image.ndim - 1))


def _white_of(values: Tensor) -> float | None:
    """The value at which one image is clipped; None for none."""
    peak = float(values.max())
    if _FROM <= peak <= 1:
        return 1.0
    step = (1 - _FROM) * peak
    plateau, below = (int((values >= peak - levels * step).sum()) for levels in (1, 5))
    many = plateau >= max(_LEAST_COUNT, _LEAST_SHARE * values.numel())
    return peak if peak > 0 and many and plateau > _TIMES * (below - plateau) / 4 else None
