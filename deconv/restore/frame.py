"""What every iterative restoration method has in common, so that a method is only its mathematics.

A method is a generator: given a `Problem` and its own parameters it yields better and better scenes, without
end. The decorator `iterative` makes the public function ``f(image, psf, *, ...)`` of it, which adapts arrays,
estimates the noise, lays out the canvas, counts iterations, reports, stops, and crops.
"""

from __future__ import annotations

import functools
import inspect
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch, as_psf
from ..imaging.noise import estimate_noise
from .canvas import Canvas
from .light import to_linear, to_srgb

__all__ = ["Problem", "iterative"]

Method = Callable[..., Iterator[Tensor]]

# A pixel from here on is taken for clipped: 8-bit white, less the rounding of one decoder.
_CLIPPED = 254 / 255


@dataclass(frozen=True)
class Problem:
    """One observation to restore, as the methods see it.

    image: `(B, C, H, W)` or `(B, C, D, H, W)`. psf: see `Canvas`. sigma: standard deviation of the noise,
    broadcasts against `image`. canvas: where the scene is laid out.
    """

    image: Tensor
    psf: Tensor
    sigma: Tensor
    canvas: Canvas

    @classmethod
    def of(
        cls,
        image: Tensor,
        psf: Tensor,
        *,
        sigma: Any = None,
        boundary: str = "unknown",
        mask: Any = None,
    ) -> Problem:
        """Set up the problem for tensors; `sigma`, `boundary` and `mask` as in the public functions."""
        canvas = Canvas(image, psf, boundary=boundary, mask=_as_mask(mask, image))
        return cls(image, psf, _as_sigma(sigma, image), canvas)


def iterative(*, num_iter: int) -> Callable[[Method], Callable[..., Any]]:
    """Make a public restoration function of a generator of scenes.

    num_iter: the default number of iterations. The generator stays available as the function's attribute
    ``scenes``, for tensors: ``scenes(problem, **parameters)``.
    """

    def decorate(method: Method) -> Callable[..., Any]:
        @functools.wraps(method)
        def restore(
            image: Any,
            psf: Any,
            *,
            sigma: Any = None,
            num_iter: int = num_iter,
            boundary: str = "unknown",
            mask: Any = None,
            linear: bool = False,
            tolerance: float = 0.0,
            callback: Callable[[int, Any], bool | None] | None = None,
            progress: bool | None = None,
            **parameters: Any,
        ) -> Any:
            if num_iter < 1:
                raise ValueError(f"num_iter: expected at least 1, given {num_iter}")
            if not tolerance >= 0:
                raise ValueError(f"tolerance: expected 0 or more, given {tolerance}")
            space = _space(psf)
            batch, back = as_image_batch(image, space=space)
            kernel = _as_kernel(psf, batch)
            mask = _as_mask(mask, batch)
            decode, encode = (to_linear, to_srgb) if linear else (_same, _same)
            problem = Problem.of(decode(batch), kernel, sigma=sigma, boundary=boundary, mask=mask)

            def deliver(scene: Tensor) -> Any:
                return back(encode(problem.canvas.crop(scene)))

            previous = None
            scenes = method(problem, **parameters)
            for i in _counted(num_iter, method.__name__, progress):
                scene = next(scenes)
                if callback is not None and callback(i, deliver(scene)):
                    break
                if tolerance and previous is not None and _change(scene, previous) <= tolerance:
                    break
                previous = scene
            return deliver(scene)

        own = inspect.signature(method).parameters
        common = inspect.signature(restore, follow_wrapped=False).parameters
        first, shared = list(common.values())[:2], list(common.values())[2:-1]
        restore.__signature__ = inspect.Signature([*first, *list(own.values())[1:], *shared])
        restore.__doc__ = _documented(method.__doc__, num_iter)
        restore.scenes = method
        return restore

    return decorate


_COMMON = """\
sigma: standard deviation of the noise, in the image's unit (0.01 is 1 % of full scale); a number, `(B,)`, or
    anything that broadcasts against `(B, C, 1, 1)`. None: estimated for each channel from the image.
num_iter: iterations, at most; {num_iter} by default.
boundary: what lies outside the frame. ``"unknown"``: the scene goes on, and is solved for; ``"circular"``: it
    repeats; ``"reflect"``: mirrored about the edge pixel; ``"replicate"``: the edge pixel goes on;
    ``"zero"``: nothing. All but the first are for images that were blurred that way, by a computer.
mask: weight of each pixel in [0, 1], an array `H x W` or of the image's layout; False or 0 marks what is missing
    or wrong and is to be filled in. ``"auto"``: leaves out clipped highlights.
linear: the image is an sRGB photograph; undo its gamma, restore the light, and put the gamma back. `sigma` is
    then the noise of the light.
tolerance: stop when the relative change of the scene falls to this; 0 never does.
callback: called as ``callback(iteration, image)`` after each iteration; stops the loop by returning True.
progress: show a bar; None: on a terminal, when it takes longer than a second.

Returns
-------
The restored image: same kind of array, layout, dtype and range as `image`. Floats are not clipped.

Raises
------
TypeError, ValueError: naming the argument, what was given and what is allowed.
"""

_IMAGES = """\
image: array or tensor, `H x W`, `H x W x C` (`C x H x W` for tensors) or `B x C x H x W`; see
    `deconv.imaging.arrays`.
psf: `(kh, kw)`, its sum 1 to keep the brightness; centre at ``(size - 1) // 2``. `(B or 1, C or 1, kh, kw)`
    blurs every sample and channel by its own. `(kd, kh, kw)` for volumes `D x H x W`.
"""


def _documented(doc: str, num_iter: int) -> str:
    """Insert the common parameters: the images first, the rest after the method's own."""
    doc = inspect.cleandoc(doc)
    head = "Parameters\n----------\n"
    if head not in doc:
        raise ValueError("the method's docstring has no section of parameters")
    before, _, after = doc.partition(head)
    own, blank, rest = after.partition("\n\n")
    common = _COMMON.format(num_iter=num_iter)
    return f"{before}{head}{_IMAGES}{own}\n{textwrap.dedent(common)}{blank.strip(chr(10))}\n{rest}"


def _space(psf: Any) -> int:
    axes = getattr(psf, "ndim", None)
    if axes not in (2, 3, 4, 5):
        given = type(psf).__name__ if axes is None else f"the shape {tuple(psf.shape)}"
        error = TypeError if axes is None else ValueError
        raise error(f"psf: expected an array (kh, kw) or (kd, kh, kw), given {given}")
    return 2 if axes in (2, 4) else 3


def _as_kernel(psf: Any, batch: Tensor) -> Tensor:
    """The psf as a tensor, checked; one with leading axes is checked piece by piece."""
    space = batch.ndim - 2
    if psf.ndim == space:
        return as_psf(psf, like=batch, space=space)
    lead = tuple(psf.shape[:2])
    if any(given not in (1, there) for given, there in zip(lead, batch.shape[:2], strict=True)):
        raise ValueError(
            f"psf: made for {lead[0]} samples and {lead[1]} channels, the image has "
            f"{batch.shape[0]} and {batch.shape[1]}"
        )
    pieces = [as_psf(channel, like=batch, space=space) for sample in psf for channel in sample]
    return torch.stack(pieces).unflatten(0, lead)


def _as_sigma(sigma: Any, image: Tensor) -> Tensor:
    """Noise level of every sample and channel, `(B or 1, C or 1, 1, 1)`."""
    ones = (1,) * (image.ndim - 2)
    if sigma is None:
        planes = image.detach().reshape(-1, 1, *image.shape[-2:])
        variance = estimate_noise(planes).square().reshape(*image.shape[:2], -1).mean(-1)
        return variance.sqrt().reshape(*image.shape[:2], *ones)
    level = torch.as_tensor(sigma, dtype=image.dtype, device=image.device)
    if level.ndim == 1:
        level = level.reshape(-1, 1)
    level = level.reshape(*level.shape[:2], *ones) if level.ndim <= 2 else level
    try:
        torch.broadcast_shapes(level.shape, (*image.shape[:2], *ones))
    except RuntimeError:
        raise ValueError(
            f"sigma: the shape {tuple(level.shape)} does not fit {image.shape[0]} samples of "
            f"{image.shape[1]} channels"
        ) from None
    if not bool((level >= 0).all()) or not bool(level.isfinite().all()):
        raise ValueError(f"sigma: must be finite and not negative, given {sigma}")
    return level


def _as_mask(mask: Any, image: Tensor) -> Tensor | None:
    if mask is None:
        return None
    if isinstance(mask, str):
        if mask != "auto":
            raise ValueError(f'mask: expected an array or "auto", given {mask!r}')
        # One clipped channel is a wrong colour in all; the others keep their own, correct data.
        return (image < _CLIPPED).to(image)
    space = image.ndim - 2
    weight, _ = as_image_batch(mask, space=space, name="mask")
    weight = weight.to(image)
    if any(given not in (1, n) for given, n in zip(weight.shape[:2], image.shape[:2], strict=True)) or (
        weight.shape[2:] != image.shape[2:]
    ):
        raise ValueError(
            f"mask: the shape {tuple(mask.shape)} does not fit an image of shape {tuple(image.shape)}"
        )
    if float(weight.min()) < 0 or float(weight.max()) > 1:
        raise ValueError("mask: weights must be in [0, 1]")
    return weight


def _same(image: Tensor) -> Tensor:
    return image


def _change(scene: Tensor, previous: Tensor) -> float:
    """Largest relative change of a sample."""
    step = (scene - previous).detach().flatten(1).norm(dim=1)
    size = scene.detach().flatten(1).norm(dim=1).clamp_min(torch.finfo(scene.dtype).tiny)
    return float((step / size).max())


def _counted(num_iter: int, title: str, progress: bool | None) -> Iterator[int]:
    """0 ... num_iter - 1, with a progress bar where one is wanted."""
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield from range(num_iter)
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    with Progress(console=Console(stderr=True), transient=True, disable=False) as bar:
        task = bar.add_task(title, total=num_iter, visible=False)
        for i in range(num_iter):
            yield i
            bar.update(task, advance=1, visible=time.monotonic() - started > 1)
