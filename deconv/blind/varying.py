"""Whether one psf explains a photograph, and if not, the psfs of a camera that has turned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..progress import ProgressBar
from .api import EstimateOptions, estimate
from .camera_motion import CameraMotion
from .description import describe
from .frame_tiles import FrameTiles, place_in_frame
from .kernel_estimate import KernelEstimate
from .motion_search import search_motion
from .observation import Observation
from .picture_frame import find_frame
from .support import cropped, extent

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BlurField", "estimate_varying"]

# By how much the psfs of a turning camera must be likelier than one psf, in nats a pixel.
_GAIN = 0.03
# How far the camera may have turned to either side, in pixels at the corner: shares of the psf's extent, and at least.
_REACHES, _LEAST_REACH = (0.15, 0.3, 0.5), 4.0
# Between psfs of the grid those ends of the path that move the most move by so many pixels; psfs along an axis at most.
_MOVE, _MOST = 1.0, 12
# Scales and steps of two searches, for the progress bar.
_REPORTS = 34


@dataclass(frozen=True)
class BlurField:
    """Psfs of a photograph whose blur may vary over the frame.

    Parameters
    ----------
    psfs : Tensor
        `(gy, gx, kh, kw)` at the centres of equal patches, as `psf_field` of the restorations takes them; `(1, 1, kh,
        kw)` where one psf explains all.
    one : KernelEstimate or None
        The one psf of the whole frame that `estimate` has found; None where a grid of tiles was asked for.
    gain : float
        By how much the field is likelier than one psf, in nats a pixel; NaN where that was not asked.
    turn : float
        Between which angles the camera has turned, in degrees; 0 for one psf, NaN where it is not known.
    warnings : tuple of str
        Why no psf is to be trusted; empty where there is one.
    """

    psfs: Tensor
    one: KernelEstimate | None = None
    gain: float = math.nan
    turn: float = math.nan
    warnings: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is a psf to be trusted."""
        return not self.warnings

    @property
    def varies(self) -> bool:
        """Whether there is another psf at another place."""
        return tuple(self.psfs.shape[:2]) != (1, 1)

    @property
    def words(self) -> str:
        """What was found, in half a sentence."""
        if not self.found:
            return "; ".join(self.warnings)
        if not self.varies:
            return f"one psf explains all of the frame: {describe(self.psfs[0, 0]).words}"
        extents = [describe(psf).extent for psf in self.psfs.flatten(0, 1)]
        rows, columns = self.psfs.shape[:2]
        turned = "" if math.isnan(self.turn) else f", as the camera turned by {self.turn:.1f} degrees"
        return (
            f"the blur varies over the frame, from {min(extents):.0f} to {max(extents):.0f} pixels{turned} (grid "
            f"{rows} x {columns})"
        )


def estimate_varying(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    sigma: Any = None,
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> BlurField:
    """Estimate one psf of a photograph, or those of a camera that turned while its shutter was open.

    From the one psf that `estimate` finds, the positions of a camera are sought that explain tiles of the photograph
    best: shifts and turns, see `deconv.blind.camera_motion`. Where these are not clearly likelier than the best psf of
    a camera that does not turn, judged on the same tiles, the one psf is kept. It takes about as long as `estimate`
    once more.

    Parameters
    ----------
    image : array_like
        As for `estimate`.
    kernel_size : int or tuple of int, optional
        As for `estimate`.
    estimated : KernelEstimate, optional
        What `estimate` has found, where that is done already.
    sigma : float or array_like, optional
        As for `estimate`.
    progress : bool, optional
        Show bars; by default on a terminal.
    **options
        Further options of `estimate`.

    Returns
    -------
    BlurField
        Its `psfs` are for `psf_field` of the restorations, of what is inside a sharp frame, if there is one; `words`
        says what was found.

    Raises
    ------
    TypeError, ValueError
        As `estimate`.

    References
    ----------
    Whyte, Sivic, Zisserman and Ponce, "Non-uniform deblurring for shaken images", International Journal of Computer
    Vision 98 (2012).
    """
    if estimated is None:
        estimated = estimate(image, kernel_size, sigma=sigma, progress=progress, **options)
    batch, _ = as_image_batch(image)
    batch = find_frame(batch).inside(batch)
    one = BlurField(estimated.psf[None, None], estimated, 0.0, 0.0, estimated.warnings)
    if not estimated.found:
        return one
    observation = Observation.of(batch, sigma)
    frame = batch.shape[2], batch.shape[3]
    reaches = [max(_LEAST_REACH, share * max(extent(estimated.psf))) for share in _REACHES]
    tiles = FrameTiles.of(frame, extent(estimated.psf))
    if any(s + 2 * reaches[0] > n / 2 for s, n in zip(extent(estimated.psf), tiles.size, strict=True)):
        return one  # the frame is too small to look at parts of it
    with ProgressBar("looking for turns", _REPORTS, shown=progress, unit="step", last=False) as bar:
        turning = search_motion(observation, tiles, estimated.psf, reaches, bar.advance)
        still = search_motion(observation, tiles, estimated.psf, [0.0], bar.advance)
        given = still.judged.of(
            tiles.cut(observation.image), estimated.psf.expand(len(tiles.corners), -1, -1), observation.sigma
        )
    gain = min(still.ranking_score, given.ranking_score) - turning.ranking_score
    if gain < _GAIN:
        return BlurField(estimated.psf[None, None], estimated, gain, 0.0)
    half = math.hypot(*frame) / 2
    turn = math.degrees(turning.motion.turned / half)
    return BlurField(_on_grid(turning.motion, frame), estimated, gain, turn)


def _on_grid(motion: CameraMotion, frame: tuple[int, int]) -> Tensor:
    """Psfs at the centres of patches, so many that neighbours look alike, in the window that they need."""
    half = math.hypot(*frame) / 2
    rows, columns = (min(max(2, math.ceil(motion.turned / 2 * n / half / _MOVE)), _MOST) for n in frame)
    places = [
        place_in_frame((i + 0.5) * frame[0] / rows - 0.5, (j + 0.5) * frame[1] / columns - 0.5, frame)
        for i in range(rows)
        for j in range(columns)
    ]
    psfs = motion.level.psfs(places)
    size = extent(psfs.sum(0))
    return torch.stack([cropped(psf, size) for psf in psfs]).reshape(rows, columns, *size)
