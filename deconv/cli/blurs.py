"""Psfs as people give them to the commands: files, texts, one for each channel, on voxels of another size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .psf_fields import read_field

if TYPE_CHECKING:
    from torch import Tensor

    from ..blind.picture_frame import PictureFrame
    from ..imaging.picture import VoxelSize

__all__ = ["Blur", "on_voxels", "read_blur"]

# Voxels whose sizes agree to this count as the same.
_SAME = 0.01


@dataclass(frozen=True)
class Blur:
    """A psf and what to call it in the summary line.

    Attributes
    ----------
    psf : Tensor
        `(kh, kw)` or `(kd, kh, kw)`; one for each channel as `(1, C, kh, kw)` or `(1, C, kd, kh, kw)`.
    words : str
        What it is.
    voxel : VoxelSize or None
        Of its file.
    field : Tensor or None
        Psfs `(gy, gx, kh, kw)` where the blur varies over the frame; `psf` is then their mean, or the one that was
        found for all of it.
    frame : PictureFrame or None
        Lines around the picture that it has not blurred, and that are not restored.
    """

    psf: Tensor
    words: str
    voxel: VoxelSize | None = None
    field: Tensor | None = None
    frame: PictureFrame | None = None

    @property
    def space(self) -> int:
        """Number of its spatial axes."""
        return self.psf.ndim if self.psf.ndim <= 3 else self.psf.ndim - 2

    @property
    def size(self) -> tuple[int, ...]:
        """Along these axes."""
        return tuple(self.psf.shape[-self.space :])


def read_blur(texts: str | Sequence[str], *, recentre: bool = False) -> Blur:
    """The psf in a file, or the one that a text like ``motion:15,30`` describes; several are one for each channel."""
    if not isinstance(texts, str) and len(texts) > 1:
        blurs = [read_blur(text, recentre=recentre) for text in texts]
        if any(blur.field is not None or blur.psf.ndim != blurs[0].psf.ndim or blur.psf.ndim > 3 for blur in blurs):
            raise ValueError("--psf: several are one for each channel; expected each to be one psf of as many axes")
        words = ", ".join(blur.words for blur in blurs)
        return Blur(_for_channels([blur.psf for blur in blurs]), words, blurs[0].voxel)
    from ..imaging import psf
    from ..imaging.psf.stored import read_psfs

    text = texts if isinstance(texts, str) else texts[0]
    name, colon, _ = text.partition(":")
    if Path(text).exists() or (not colon and Path(name).suffix):
        if (field := read_field(text)) is not None:
            size = " x ".join(map(str, field.shape[2:]))
            return Blur(
                field.mean((0, 1)),
                f"{Path(text).name} ({' x '.join(map(str, field.shape[:2]))} of {size})",
                field=field,
            )
        found, voxel = read_psfs(text, recentre=recentre)
        said = "; ".join(dict.fromkeys(str(report) for _, report in found))
        if len(found) == 1:
            return Blur(found[0][0], f"{Path(text).name} ({said})", voxel)
        return Blur(_for_channels([h for h, _ in found]), f"{Path(text).name} ({len(found)} channels, {said})", voxel)
    values = psf.parse(text)
    return Blur(values, f"{text} ({' x '.join(map(str, values.shape))})")


def on_voxels(blur: Blur, voxel: VoxelSize | None) -> Blur:
    """The psf on voxels of the image's size, where both are known and differ, with a word on it."""
    if blur.voxel is None or voxel is None:
        return blur
    pairs = list(zip(blur.voxel.sizes()[-blur.space :], voxel.sizes()[-blur.space :], strict=True))
    factors = [1.0 if own is None or wanted is None else wanted / own for own, wanted in pairs]
    factors = [1.0 if abs(factor - 1) <= _SAME else factor for factor in factors]
    if all(factor == 1 for factor in factors):
        return blur
    from ..imaging.psf import resample

    if blur.psf.ndim == blur.space:
        psf = resample(blur.psf, factors)
    else:
        psf = _for_channels([resample(channel, factors) for channel in blur.psf[0]])
    size = " x ".join(map(str, psf.shape[-blur.space :]))
    scale = " x ".join(f"{factor:.3g}" for factor in factors)
    return replace(blur, psf=psf, words=f"{blur.words}, resampled to the image's voxels, {scale} of its own, {size}")


def _for_channels(psfs: Sequence[Tensor]) -> Tensor:
    """Psfs of any sizes as `(1, C, kh, kw)` or `(1, C, kd, kh, kw)`, their centres in one place."""
    import torch
    import torch.nn.functional as F

    size = [max(sides) + 1 - max(sides) % 2 for sides in zip(*(psf.shape for psf in psfs), strict=True)]
    padded = []
    for psf in psfs:
        pad: list[int] = []
        for n, s in zip(reversed(size), reversed(psf.shape), strict=True):
            before = (n - 1) // 2 - (s - 1) // 2
            pad += [before, n - s - before]
        padded.append(F.pad(psf, pad))
    return torch.stack(padded)[None]
