r"""Three colours as what they have in common and two differences, which a restoration sees better apart.

An edge of a photograph is one in all three colours, and a prior would look for it three times, each time in all the
noise. In opponent colours

.. math:: o = M \begin{pmatrix} r \\ g \\ b \end{pmatrix}, \qquad
    M = \begin{pmatrix} 1/\sqrt3 & 1/\sqrt3 & 1/\sqrt3 \\ 1/\sqrt2 & 0 & -1/\sqrt2 \\
    1/\sqrt6 & -2/\sqrt6 & 1/\sqrt6 \end{pmatrix},

nearly all of the contrast is in the first, and what is left of it in the others is smooth. M is orthonormal: noise that
is white and alike in all colours stays so, and where all have one psf, the misfit is the same sum of squares. What is
known of a single colour, as that a pixel of it was clipped, is asked of `join`.

References
----------
Ohta, Kanade and Sakai, "Color information for region segmentation", Computer Graphics and Image Processing 13, 1980.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["MIDDLE", "central_span", "go_together", "join", "may_go_together", "noise_of_opponents", "split"]

_OPPONENTS = [
    [1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)],
    [1 / math.sqrt(2), 0, -1 / math.sqrt(2)],
    [1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)],
]

# Pixels along each axis of the middle of an image by which it is decided whether its colours go together, so that any
# piece of it is restored as the whole is; it takes no memory to speak of.
MIDDLE = 1024

# The slopes of two colours are compared between means of so many by so many pixels, which have less noise, and go
# together above this correlation. Of 50 photographs, blurred, all are above 0.4 with noise of up to 3 %.
_BLOCK, _CORRELATION = 4, 0.2

# Beyond white but the prior has a say, and opponent colours come out up to 6 dB worse where more than this share of the
# pixels is white in all colours. But the noise of paper, or of a sky that is white and no more, leaves values between
# those that are white, so many parts of white below it in the median; and then they come out 1 to 3.5 dB better.
_CLIPPED, _SPECKLED = 0.05, 1.5 / 255

# Lamps come out up to 3.5 dB worse, however few. They are white in all colours in more than this share of the pixels
# that are in one, and have less than that share of theirs in windows of so many psfs' sides that are so full.
_ALL_OF_ANY, _WIDE, _PSF_SIDES, _FULL = 0.4, 1 / 3, 3, 0.4

# Of no more pixels may something be missing in one colour only: they are left out of all.
_MISSING = 0.01


def split(image: Tensor) -> Tensor:
    """Opponent colours as samples of their own, of `(B, 3, H, W)`: `(3 B, 1, H, W)`."""
    return torch.einsum("oc,bchw->bohw", _basis(image), image).contiguous().flatten(0, 1).unsqueeze(1)


def join(opponents: Tensor) -> Tensor:
    """The inverse of `split`, and its adjoint."""
    return torch.einsum("oc,bohw->bchw", _basis(opponents), opponents.squeeze(1).unflatten(0, (-1, 3))).contiguous()


def noise_of_opponents(sigma: Tensor) -> Tensor:
    r"""Standard deviations of the noise of opponent colours, `(3 B,)` in the order of `split`,

    .. math:: \sqrt{\textstyle\sum_c M_{oc}^2 \sigma_c^2},

    given one number or `(B,)` for all colours, or `(B, 3)`.
    """
    each = sigma.reshape(-1, 1).expand(-1, 3) if sigma.ndim < 2 else sigma.reshape(*sigma.shape[:2]).expand(-1, 3)
    return (each.square() @ _basis(each).square().T).sqrt().flatten()


def may_go_together(image: Tensor, psf: Any, given: Sequence[Any] = ()) -> bool:
    """Whether an image, `(B, C, H, W)`, has three channels of which nothing is known of one only.

    Parameters
    ----------
    image : Tensor
        The observation.
    psf : array or Tensor
        As methods take it.
    given : sequence
        A method's own numbers, which must be one for all samples and channels; or a denoiser, which may know colours.
    """
    if image.ndim != 4 or image.shape[1] != 3 or (psf.ndim > 2 and psf.shape[1] > 1):
        return False
    return not any(callable(value) or any(n > 1 for n in tuple(getattr(value, "shape", ()))[:2]) for value in given)


def central_span(length: int, side: int = MIDDLE) -> tuple[int, int]:
    """Where the middle of an axis begins and ends, of so many pixels or of all there are."""
    start = max(length - side, 0) // 2
    return start, start + min(length, side)


def go_together(image: Tensor, size: int, clipped: Tensor | None = None, mask: Tensor | None = None) -> bool:
    """Whether the three channels of an image are alike, and not the same, as the colours of a photograph are, what is
    white, 1 in all channels of `clipped`, is no brighter, and few pixels weigh more in one channel of the mask than in
    another. `size` is the longest side of the psf."""
    image = image.detach()
    if mask is not None and float((mask != mask[:, :1]).any(1).double().mean()) > _MISSING:
        return False
    if clipped is not None and _is_beyond_white(image, clipped > 0, size):
        return False
    if bool((image[:, :1] == image[:, 1:]).all()):
        return False
    block = min(_BLOCK, *image.shape[2:])
    means = F.avg_pool2d(image, block)
    slopes = torch.cat([means.diff(dim=axis).transpose(0, 1).flatten(1) for axis in (2, 3)], 1)
    if slopes.shape[1] < 2:
        return False
    return bool(torch.corrcoef(slopes).min() > _CORRELATION)  # not where a channel is flat, which gives NaN


def _is_beyond_white(image: Tensor, clipped: Tensor, size: int) -> bool:
    """Whether the latent image is brighter where the image is white in all colours: in lamps, or where much is white
    and its noise does not show."""
    white = clipped.all(1, keepdim=True).float()
    share = float(white.mean())
    if share > _CLIPPED:
        beside = F.max_pool2d(white, 3, stride=1, padding=1) > white
        below = 1 - image.mean(1, keepdim=True)[beside] / image.amax()
        if not beside.any() or float(below.median()) > _SPECKLED:
            return True
    if share <= _ALL_OF_ANY * float(clipped.any(1).float().mean()):
        return False
    window = [min(_PSF_SIDES * size, n) for n in white.shape[2:]]
    full = F.avg_pool2d(white, window)
    return float(full[full > _FULL].sum()) < _WIDE * float(full.sum())


def _basis(like: Tensor) -> Tensor:
    return torch.tensor(_OPPONENTS, dtype=like.dtype, device=like.device)
