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

__all__ = ["go_together", "join", "may_go_together", "noise_of_opponents", "split"]

_OPPONENTS = [
    [1 / math.sqrt(3), 1 / math.sqrt(3), 1 / math.sqrt(3)],
    [1 / math.sqrt(2), 0, -1 / math.sqrt(2)],
    [1 / math.sqrt(6), -2 / math.sqrt(6), 1 / math.sqrt(6)],
]

# The slopes of two colours are compared between means of so many by so many pixels, which have less noise, and go
# together above this correlation. Of 50 photographs, blurred, all are above 0.4 with noise of up to 3 %.
_BLOCK, _CORRELATION = 4, 0.2

# Of no more pixels may all colours be clipped: beyond white but the prior has a say, and opponent colours may come out
# 2 dB worse. Where one or two are clipped, the third tells where these are.
_CLIPPED = 0.05

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


def go_together(image: Tensor, clipped: Tensor | None = None, mask: Tensor | None = None) -> bool:
    """Whether the three channels of an image are alike, and not the same, as the colours of a photograph are, few are
    white, 1 in all channels of `clipped`, and few weigh more in one channel of the mask than in another."""
    image = image.detach()
    if mask is not None and float((mask != mask[:, :1]).any(1).double().mean()) > _MISSING:
        return False
    if clipped is not None and float((clipped > 0).all(1).double().mean()) > _CLIPPED:
        return False
    if bool((image[:, :1] == image[:, 1:]).all()):
        return False
    block = min(_BLOCK, *image.shape[2:])
    means = F.avg_pool2d(image, block)
    slopes = torch.cat([means.diff(dim=axis).transpose(0, 1).flatten(1) for axis in (2, 3)], 1)
    if slopes.shape[1] < 2:
        return False
    return bool(torch.corrcoef(slopes).min() > _CORRELATION)  # not where a channel is flat, which gives NaN


def _basis(like: Tensor) -> Tensor:
    return torch.tensor(_OPPONENTS, dtype=like.dtype, device=like.device)
