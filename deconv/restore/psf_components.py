r"""The psfs of a field as sums of few products, by principal components.

A point at p is seen as :math:`h_p`, and psfs that change slowly over the field have much in common:

.. math:: h_p = h_0 + \sum_{k=1}^K w_k(p)\, h_k

with the mean :math:`h_0` of the psfs on a grid, their principal components :math:`h_k`, and weights that are linear
between the places of the grid. As every psf has the light of the mean, no component has any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..foreign_arrays import as_tensor
from ..imaging.arrays import as_psf

__all__ = ["PsfComponents"]

# The light that may be in the wrong place in any psf of the grid, as a part of all its light. By Young's inequality no
# pixel of the blurred image is wrong by more than this part of the brightest one of the latent image.
_TOLERANCE = 0.03

# How far the light of the psfs may differ.
_SAME_LIGHT = 1e-3


@dataclass(frozen=True)
class PsfComponents:
    """Psfs of a grid as sums of products.

    Parameters
    ----------
    psfs : Tensor
        `(gy, gx, kh, kw)` or `(gz, gy, gx, kd, kh, kw)`.
    components : Tensor
        `(1 + K, kh, kw)`, the mean first.
    coefficients : Tensor
        `(1 + K, gy, gx)`, those of the mean 1.
    to_border : bool
        Whether the outermost psfs are those of the outermost pixels; else all are at the centres of equal patches.
    """

    psfs: Tensor
    components: Tensor
    coefficients: Tensor
    to_border: bool = False

    @classmethod
    def of(cls, field: Any, *, tolerance: float = _TOLERANCE, to_border: bool = False) -> PsfComponents:
        """The fewest components that leave no more than `tolerance` of the light of any psf in the wrong place.

        Parameters
        ----------
        field : array or Tensor
            `(gy, gx, kh, kw)` or `(gz, gy, gx, kd, kh, kw)`: psfs on a grid.
        tolerance : float
            Of :math:`\\|h - \\hat h\\|_1 / \\|h\\|_1`.
        to_border : bool
            As for the class.

        Raises
        ------
        TypeError, ValueError
            Naming `psf_field`, what was given and what is allowed.
        """
        psfs = _checked(field)
        space = psfs.ndim // 2
        grid, size = psfs.shape[:space], psfs.shape[space:]
        rows = psfs.reshape(grid.numel(), -1).double()
        mean = rows.mean(0)
        left, strength, right = torch.linalg.svd(rows - mean, full_matrices=False)
        coefficients = left * strength
        missing, rank = rows - mean, 0
        light = rows.abs().sum(1)
        most = min(len(rows) - 1, rows.shape[1])  # less their mean, n rows span n - 1 dimensions
        while rank < most and bool((missing.abs().sum(1) > tolerance * light).any()):
            missing = missing - coefficients[:, rank, None] * right[rank]
            rank += 1
        components = torch.cat([mean[None], right[:rank]]).reshape(-1, *size)
        weights = torch.cat([torch.ones_like(coefficients[:, :1]), coefficients[:, :rank]], 1).T.reshape(-1, *grid)
        return cls(psfs, components.to(psfs), weights.to(psfs), to_border)

    @property
    def space(self) -> int:
        """Number of spatial axes."""
        return self.psfs.ndim // 2

    @property
    def mean(self) -> Tensor:
        """The mean psf."""
        return self.components[0]

    @property
    def sharpest(self) -> Tensor:
        """The psf with the highest peak."""
        every = self.psfs.flatten(0, self.space - 1)
        return every[int(every.flatten(1).amax(1).argmax())]

    def to(self, image: Tensor) -> PsfComponents:
        """Of the dtype and on the device of an image.

        Raises
        ------
        ValueError
            Psfs larger than the image, or a grid with more patches than it has pixels.
        """
        frame = image.shape[-self.space :]
        size, grid = self.psfs.shape[self.space :], self.psfs.shape[: self.space]
        for name, given in (("psfs of", size), ("a grid of", grid)):
            if any(n > m for n, m in zip(given, frame, strict=True)):
                written, there = (" x ".join(map(str, sizes)) for sizes in (given, frame))
                raise ValueError(f"psf_field: {name} {written} do not fit into an image of {there}")
        return PsfComponents(
            *(t.to(image.device, image.dtype) for t in (self.psfs, self.components, self.coefficients)),
            to_border=self.to_border,
        )

    def weights(self, frame: Sequence[int], margins: Sequence[tuple[int, int]]) -> Tensor:
        """The weights at each pixel of a frame and its margins, `(1 + K, H, W)`; an axis with one patch stays 1 long.

        Beyond the outermost psfs they are constant.
        """
        maps = self.coefficients
        for axis, (n, (before, after)) in enumerate(zip(frame, margins, strict=True), start=1):
            count = maps.shape[axis]
            if count == 1:
                continue
            place = torch.arange(-before, n + after, dtype=torch.float64, device=maps.device)
            place = place * (count - 1) / (n - 1) if self.to_border else (place + 0.5) * count / n - 0.5
            place = place.clamp(0, count - 1)
            low = place.floor().clamp_max(count - 2).long()
            share = (place - low).to(maps).reshape(-1, *[1] * (maps.ndim - axis - 1))
            maps = torch.lerp(maps.index_select(axis, low), maps.index_select(axis, low + 1), share)
        return maps


def _checked(field: Any) -> Tensor:
    """The psfs as a tensor: float32 at least, of one sum."""
    tensor, _ = as_tensor(field, name="psf_field")
    if tensor.ndim not in (4, 6) or tensor.numel() == 0:
        raise ValueError(
            "psf_field: expected psfs on a grid over the field, (gy, gx, kh, kw) or (gz, gy, gx, kd, kh, kw), given "
            f"the shape {tuple(tensor.shape)}"
        )
    space = tensor.ndim // 2
    every = [as_psf(psf, space=2 if space == 2 else 3) for psf in tensor.detach().flatten(0, space - 1)]
    psfs = torch.stack(every)
    sums = psfs.double().flatten(1).sum(1)
    if float(sums.max() - sums.min()) > _SAME_LIGHT * float(sums.mean()):
        raise ValueError(
            f"psf_field: its psfs sum to {float(sums.min()):.4g} to {float(sums.max()):.4g}; divide each by its sum"
        )
    return psfs.reshape(tensor.shape)
