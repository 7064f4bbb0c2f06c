"""Psfs that are neither given nor estimated: what a streak of light shows, and no blur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .blurs import Blur

if TYPE_CHECKING:
    from torch import Tensor

    from .source import Source

__all__ = ["advised_streak", "blur_from_streak", "no_blur"]

# Of the streak's height over the dark around it, what counts as dark.
_DARK = 0.05

# An estimated psf that is at least so similar to the lights is not in contradiction to them.
_SIMILAR = 0.7


def advised_streak(source: Source, estimated: Tensor | None) -> str | None:
    """What ``--psf-from`` would take of a picture whose lights are drawn out in one and the same manner, unlike the psf
    that was estimated; None where there is nothing to advise."""
    from ..blind import kernel_similarity
    from ..blind.light_streaks import common_streak
    from ..blind.observation import widest_window
    from ..imaging.srgb import to_linear

    if not source.photograph:
        return None
    height, width = source.batch.shape[-2:]
    streak = common_streak(to_linear(source.batch[0]).mean(0), widest_window((height, width)))
    if streak is None or (estimated is not None and kernel_similarity(estimated, streak.psf) >= _SIMILAR):
        return None
    (top, bottom), (left, right) = streak.rows, streak.columns
    return f"{left},{top},{right - left},{bottom - top}"


def blur_from_streak(source: Source, text: str) -> Blur:
    """The psf of the rectangle ``X,Y,W,H`` of a picture: its light above that of the rectangle's border."""
    import torch

    from ..imaging.srgb import to_linear

    height, width = source.batch.shape[-2:]
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--psf-from: expected four whole numbers X,Y,W,H, given {text!r}") from None
    if not (x >= 0 and y >= 0 and min(w, h) >= 3 and x + w <= width and y + h <= height):
        raise ValueError(f"--psf-from: {text} is not a rectangle of 3 x 3 pixels or more in {width} x {height}")
    patch = source.batch[0, :, y : y + h, x : x + w]
    light = (to_linear(patch) if source.photograph else patch).mean(0).cpu()
    border = torch.cat([light[0], light[-1], light[:, 0], light[:, -1]])
    streak = light - border.median()
    streak = torch.where(streak > _DARK * streak.max(), streak, 0)
    if not float(streak.sum()) > 0 or float(streak.max()) < 3 * float(border.std()):
        raise ValueError(f"--psf-from: in {text} nothing stands out from its border")
    psf = _centred(streak / streak.sum())
    return Blur(psf, f"from the streak at {text} ({' x '.join(map(str, psf.shape))})")


def no_blur() -> Blur:
    """The psf of a single point."""
    import torch

    return Blur(torch.ones(1, 1), "none, only noise is taken away")


def _centred(streak: Tensor) -> Tensor:
    """In the least window of odd size whose centre is its centre of mass, to half a pixel."""
    import torch

    from ..imaging.psf.moments import centroid

    rows, columns = streak.nonzero(as_tuple=True)
    middle = [(n - 1) // 2 + round(float(m)) for n, m in zip(streak.shape, centroid(streak), strict=True)]
    reach = [int((places - m).abs().max()) for places, m in zip((rows, columns), middle, strict=True)]
    psf = torch.zeros(2 * reach[0] + 1, 2 * reach[1] + 1)
    psf[rows - middle[0] + reach[0], columns - middle[1] + reach[1]] = streak[rows, columns].float()
    return psf
