"""``deconv combine``: restore several frames of one latent image together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from typer import Argument

from .blurs import on_voxels, read_blur
from .inputs import read_source
from .large import memory_by_name, memory_left
from .light import asked_light, frames_in_light
from .methods import DEFAULT, choose
from .options import Device, LightOrValues, MaxPixels, Memory, Overwrite, Quiet, White
from .outputs import check_outputs
from .sections import blur_option, file_option, restoration_option
from .smoothing import noise_to_tell
from .source import Source
from .summary_line import summary_line
from .values import fraction

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["combine"]

Value = TypeVar("Value")

_PSF = """The blur, a file or a text, motion:15,30; for all or for each.

A file is an image, .npy or .mat. Once for all frames, or once for each, in their order."""
_SIGMA = """Deviation of the noise, 0.01 or 1% of white; of all or of each.

By default it is estimated for each frame."""
_BACKGROUND = """For richardson_lucy: sky or offset, in the unit of --sigma.

Of all frames, or of each."""
_METHOD = "As for deconv deblur; all but auto, recursive and unsupervised_wiener."


def combine(
    sources: Annotated[list[Path], Argument(metavar="IN...", help="Registered frames, on the same pixels.")],
    output: Annotated[Path, file_option("--output", "-o", metavar="OUT", help="The restored picture.")],
    psf: Annotated[list[str], blur_option("--psf", "-p", metavar="FILE|SPEC", help=_PSF)],
    method: Annotated[str, restoration_option("--method", "-m", metavar="NAME", help=_METHOD)] = DEFAULT,
    sigma: Annotated[list[str] | None, restoration_option(metavar="NUMBER", help=_SIGMA)] = None,
    background: Annotated[list[float] | None, restoration_option(metavar="NUMBER", help=_BACKGROUND)] = None,
    weight: Annotated[
        float | None,
        restoration_option(
            metavar="NUMBER", min=0, help="Strength of the prior; by default it follows from the noise."
        ),
    ] = None,
    boundary: Annotated[
        str | None, restoration_option(metavar="NAME", help="What lies outside the frame; unknown by default.")
    ] = None,
    iterations: Annotated[int | None, restoration_option(metavar="N", min=1, help="At most so many.")] = None,
    stop: Annotated[
        str | None, restoration_option(metavar="NAME", help="For richardson_lucy: consensus or discrepancy.")
    ] = None,
    linear: LightOrValues = None,
    recentre: Annotated[
        bool, blur_option("--recentre", help="Centre psfs from files on their centroids, to a part of a pixel.")
    ] = False,
    white: White = None,
    bits: Annotated[
        int | None, file_option(metavar="N", help="Depth of the output; by default that of the first frame.")
    ] = None,
    series: Annotated[
        int | None, file_option("--series", "--hdu", metavar="N", help="Which image of each file.")
    ] = None,
    device: Device = "cpu",
    memory: Memory = None,
    overwrite: Overwrite = False,
    max_pixels: MaxPixels = None,
    quiet: Quiet = False,
) -> None:
    """Restore several frames of one latent image, each with its own psf, into one picture.

    Each counts by the inverse of its noise's variance. What else the first file holds goes into the output.

    \b
    Examples:
      deconv combine night1.fits night2.fits -o both.fits \\
        --psf psf1.fits --psf psf2.fits --method richardson_lucy
      deconv combine a.png b.png -o sharp.png --psf motion:15,0 --psf motion:15,90
    """
    chosen = choose(method)
    if chosen is None:
        raise ValueError("--method: auto is for one picture; name a method for several frames")
    if len(sources) < 2:
        raise ValueError(f"IN: expected two frames or more, given {len(sources)}; deconv deblur restores one picture")
    blurs = [read_blur(text, recentre=recentre) for text in _for_each("--psf", psf, len(sources))]
    levels = (
        None if sigma is None else [fraction(text, "--sigma") for text in _for_each("--sigma", sigma, len(sources))]
    )
    floors = None if background is None else _for_each("--background", background, len(sources))
    place = {"device": device, "white": white, "max_pixels": max_pixels, "part": series}
    frames = [read_source(path, blur, **place) for path, blur in zip(sources, blurs, strict=True)]
    _check_alike(frames)
    first = frames[0]
    if first.volume is not None:
        blurs = [on_voxels(blur, first.volume.voxel) for blur in blurs]
        bits = 32 if bits is None and first.values.dtype.name != "float64" else bits
    first.check_target(output, bits=bits)
    check_outputs({"--output": output}, (*sources, *psf), overwrite=overwrite)
    started = time.perf_counter()
    light = asked_light(first, linear)
    progress = False if quiet else None
    light = frames_in_light(frames, blurs, progress=progress) if light is None else light
    told, noise = _noises(frames, levels, linear=light)
    options = {
        "sigma": ("--sigma", None if levels is None else told),
        "background": ("--background", floors),
        "weight": ("--weight", weight),
        "boundary": ("--boundary", boundary),
        "num_iter": ("--iterations", iterations),
        "stop": ("--stop", stop),
        "linear": ("--linear", light),
    }
    whites = {frame.clipped_at for frame in frames}
    defaults = {
        "sigma": told,
        "white": whites.pop() if len(whites) == 1 else None,
        "mask": [frame.known for frame in frames],
        "progress": progress,
    }
    batches, psfs = [frame.batch for frame in frames], [blur.psf.to(first.batch) for blur in blurs]
    keywords = chosen.keywords(options, defaults)
    with memory_by_name(memory, device):
        restored = chosen.restore_frames(batches, psfs, keywords, memory=memory_left(memory, device))
    seconds = time.perf_counter() - started
    lost = first.write(output, restored, bits=bits)
    if not quiet:
        words = dict.fromkeys(blur.words for blur in blurs)
        values = [] if first.volume is not None else ["linear light" if light else "grey values"]
        done = [f"{len(frames)} frames", f"psf {', '.join(words)}", noise, *values, chosen.name, *lost]
        typer.echo(summary_line(first, output, restored, done, seconds))


def _for_each(flag: str, values: list[Value], count: int) -> list[Value]:
    """One value for each frame, of so many or of one for all."""
    if len(values) not in (1, count):
        raise ValueError(f"{flag}: expected one for all {count} frames or {count}, given {len(values)}")
    return values * count if len(values) == 1 else values


def _noises(frames: list[Source], levels: list[float] | None, *, linear: bool) -> tuple[list[Tensor | float], str]:
    """The noise of each frame, as it was given or estimated, for the method; the least and the greatest in words."""
    import torch

    found = [
        noise_to_tell(frame, sigma, linear=linear, known=True, strength=1.0)
        for frame, sigma in zip(frames, levels or [None] * len(frames), strict=True)
    ]
    ordered = sorted(found, key=lambda noise: float(torch.as_tensor(noise[0]).max()))
    return [told for told, _ in found], " to ".join(dict.fromkeys(words for _, words in (ordered[0], ordered[-1])))


def _check_alike(frames: list[Source]) -> None:
    """Frames show the same pixels, channels and times, in one unit."""
    first = frames[0]
    for frame in frames[1:]:
        if frame.batch.shape != first.batch.shape:
            sizes = (" x ".join(map(str, source.batch.shape[1:])) for source in (first, frame))
            raise ValueError(
                f"{frame.path}: frames are registered, on the same pixels and channels; {first.path} has "
                f"{next(sizes)}, this {next(sizes)}"
            )
        if (frame.values.dtype.kind == "f") != (first.values.dtype.kind == "f"):
            raise ValueError(
                f"{frame.path}: frames are in one unit; {first.path} holds {first.values.dtype}, this "
                f"{frame.values.dtype}"
            )
