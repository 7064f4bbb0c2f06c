"""The loop around every restoration method: an array in, iterates of a latent image, an array of the same kind out.

A method is a function ``f(image, psf, *, its options, num_iter, **common)`` and a generator: given a `Problem`, it
yields better and better latent images, without end. `run` adapts arrays, estimates the noise, lays out the padded
domain, counts the iterations, reports, stops, and crops, so that the method is only its mathematics.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor
from typing_extensions import Unpack

from ..imaging.srgb import to_linear, to_srgb
from ..progress import ProgressBar
from ..solvers.precision import in_full_precision
from .arguments import as_psfs, as_sigma
from .colours import go_together, join, may_go_together, noise_of_opponents, split
from .common_options import CommonOptions
from .convergence import ConvergenceInfo, Minimisation
from .frames import Observation, frames_of, one_for_each, stacked
from .methods import METHODS
from .pixel_mask import outliers, read_masked
from .problem import Problem
from .psf_components import PsfComponents
from .sampled_field import components_of
from .statistics import Statistics, power_of_two

__all__ = ["Image", "RestorationWarning", "run", "warn_of_ripples"]

Image = TypeVar("Image")


class NoiseRule(Protocol):
    """Makes better statistics of those of an image, whose noise was estimated without its psf."""

    def __call__(
        self, statistics: Statistics, image: Tensor, psf: Tensor, *, mask: Tensor | None, clipped: Tensor | None
    ) -> Statistics: ...


# Standard deviations from the mean that are far: outliers are looked for where there are such values.
_FAR = 10.0

# A few values that raise the contrast so many times over leave ripples behind a linear filter that others can see.
_RIPPLES = 30.0

# A relative change that counts as none where no tolerance is given.
_CONVERGED = 1e-3


class RestorationWarning(UserWarning):
    """The image is not what the method takes it for."""


@in_full_precision
def run(
    image: Image | Sequence[Image],
    psf: Any,
    iterates: Callable[[Problem], Iterator[Tensor]],
    *,
    num_iter: int,
    name: str,
    apart: bool = True,
    noise_rule: NoiseRule | None = None,
    opponents: bool = True,
    given: Sequence[Any] = (),
    **common: Unpack[CommonOptions],
) -> Image:
    """Restore an image by a generator of latent images.

    Parameters
    ----------
    image : array or Tensor
        See `deconv.imaging.arrays`.
    psf : array or Tensor
        See `deconv.restore.arguments.as_psfs`.
    iterates : callable
        Makes the iterator for a `Problem`; a `Minimisation` where there is an objective to report. One that ends has
        converged.
    num_iter : int
        Iterations, at most.
    name : str
        Of the method, for the progress bar and for errors.
    apart : bool
        As for `deconv.restore.padded_domain.PaddedDomain`.
    noise_rule : callable, optional
        What is made of the statistics of one image with one psf where its noise is estimated, given the image, the psf,
        and by their names mask and clipped pixels: `deconv.restore.psf_error.with_psf_error`.
    opponents : bool
        Whether colours may be restored as opponent ones, see `deconv.restore.colours`.
    given : sequence
        The method's own numbers and denoiser, see `deconv.restore.colours.may_go_together`.
    **common : CommonOptions
        As the method was given them.

    Returns
    -------
    array or Tensor
        Like `image`; a pair with `ConvergenceInfo` if `info` is asked for.
    """
    for option in common:
        if option not in CommonOptions.__annotations__:
            raise TypeError(f"{name}() got an unexpected keyword argument {option!r}")
    colours = common.get("colours")
    if num_iter < 1 or num_iter % 1:
        raise ValueError(f"num_iter: expected a whole number of at least 1, given {num_iter}")
    tolerance = common.get("tolerance", 0.0)
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected 0 or more, given {tolerance}")
    linear, callback, info = common.get("linear", False), common.get("callback"), common.get("info", False)
    frames = frames_of(image, common.get("frames", False))
    layout = {"white": common.get("white"), "channel_axis": common.get("channel_axis")}
    field = common.get("psf_field")
    if (psf is None) == (field is None):
        raise TypeError("psf: expected one of psf and psf_field, given " + ("none" if psf is None else "both"))
    if frames is not None or field is not None:
        _check_general(name, "several frames are" if field is None else "psf_field is")
    observe = _observe if field is None else _observe_field
    name_of_psf, psf = ("psf", psf) if field is None else ("psf_field", field)
    blur: Tensor | PsfComponents | list[PsfComponents]
    if frames is None:
        seen, back, blur = observe(image, psf, common.get("mask"), **layout)
    else:
        count = len(frames)
        psfs, masks = one_for_each(name_of_psf, psf, count), one_for_each("mask", common.get("mask"), count)
        read = [observe(*given, **layout) for given in zip(frames, psfs, masks, strict=True)]
        seen, back = stacked([frame for frame, _, _ in read]), read[0][1]
        components = [own for _, _, own in read if isinstance(own, PsfComponents)]
        blur = components or seen.psf
    statistics, sigma = common.get("statistics"), common.get("sigma")
    light = to_linear(seen.image) if linear else seen.image
    single = isinstance(blur, Tensor) and frames is None
    together = opponents and frames is None and may_go_together(light, seen.psf, given)
    if colours and not together:
        raise ValueError(
            f"colours: {name} takes three channels of an image that share psf and parameters, given the shape "
            f"{tuple(light.shape)}, or something for one of them"
        )
    if together:
        size = max(seen.psf.shape[-2:])
        together = go_together(seen.image, size, seen.clipped, seen.mask) if colours is None else colours
    if together:
        seen, light, statistics, sigma = _as_opponents(seen, light, statistics, sigma)
        blur = seen.psf if single else blur
    elif statistics is None and sigma is None and not linear:
        statistics = seen.statistics
    problem = Problem.of(
        light,
        blur,
        num_iter=num_iter,
        sigma=sigma,
        boundary=common.get("boundary", "unknown"),
        mask=seen.mask,
        clipped=seen.clipped,
        statistics=statistics,
        apart=apart,
        frames=frames is not None,
        colours=together,
    )

    if noise_rule is not None and single and common.get("sigma") is None and common.get("statistics") is None:
        ends = seen.clipped
        if together and ends is not None:
            ends = (ends != 0).any(1, keepdim=True).repeat_interleave(3, 0)
        seen_as = {"mask": seen.mask, "clipped": ends}
        problem = replace(problem, statistics=noise_rule(problem.statistics, problem.image, seen.psf, **seen_as))

    def deliver(latent: Tensor) -> Image:
        restored = problem.domain.crop(latent) * problem.unit
        restored = join(restored) if together else restored
        return back(to_srgb(restored) if linear else restored)

    latents = iterates(problem)
    latent, done, change, previous, ended = problem.domain.image, 0, None, None, False
    with ProgressBar(name.replace("_", " "), num_iter, shown=common.get("progress"), delay=1.0) as bar:
        while done < num_iter:
            following = next(latents, None)
            if following is None:
                ended = True
                break
            latent, done = following, done + 1
            bar.advance()
            if tolerance > 0 or info:
                change = None if previous is None else _change(latent, previous)
                previous = latent
            if callback is not None and callback(done - 1, deliver(latent)):
                break
            if tolerance > 0 and change is not None and change <= tolerance:
                break
    if not info:
        return deliver(latent)
    objective = None
    if isinstance(latents, Minimisation):
        unit = problem.unit.double().flatten() ** latents.degree
        objective = float((latents.objective(latent).detach().double() * unit).sum())
    converged = ended or (change is not None and change <= (tolerance or _CONVERGED))
    sigma = float((problem.statistics.sigma * problem.unit).double().square().mean().sqrt())
    return cast(Image, (deliver(latent), ConvergenceInfo(done, change, objective, converged, sigma)))


def _as_opponents(
    seen: Observation, light: Tensor, statistics: Statistics | None, sigma: Any
) -> tuple[Observation, Tensor, Statistics | None, Any]:
    """Observation, light, statistics of the opponent colours and noise as three times as many samples of one channel.

    A pixel that is missing in one colour is missing in all.
    """

    def of_each(values: Tensor) -> Tensor:
        return values if len(values) == 1 else values.repeat_interleave(3, 0)

    psf = seen.psf if seen.psf.ndim == 2 else of_each(seen.psf)
    mask = None if seen.mask is None else of_each(seen.mask.amin(1, keepdim=True))
    if statistics is not None:
        statistics = statistics.map(lambda values: values.expand(-1, 3, -1, -1).flatten(0, 1).unsqueeze(1))
    if sigma is not None:
        noise = noise_of_opponents(as_sigma(sigma, light))
        sigma = noise if len(light) * 3 == len(noise) else noise.repeat(len(light))
    return replace(seen, psf=psf, mask=mask, statistics=None), split(light), statistics, sigma


def _check_general(name: str, what: str) -> None:
    """Refuse more than one convolution for a method that takes no more, with the names of those that do."""
    rows = [row for row in METHODS.values() if row.name == name]
    if rows and all(row.one_convolution for row in rows):
        takers = ", ".join(key for key, row in METHODS.items() if not row.one_convolution)
        raise ValueError(f"{name}: takes one image and one psf; {what} for {takers}")


def _observe(
    image: Any, psf: Any, mask: Any, *, white: float | None, channel_axis: int | None
) -> tuple[Observation, Callable[[Tensor], Any], Tensor]:
    """One image as tensors, the way back to what was given, and its psf."""
    # Before the light is decoded: clipping is a matter of the file.
    batch, back, pixels, clipped = read_masked(image, psf, mask=mask, white=white, channel_axis=channel_axis)
    psfs = as_psfs(psf, batch)
    statistics = None
    if pixels is None:
        pixels, statistics = _without_outliers(batch, psfs)
    return Observation(batch, psfs, pixels, clipped, statistics), back, psfs


def _observe_field(
    image: Any, field: Any, mask: Any, *, white: float | None, channel_axis: int | None
) -> tuple[Observation, Callable[[Tensor], Any], PsfComponents]:
    """The same, with the components of a psf that varies over the field."""
    psf, components = components_of(field)
    seen, back, _ = _observe(image, psf, mask, white=white, channel_axis=channel_axis)
    return seen, back, components(seen.image.shape[2:]).to(seen.image)


def warn_of_ripples(problem: Problem) -> None:
    """Say it where a linear filter, which rings in proportion to what is bright, leaves its ripples over the rest."""
    times = float((problem.statistics.contrast / problem.statistics.typical_contrast).max())
    if times > _RIPPLES:
        warnings.warn(
            f"image: a few bright points, as stars are, raise its contrast {times:.0f} times over; a linear filter "
            "leaves ripples around them, richardson_lucy and total_variation do not",
            RestorationWarning,
            stacklevel=7,
        )


def _without_outliers(image: Tensor, psf: Tensor) -> tuple[Tensor | None, Statistics | None]:
    """A mask without the pixels that are far from all others and not what the psf has blurred; None where all count,
    and then the image's statistics, if these had to be measured."""
    image = image.detach()
    axes = tuple(range(2, image.ndim))
    mean = image.mean(axes, keepdim=True)
    reach = torch.maximum(image.amax(axes, keepdim=True) - mean, mean - image.amin(axes, keepdim=True))
    unit = power_of_two(reach)
    if not bool((reach / unit > _FAR * ((image - mean) / unit).std(axes, correction=0, keepdim=True)).any()):
        return None, None  # as in every photograph
    statistics = Statistics.of(image)
    far = (image - mean).abs() > _FAR * statistics.typical_contrast
    found = outliers(image, psf, statistics, among=far)
    count = int(found.sum())
    if count == 0:
        return None, statistics
    warnings.warn(
        f"image: {count} of its {image.numel()} values stand out as nothing that the psf has blurred does (cosmic "
        'rays, hot pixels), and are left out; mask="auto" finds fainter ones, too, and a mask of ones keeps all',
        RestorationWarning,
        stacklevel=6,
    )
    return (~found).to(image), None


def _change(latent: Tensor, previous: Tensor) -> float:
    """Largest relative change of a sample."""
    step = (latent - previous).detach().flatten(1).norm(dim=1)
    size = latent.detach().flatten(1).norm(dim=1).clamp_min(torch.finfo(latent.dtype).tiny)
    return float((step / size).max())
