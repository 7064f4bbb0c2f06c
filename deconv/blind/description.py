"""A psf in words: straight motion, focus or shake, and how far it reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..imaging.psf.moments import centroid

__all__ = ["Description", "describe", "principal_axes"]

Kind = Literal["none", "motion", "focus", "shake"]

# A psf that spreads over less, in pixels along its longer axis, is none.
_NONE = 0.5
# The shorter axis of straight motion, in parts of the longer one, beside what a pixel has of its own.
_STRAIGHT, _PIXEL = 0.2, 0.35
# A round psf has a shorter axis of more than this, and so much of its mass is spread evenly over a disk.
_ROUND, _FILLED = 0.75, 0.7


@dataclass(frozen=True)
class Description:
    """What a psf looks like.

    Attributes
    ----------
    kind : {"none", "motion", "focus", "shake"}
        No blur, straight motion, something round, or any other path.
    extent : float
        Length of a straight line, or diameter of a disk, of the same second moments, in pixels.
    angle : float or None
        Of motion and shake: of the longer axis, in degrees from 0 to 180, counter-clockwise from the horizontal.
    """

    kind: Kind
    extent: float
    angle: float | None

    @property
    def words(self) -> str:
        """In half a sentence."""
        if self.kind == "none":
            return "no blur"
        if self.kind == "focus":
            return f"out of focus by a disk of radius {self.extent / 2:.1f} pixels, or softened as much"
        moved = "the camera moved straight" if self.kind == "motion" else "the camera shook"
        return f"{moved} over about {self.extent:.0f} pixels, at {self.angle:.0f} degrees"

    @property
    def spec(self) -> str | None:
        """The psf of the same kind as ``--psf`` takes it; None for shake and no blur."""
        if self.kind == "motion":
            return f"motion:{self.extent:.1f},{self.angle:.0f}"
        return f"disk:{self.extent / 2:.1f}" if self.kind == "focus" else None


def describe(psf: Tensor) -> Description:
    """Describe a psf by its second moments, and by how evenly it fills a disk.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)`, of positive sum.

    Returns
    -------
    Description

    Examples
    --------
    >>> from deconv.imaging.psf import motion
    >>> describe(motion(17, 30)).kind
    'motion'
    """
    minor, major, angle = principal_axes(psf)
    if major < _NONE:
        return Description("none", 0.0, None)
    if minor < _STRAIGHT * major + _PIXEL and minor < major / 2:
        return Description("motion", math.sqrt(12) * major, angle)
    radius = 2 * math.sqrt((minor**2 + major**2) / 2)
    if minor > _ROUND * major:
        psf, rows, columns = _about_its_middle(psf)
        inside = rows.square() + columns.square() <= radius**2
        even = inside / inside.sum()
        if float(torch.minimum(psf, even).sum()) > _FILLED:
            return Description("focus", 2 * radius, None)
    return Description("shake", math.sqrt(12) * major, angle)


def principal_axes(psf: Tensor) -> tuple[float, float, float]:
    """Standard deviations of a psf along its shorter and its longer axis, in pixels, and the angle of the longer one,
    as of `Description`."""
    psf, rows, columns = _about_its_middle(psf)
    yy, xx, xy = ((psf * product).sum() for product in (rows * rows, columns * columns, rows * columns))
    (shorter, longer), axes = torch.linalg.eigh(torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])]))
    minor, major = float(shorter.clamp_min(0).sqrt()), float(longer.clamp_min(0).sqrt())
    return minor, major, math.degrees(math.atan2(-float(axes[1, 1]), float(axes[0, 1]))) % 180


def _about_its_middle(psf: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A psf of sum 1, float64, and the rows and columns of its taps from its centre of mass."""
    psf = psf.detach().double().cpu().clamp_min(0)
    psf = psf / psf.sum()
    middle = centroid(psf)
    rows, columns = (
        torch.arange(n, dtype=psf.dtype) - (n - 1) // 2 - m for n, m in zip(psf.shape, middle, strict=True)
    )
    rows, columns = torch.meshgrid(rows, columns, indexing="ij")
    return psf, rows, columns
