r"""Overlapping square patches of images, without their means.

A patch of n x n pixels is written in the orthonormal cosine basis without its constant: :math:`n^2 - 1`
coefficients v, in which white noise stays white. What is left out, the mean, says where a patch is in the range of
the image and nothing about what is on it: priors on v do not depend on brightness.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.dct import dct_matrix
from ..ops.lasting import lasting

__all__ = ["PatchGrid", "cosine_basis", "detail_power"]

# Patches whose coefficients are in memory at once.
_AT_ONCE = 2**14


@functools.lru_cache
@lasting
def cosine_basis(size: int) -> Tensor:
    """The orthonormal cosines of a square patch without the constant.

    Parameters
    ----------
    size : int
        Side of the patch, in pixels.

    Returns
    -------
    Tensor
        `(size^2 - 1, size^2)`, float64, from low to high frequency. It is shared between calls: do not change it in
        place.
    """
    place, waves = torch.arange(size, dtype=torch.float64), dct_matrix(size)
    order = torch.argsort((place[:, None] ** 2 + place**2).flatten(), stable=True)[1:]
    return torch.einsum("ai,bj->abij", waves, waves).reshape(size**2, size**2)[order]


def detail_power(size: int, shape: Sequence[int]) -> Tensor:
    r"""Share of each frequency's power that is left in patches without their means.

    .. math:: \operatorname{mean}_i \| P_i x - \overline{P_i x} \|^2 \propto \sum_\omega (1 - |b(\omega)|^2) |\hat x|^2

    on a torus, b being the transfer function of the mean over `size` x `size` pixels.

    Parameters
    ----------
    size : int
        Side of a patch, in pixels.
    shape : sequence of int
        `(H, W)` of the torus.

    Returns
    -------
    Tensor
        :math:`1 - |b|^2` in the layout of `torch.fft.rfft2`, `(H, W // 2 + 1)`, float64: from 0 at frequency 0 to about
        1 from wavelengths of `size` pixels on.
    """
    means = []
    for n in shape:
        box = torch.zeros(n, dtype=torch.float64)
        box.index_add_(0, torch.arange(size) % n, torch.full((size,), 1 / size, dtype=torch.float64))
        means.append(torch.fft.fft(box).abs().square())
    rows, columns = means
    return 1 - rows[:, None] * columns[: len(columns) // 2 + 1]


@dataclass(frozen=True)
class PatchGrid:
    """Patches at every `stride`-th row and column from the first on.

    Parameters
    ----------
    size : int
        Side of a patch, in pixels.
    stride : int
        From 1, every patch there is, to `size`, a tiling.
    """

    size: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.size:
            raise ValueError(f"stride: expected 1 to {self.size}, the side of a patch, given {self.stride}")

    def margins(self, length: int, offset: int) -> tuple[int, int]:
        """How far to continue an axis on both sides so that the grid covers it, from `offset` pixels (0 to stride - 1)
        further out than it must; then all of it is seen by nearly as many patches."""
        before = self.size - self.stride + offset
        after = max(self.size - self.stride, self.size - before - length)
        return before, after + -(before + length + after - self.size) % self.stride

    def bands(self, planes: Tensor) -> Iterator[slice]:
        """Rows of `planes`, `(N, H, W)`, to evaluate together, so that memory stays bounded: every patch is in one."""
        rows, columns = ((n - self.size) // self.stride + 1 for n in planes.shape[1:])
        together = max(1, _AT_ONCE // (len(planes) * columns))
        for first in range(0, rows, together):
            last = min(first + together, rows) - 1
            yield slice(first * self.stride, last * self.stride + self.size)

    def gather(self, planes: Tensor) -> Tensor:
        """Coefficients of all patches, `(N, H, W)` to `(N * patches, size^2 - 1)`."""
        patches = F.unfold(planes.unsqueeze(1), self.size, stride=self.stride)
        return (patches.transpose(1, 2) @ self._basis(planes).T).flatten(0, 1)

    def scatter(self, coefficients: Tensor, like: Tensor) -> Tensor:
        """Adjoint of `gather`: the patches put back and added up, on planes of the shape of `like`."""
        patches = (coefficients @ self._basis(like)).unflatten(0, (len(like), -1))
        return F.fold(patches.transpose(1, 2), like.shape[1:], self.size, stride=self.stride).squeeze(1)

    def counts(self, like: Tensor) -> Tensor:
        """How many patches each pixel is in, `(H, W)`."""
        height, width = (self._count(n, like) for n in like.shape[1:])
        return height[:, None] * width

    def _count(self, length: int, like: Tensor) -> Tensor:
        seen = like.new_zeros(length)
        for first in range(0, length - self.size + 1, self.stride):
            seen[first : first + self.size] += 1
        return seen

    def _basis(self, like: Tensor) -> Tensor:
        return cosine_basis(self.size).to(like)
