"""What every iterative restoration method has in common, so that a method is only its mathematics.

A method is a generator: given a `Problem` and its own parameters it yields better and better scenes, without
end. The decorator `iterative` makes the public function ``f(image, psf, *, ...)`` of it, which adapts arrays,
estimates the noise, lays out the domain, counts the iterations, reports, stops, and crops.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.srgb import to_linear, to_srgb
from .problem import Problem, Statistics, as_kernel, as_mask, spatial_axes

__all__ = ["counted", "iterative"]

Method = Callable[..., Iterator[Tensor]]

_IMAGES = """\
image: array or tensor, `H x W`, `H x W x C` (`C x H x W` for tensors) or `B x C x H x W`, with D before H for
    volumes; see `deconv.imaging.arrays`.
psf: `(kh, kw)`, or `(kd, kh, kw)` for volumes; its sum 1 to keep the brightness, centre at
    ``(size - 1) // 2``. With two leading axes, each of the image's size or 1, one for each sample and channel."""

_COMMON = """\
sigma: standard deviation of the noise, in the image's unit (0.01 is 1 % of full scale): a number, `(B,)` or
    `(B, C)`. None: estimated, for each channel.
num_iter: iterations, at most.
boundary: what lies outside the frame. ``"unknown"``: the scene goes on and is solved for; ``"circular"``: it
    repeats; ``"reflect"``: mirrored about the edge pixel; ``"replicate"``: the edge pixel goes on;
    ``"zero"``: nothing. All but the first are for images that a computer has blurred that way.
mask: weight of each pixel in [0, 1], `H x W` or like the image; False or 0 marks what is missing or wrong and
    is to be filled in. ``"auto"``: clipped highlights.
linear: the image is an sRGB photograph: restore its linear light. `sigma` then is in the light's unit.
statistics: what automatic parameters are chosen by, where the image is a piece of a larger one; None: measured.
tolerance: stop when no sample's scene changes by more than this, relatively; 0: never.
callback: called as ``callback(iteration, image)`` after each iteration; stops by returning True.
progress: show a bar; None: on a terminal, from the first second on.

Returns
-------
The restored image: kind of array, layout, dtype and range of `image`. Floats are not clipped.

Raises
------
TypeError, ValueError: naming the argument, what was given and what is allowed."""


def iterative(*, num_iter: int) -> Callable[[Method], Callable[..., Any]]:
    """Make a public restoration function of a generator of scenes.

    num_iter: the default number of iterations. The generator itself stays available, for tensors, as the
    function's attribute ``scenes``: ``scenes(problem, **parameters)``.
    """

    def decorate(method: Method) -> Callable[..., Any]:
        @functools.wraps(method)
        def restore(
            image: Any,
            psf: Any,
            *own: Any,
            sigma: Any = None,
            num_iter: int = num_iter,
            boundary: str = "unknown",
            mask: Any = None,
            linear: bool = False,
            statistics: Statistics | None = None,
            tolerance: float = 0.0,
            callback: Callable[[int, Any], bool | None] | None = None,
            progress: bool | None = None,
            **parameters: Any,
        ) -> Any:
            if num_iter < 1:
                raise ValueError(f"num_iter: expected at least 1, given {num_iter}")
            if not tolerance >= 0:
                raise ValueError(f"tolerance: expected 0 or more, given {tolerance}")
            batch, back = as_image_batch(image, space=spatial_axes(psf))
            kernel = as_kernel(psf, batch)
            weight = as_mask(mask, batch)  # before the light is decoded: clipping is a matter of the file
            problem = Problem.of(
                to_linear(batch) if linear else batch,
                kernel,
                num_iter=num_iter,
                sigma=sigma,
                boundary=boundary,
                mask=weight,
                statistics=statistics,
            )

            def deliver(scene: Tensor) -> Any:
                restored = problem.domain.crop(scene)
                return back(to_srgb(restored) if linear else restored)

            scenes = method(problem, *own, **parameters)
            previous = None
            for iteration in counted(num_iter, method.__name__, progress):
                scene = next(scenes)
                if callback is not None and callback(iteration, deliver(scene)):
                    break
                if tolerance > 0:
                    if previous is not None and _change(scene, previous) <= tolerance:
                        break
                    previous = scene
            return deliver(scene)

        _, *own = inspect.signature(method).parameters.values()
        image, psf, _, *common, _ = inspect.signature(restore, follow_wrapped=False).parameters.values()
        restore.__signature__ = inspect.Signature([image, psf, *own, *common])
        restore.__doc__ = _documented(method.__doc__)
        restore.scenes = method
        return restore

    return decorate


def _documented(doc: str | None) -> str | None:
    """Add the common parameters to a method's own: the images before them, the rest after."""
    if doc is None:  # python -OO
        return None
    head, found, rest = inspect.cleandoc(doc).partition("Parameters\n----------\n")
    if found:
        own, _, rest = rest.partition("\n\n")
        own += "\n"
    else:  # the method has none of its own
        own = ""
        head, references, rest = head.partition("References\n----------\n")
        rest = references + rest
    return f"{head}Parameters\n----------\n{_IMAGES}\n{own}{_COMMON}\n\n{rest}".rstrip() + "\n"


def _change(scene: Tensor, previous: Tensor) -> float:
    """Largest relative change of a sample."""
    step = (scene - previous).detach().flatten(1).norm(dim=1)
    size = scene.detach().flatten(1).norm(dim=1).clamp_min(torch.finfo(scene.dtype).tiny)
    return float((step / size).max())


def counted(num_iter: int, title: str, progress: bool | None) -> Iterator[int]:
    """0 ... num_iter - 1, with a progress bar where one is wanted."""
    late = progress is None
    if progress is False or (late and not sys.stderr.isatty()):
        yield from range(num_iter)
        return
    from rich.console import Console
    from rich.progress import Progress

    started = time.monotonic()
    console = Console(stderr=True)
    with Progress(console=console, transient=console.is_terminal) as bar:
        task = bar.add_task(title.replace("_", " "), total=num_iter, visible=not late)
        for iteration in range(num_iter):
            yield iteration
            bar.update(task, advance=1, visible=not late or time.monotonic() - started > 1)
