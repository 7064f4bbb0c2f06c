"""From a blurred photograph to the photograph restored, its psf estimated."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ..foreign_arrays import as_tensor
from ..imaging.arrays import FULL_SCALE, as_image_batch
from ..imaging.clipping import white_seen
from ..imaging.srgb import to_linear
from ..restore import hyper_laplacian
from ..restore.pixel_mask import white_of
from .api import EstimateOptions, estimate
from .comparison import why_not_better
from .description import describe
from .field import estimate_field
from .kernel_estimate import KernelEstimate, NoBlurFound, NoImprovement, UncertainBlur
from .observation import channel_noise, effective_noise
from .picture_frame import find_frame
from .varying import BlurField, estimate_varying

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Unpack

__all__ = ["deblur"]

Image = TypeVar("Image")


# One psf for the whole frame; those of a camera that turned, where they explain it better; or a grid of tiles.
Field = Literal["auto"] | tuple[int, int]


@overload
def deblur(
    image: Image,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    field: Field | None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: Literal[False] = False,
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> Image: ...
@overload
def deblur(
    image: Image,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    field: None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: Literal[True],
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> tuple[Image, KernelEstimate]: ...
@overload
def deblur(
    image: Image,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    field: Field,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: Literal[True],
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> tuple[Image, BlurField]: ...
def deblur(
    image: Any,
    kernel_size: int | tuple[int, int] | None = None,
    *,
    estimated: KernelEstimate | None = None,
    field: Field | None = None,
    sigma: Any = None,
    white: float | None = None,
    linear: bool = False,
    info: bool = False,
    progress: bool | None = None,
    **options: Unpack[EstimateOptions],
) -> Any:
    """Estimate the psf of a photograph, and restore the photograph with it.

    Parameters
    ----------
    image : array_like
        As for `estimate`. A sharp frame around it is neither looked at nor restored.
    kernel_size : int or tuple of int, optional
        As for `estimate`.
    estimated : KernelEstimate, optional
        What `estimate` has found, where that is done already.
    field : {None, "auto"} or tuple of int
        None: the blur is the same all over the frame. ``"auto"``: it may be that of a camera that turned while it
        moved, see `estimate_varying`; where one psf explains the frame as well, the result is that of None.
        ``(gy, gx)``: a psf for each of so many tiles, see `estimate_field`, which takes longer.
    sigma : float or array_like, optional
        Standard deviation of the noise, in the image's unit, or one for each channel; by default estimated, and never
        less than a fiftieth of the contrast, for what an estimated psf leaves unexplained.
    white : float, optional
        The value at which the image is clipped, in its unit; by default the greatest one that integers can have, and
        what floats show, see `deconv.imaging.clipping`.
    linear : bool
        The image is an sRGB photograph: restore its linear light, also when estimating.
    info : bool
        Also return the estimate.
    progress : bool, optional
        Show bars; by default on a terminal.
    **options
        Further options of `estimate`: model, starts, refine, prior, callback.

    Returns
    -------
    restored : array_like
        The restored image: kind of array, layout, dtype and range of `image`; where that is clipped, its blur is white
        at least, or black at most. Where no psf is to be trusted, the image as it was.
    estimated : KernelEstimate
        Only with `info`; its `found` says whether the image is restored. With `field` a `BlurField`, whose `words` say
        what was found.

    Raises
    ------
    TypeError, ValueError
        As `estimate`.

    Warns
    -----
    NoBlurFound
        No psf is to be trusted, and why.
    UncertainBlur
        The psf found is as likely wrong as right, see `KernelEstimate`.
    NoImprovement
        The restored image does not explain the given one, or rings: what blur was found, and why the result is judged
        no better. It is returned all the same; ``warnings.simplefilter("error", NoImprovement)`` makes an error of it.
    """
    whole, back = as_image_batch(image)
    frame = find_frame(whole)
    batch = frame.inside(whole)
    light = to_linear(batch) if linear else batch
    level = None if sigma is None else channel_noise(sigma, batch).to(batch)
    values, _ = as_tensor(image, name="image")
    white = white_seen(batch, FULL_SCALE.get(values.dtype)) if white is None else white_of(values.dtype, white)
    found: KernelEstimate | BlurField
    if field is None:
        found = estimated or estimate(light, kernel_size, sigma=level, progress=progress, **options)
    elif field == "auto":
        found = estimate_varying(light, kernel_size, estimated=estimated, sigma=level, progress=progress, **options)
    elif estimated is not None:
        raise ValueError('estimated: is one psf, which goes with field=None and "auto", given a grid of tiles')
    else:
        found = _of_tiles(light, field, kernel_size, level, progress, options)
    if not found.found:
        warnings.warn("; ".join(found.warnings), NoBlurFound, stacklevel=2)
        return (image, found) if info else image
    single = found if isinstance(found, KernelEstimate) else found.one
    for caution in () if single is None else single.cautions:
        warnings.warn(caution, UncertainBlur, stacklevel=2)
    level = effective_noise(light) if level is None else level
    field_of_psfs = found.psfs if isinstance(found, BlurField) and found.varies else None
    if isinstance(found, KernelEstimate):
        psf, words = found.psf, describe(found.psf).words
    else:
        psf, words = (found.psfs if found.varies else found.psfs[0, 0]), found.words
    latent = hyper_laplacian(
        batch,
        psf if field_of_psfs is None else None,
        psf_field=field_of_psfs,
        sigma=level,
        white=white,
        linear=linear,
        progress=progress,
    )
    if reason := why_not_better(batch, latent, psf, sigma=level, linear=linear):
        warnings.warn(f"{words}, but {reason}", NoImprovement, stacklevel=2)
    restored = back(frame.around(latent, whole))
    return (restored, found) if info else restored


def _of_tiles(
    light: Tensor,
    grid: tuple[int, int],
    kernel_size: int | tuple[int, int] | None,
    sigma: Tensor | None,
    progress: bool | None,
    options: EstimateOptions,
) -> BlurField:
    """What `estimate_field` finds."""
    if others := sorted(set(options) - {"starts"}):
        raise ValueError(f"{others[0]}: is for one psf, and tiles take starts only, given field={grid!r}")
    psfs, tiles = estimate_field(
        light, grid, kernel_size, starts=options.get("starts", 4), sigma=sigma, info=True, progress=progress
    )
    nowhere = not any(found.found for found in tiles.values())
    return BlurField(psfs, warnings=("no tile shows a blur of its own",) if nowhere else ())
