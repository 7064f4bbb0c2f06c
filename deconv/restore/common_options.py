"""The keywords that every restoration takes, said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor
from typing_extensions import TypedDict

from ..imaging.boundary import Boundary
from ..shared_options import explain
from .statistics import Statistics

__all__ = ["CommonOptions", "explain_common_options"]


class CommonOptions(TypedDict, total=False):
    """Keywords that every restoration takes.

    Attributes
    ----------
    psf_field : array, Tensor or callable, optional
        In the place of `psf`, one that varies over the field: psfs at the centres of a grid of equal patches,
        `(gy, gx, kh, kw)`, or `(gz, gy, gx, kd, kh, kw)`; a patch sees what a point of light there becomes. Or a
        function ``psf(y, x)`` or ``psf(z, y, x)`` of the place in pixels, which is asked for a grid of places from
        border to border, so fine that it is linear in between. They are taken apart into the fewest principal
        components that keep 97 % of the light of each in place, and the whole is one solve. Of several frames one
        for all, or a list or tuple with a grid or a function for each, of sizes of their own; a psf that is the same
        everywhere is the grid ``psf[None, None]``.
    frames : bool
        The first axis of `image` counts frames: registered observations of one latent image, in one unit. A list or
        tuple of images is frames anyway. `psf`, `psf_field`, `sigma`, `mask` and `background` then are one for all, or
        a list with one for each, and the result is like one frame. Frames count by the inverse of their noise's
        variance.
    sigma : float, array or Tensor, optional
        Standard deviation of the noise, in the image's unit (0.01 is 1 % of full scale): a number, `(B,)` or `(B, C)`.
        By default estimated, for each channel and frame; where the prior is learnt or a denoiser, with what the psf
        gets wrong, see `deconv.restore.psf_error`.
    boundary : {"unknown", "circular", "reflect", "replicate", "zero"}
        What lies outside the frame. ``"unknown"``, the default: the latent image goes on and is solved for;
        ``"circular"``: it repeats; ``"reflect"``: mirrored about the edge pixel; ``"replicate"``: the edge pixel goes
        on; ``"zero"``: nothing. All but the first are for images that a computer has blurred that way.
    mask : array, Tensor or "auto", optional
        Weight of each pixel in [0, 1], `H x W` or like the image; False or 0 marks what is missing or wrong, also NaN,
        and is to be filled in. ``"auto"``: what is not finite, or stands out as nothing that the psf has blurred does,
        as cosmic rays and hot pixels; and what is clipped counts as `white` says. By default all count but such
        outliers that are more than ten times the contrast away, of which a `RestorationWarning` tells.
    white : float, optional
        The value at which the image is clipped, in its unit: of such pixels, the blurred latent image is known to be at
        least white, and of those at 0, at most black. For ``mask="auto"`` by default the full scale of integers, and
        for floats their greatest value where it is a plateau, see `deconv.imaging.clipping`; else by default nothing
        counts as clipped.
    channel_axis : int, optional
        Which axis of the image counts its channels, 0 for `C x H x W`; by default as `deconv.imaging.arrays` lists.
    colours : bool, optional
        Restore three channels as opponent colours: what they have in common and two differences, see
        `deconv.restore.colours`; of a photograph about 1 dB better than each by itself. By default wherever the slopes
        of the channels go together, little is known to be white and more, psf and parameters are the same for all, and
        the method is not `richardson_lucy`; tiles of dask arrays only if asked.
    linear : bool
        The image is an sRGB photograph: restore its linear light. `sigma` then is in the light's unit.
    statistics : Statistics, optional
        What automatic parameters are chosen by, where the image is a piece of a larger one; by default measured. Of its
        opponent colours where it is restored by them.
    tolerance : float
        Stop when no sample's latent image changes by more than this, relatively; 0, the default: never.
    callback : callable, optional
        Called as ``callback(iteration, image)`` after each iteration; stops by returning True.
    progress : bool, optional
        Show a bar; by default on a terminal, from the first second on.
    info : bool
        Return the pair ``(restored, ConvergenceInfo)`` in place of the restored image.
    """

    psf_field: np.ndarray | Tensor | Callable[..., Any] | None
    frames: bool
    sigma: float | Sequence[float] | np.ndarray | Tensor | None
    boundary: Boundary
    mask: np.ndarray | Tensor | Literal["auto"] | Sequence[np.ndarray | Tensor | None] | None
    white: float | None
    channel_axis: int | None
    colours: bool | None
    linear: bool
    statistics: Statistics | None
    tolerance: float
    callback: Callable[[int, Any], bool | None] | None
    progress: bool | None
    info: bool


explain_common_options = explain(CommonOptions, "common")
