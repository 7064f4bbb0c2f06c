"""The cosine transform as a matrix."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from .lasting import lasting

__all__ = ["dct_matrix"]


@functools.lru_cache
@lasting
def dct_matrix(size: int) -> Tensor:
    r"""The orthonormal cosine transform of `size` points (DCT-II).

    .. math:: D_{kj} = c_k \cos\left(\frac{\pi}{n} k \left(j + \tfrac12\right)\right), \qquad
              c_0 = \sqrt{1 / n}, \quad c_k = \sqrt{2 / n}

    Parameters
    ----------
    size : int
        n.

    Returns
    -------
    Tensor
        D, `(size, size)`, float64, frequencies k in rows. It is shared between calls: do not change it in place.
    """
    place = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (place + 0.5) * place[:, None]) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix
