"""``deconv deblur``: restore a photograph whose blur is known, or estimated."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..imaging.formats import listing as formats
from ..progress import ProgressBar
from .batch import for_many
from .blind import KERNEL_SIZE, MODEL, STARTS, check_psf_target, estimate_blur, model_of
from .blurs import on_voxels, read_blur
from .deblur_options import check_options
from .inputs import MAX_PIXELS, WHITE, read_source
from .large import MEMORY, memory_for_picture, memory_left, restore_stored
from .left import leave
from .light import LINEAR, asked_light, in_light
from .methods import DEFAULT, best, listing
from .noise import in_words
from .outcome import LEFT, Outcome
from .outputs import OVERWRITE, check_outputs, write_psf
from .posterior import POSTERIOR, check_posterior, draw, posterior_files, write_posterior
from .preview import PREVIEW, check_preview, detailed_part, write_pair
from .smoothing import noise_factor, noise_to_tell
from .streak import PSF_FROM, blur_from_streak, no_blur
from .summary_line import summary_line

__all__ = ["deblur", "deblur_file"]

# How many starts the estimation for a preview has.
_QUICK = 4

_PSF = (
    "The blur: a file (image, .npy, .mat), or a text such as motion:15,30, of the forms "
    "{deconv.imaging.psf.spec:listing}. By default it is estimated from the picture. Several, or a file with channels: "
    "one for each channel."
)
_SIGMA = "Standard deviation of the noise as a share of full scale, 0.01 or 1%. Estimated by default."
_RATIO = "Noise power over signal power, for Wiener filters. Estimated by default."
_PRIOR = (
    "A density of photographs, flow, gmm or a file: what the methods epll and flow go by. Where the psf is estimated, "
    "it is refined under it, too, which is slow."
)
_WEIGHT = "Strength of the prior. By default it follows from the noise."
_SAVE_PSF = "Also write the psf. One that was estimated is by default written beside OUT, as OUT-psf.png."
_BUDGET = "What --method auto may take, on one core of a CPU; 60 by default."
_TILES = "Restore a large image tile by tile, of so many pixels a side, 1024 say, to save memory."
_CLIPPED = "Take white for white or more, and black for black or less, or every value for what it is."
_STOP = "Let richardson_lucy stop before it fits the noise: consensus, or discrepancy where --sigma is well known."
_BACKGROUND = (
    "What the values have beside the blurred light, in their unit: the camera's offset, 100 say, or the sky. For "
    "richardson_lucy, whose result is without it."
)
_SERIES = "Which series of a TIFF, or HDU of a FITS file, from 0 on; by default the first that has an image."
_CHANNEL_AXIS = "Which axis of a stack counts channels, where its file does not say so."
_BITS = "Depth of the output; by default the input's, and 32, floats, for stacks."
_ON_DOUBT = (
    "Where no psf is to be trusted: copy the picture as it is, the default, or skip it, both with exit status 3; or "
    "fail with 2."
)
_STRENGTH = "How strongly to smooth, relative to what the noise calls for: 2 for twice as much, 0.5 for half."
_DENOISE_ONLY = "Take no blur away, only the noise."
_BOUNDARY = (
    "What lies outside the frame: unknown; circular, reflect, replicate or zero for blur made by a computer. "
    "By default unknown."
)


def deblur_file(
    source: Annotated[
        Path,
        Argument(
            metavar="IN...",
            help=f"The blurred picture: {formats()}; a stack for a psf of three axes; - for standard input. Or "
            "several, folders, patterns.",
        ),
    ],
    output: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            metavar="OUT|DIR",
            help="The restored picture, - for standard output; a folder for several.",
        ),
    ],
    psf: Annotated[list[str] | None, Option("--psf", "-p", metavar="FILE|SPEC", help=_PSF)] = None,
    psf_from: Annotated[str | None, Option("--psf-from", metavar="X,Y,W,H", help=PSF_FROM)] = None,
    denoise_only: Annotated[bool, Option("--denoise-only", help=_DENOISE_ONLY)] = False,
    kernel_size: Annotated[str | None, Option("--kernel-size", "-k", metavar="N|HxW", help=KERNEL_SIZE)] = None,
    model: Annotated[str, Option("--model", metavar="NAME", help=MODEL)] = "auto",
    starts: Annotated[int, Option(metavar="N", help=STARTS)] = 16,
    prior: Annotated[str | None, Option(metavar="NAME|FILE", help=_PRIOR)] = None,
    on_doubt: Annotated[str, Option("--on-doubt", metavar="WHAT", help=_ON_DOUBT)] = "copy",
    save_psf: Annotated[Path | None, Option("--save-psf", metavar="FILE", help=_SAVE_PSF)] = None,
    method: Annotated[str, Option("--method", "-m", metavar="NAME", help=f"{listing()}.")] = DEFAULT,
    budget: Annotated[float | None, Option(metavar="SECONDS", help=_BUDGET)] = None,
    posterior: Annotated[int | None, Option(metavar="N", help=POSTERIOR)] = None,
    sigma: Annotated[str | None, Option(metavar="NUMBER", help=_SIGMA)] = None,
    noise_to_signal: Annotated[float | None, Option(metavar="NUMBER", help=_RATIO)] = None,
    weight: Annotated[float | None, Option(metavar="NUMBER", help=_WEIGHT)] = None,
    strength: Annotated[float, Option(metavar="NUMBER", help=_STRENGTH)] = 1.0,
    boundary: Annotated[str | None, Option(metavar="NAME", help=_BOUNDARY)] = None,
    tiles: Annotated[int | None, Option(metavar="SIDE", help=_TILES)] = None,
    memory: Annotated[str | None, Option(metavar="SIZE", help=MEMORY)] = None,
    iterations: Annotated[int | None, Option(metavar="N", help="At most so many, where there are any.")] = None,
    stop: Annotated[str | None, Option(metavar="NAME", help=_STOP)] = None,
    background: Annotated[float | None, Option(metavar="NUMBER", help=_BACKGROUND)] = None,
    clipped: Annotated[bool, Option("--clipped/--no-clipped", help=_CLIPPED)] = True,
    linear: Annotated[bool | None, Option("--linear/--no-linear", help=LINEAR)] = None,
    recentre: Annotated[bool, Option("--recentre", help="Centre a psf from a file on its centroid.")] = False,
    white: Annotated[float | None, Option(metavar="NUMBER", help=WHITE)] = None,
    bits: Annotated[int | None, Option(metavar="N", help=_BITS)] = None,
    series: Annotated[int | None, Option("--series", "--hdu", metavar="N", help=_SERIES)] = None,
    channel_axis: Annotated[int | None, Option("--channel-axis", metavar="N", help=_CHANNEL_AXIS)] = None,
    device: Annotated[str, Option(metavar="NAME", help="Where to compute: cpu, cuda, auto, ...")] = "cpu",
    preview: Annotated[bool, Option("--preview", help=PREVIEW)] = False,
    overwrite: Annotated[bool, Option("--overwrite", help=OVERWRITE)] = False,
    max_pixels: Annotated[int | None, Option(metavar="N", help=MAX_PIXELS)] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress, no closing line.")] = False,
) -> Outcome:
    """Restore photographs; their blur is estimated where it is not given.

    Exit status: 0 restored, 2 refused, 3 left as it is, as no psf is to be trusted; of several, 1 where some failed.

    \b
    Examples:
      deconv deblur blurred.jpg -o sharp.jpg
      deconv deblur blurred.png -o sharp.png --psf motion:15,30
      deconv deblur blurred.tif -o sharp.tif --psf kernel.mat --method recursive --sigma 1%
      deconv deblur blurred.jpg -o preview.png --preview --method flow
      deconv deblur blurred.png -o mean.png --psf kernel.png --posterior 16
      deconv deblur holiday -o sharp --recursive --report report.json
    """
    chosen, level = check_options(
        method=method,
        budget=budget,
        psf=psf,
        psf_from=psf_from,
        denoise_only=denoise_only,
        kernel_size=kernel_size,
        model=model,
        strength=strength,
        sigma=sigma,
        on_doubt=on_doubt,
    )
    apart = {"budget": budget, "tiles": tiles, "memory": memory, "preview": preview}
    drawing = check_posterior(posterior, method, **apart)
    chosen = chosen if drawing is None else drawing
    known = psf is not None or psf_from is not None or denoise_only
    blur = None if psf is None else read_blur(psf, recentre=recentre)
    smoothing = noise_factor(strength)
    options = {
        "sigma": ("--sigma", None if level is None else smoothing * level),
        "noise_to_signal": ("--noise-to-signal", noise_to_signal),
        "weight": ("--weight", weight),
        "boundary": ("--boundary", boundary),
        "num_iter": ("--iterations", iterations),
        "stop": ("--stop", stop),
    }
    if blur is not None and chosen is not None and save_psf is None and drawing is None:
        said = {"prior": ("--prior", prior), "linear": ("--linear", linear)}
        how = {"strength": smoothing, "background": background, "clipped": clipped}
        how |= {"memory": memory, "tile": tiles, "device": device}
        place = {"series": series, "channel_axis": channel_axis, "bits": bits}
        files = {"psfs": psf or (), "overwrite": overwrite, "quiet": quiet}
        outcome = restore_stored(source, output, blur, chosen, options | said, **how, **place, **files)
        if outcome is not None:
            return outcome
    place = {"part": series, "channel_axis": channel_axis}
    with ProgressBar("reading", 1, shown=False if quiet else None, delay=1.0):
        photograph = read_source(source, blur, device=device, white=white, max_pixels=max_pixels, **place)
    photograph.check_noise(level)
    linear = asked_light(photograph, linear)
    if psf_from is not None:
        blur = blur_from_streak(photograph, psf_from)
    elif denoise_only:
        blur = no_blur()
    if photograph.volume is not None and blur is not None:
        blur = on_voxels(blur, photograph.volume.voxel)
        bits = 32 if bits is None and photograph.values.dtype.name != "float64" else bits
    if preview:
        check_preview(photograph, output)
        photograph, starts = detailed_part(photograph), min(starts, _QUICK)
        on_doubt = "skip" if on_doubt == "copy" else on_doubt
    else:
        photograph.check_target(output, bits=bits)
    if blur is None and save_psf is None:
        save_psf = output.with_name(f"{output.stem}-psf.png")
    outputs = {"--output": output}
    if save_psf is not None:
        check_psf_target(save_psf, volume=blur is not None and blur.psf.ndim > 2)
        outputs["--save-psf"] = save_psf
    beside = {} if posterior is None else posterior_files(output, photograph, bits)
    outputs |= {f"--posterior, {what}": path for what, path in beside.items()}
    check_outputs(outputs, (source, *(psf or ()), prior), psf="--save-psf" if save_psf else None, overwrite=overwrite)
    if chosen is None:
        chosen = best(photograph.batch, 60 if budget is None else budget)
    started = time.perf_counter()
    confidence = None
    if blur is None:
        how = {"model": model_of(model), "starts": starts, "prior": prior}
        how |= {"sigma": level, "linear": linear, "quiet": quiet}
        blur, confidence, light = estimate_blur(photograph, kernel_size, **how)
        if confidence is None:
            words = leave(photograph, output, bits=bits, on_doubt=on_doubt)
            return Outcome(LEFT, words, seconds=time.perf_counter() - started)
    else:
        light = in_light(photograph, blur) if linear is None else linear
    wrong = blur.psf if known and chosen.method.psf_error else None
    told, noise, effective = noise_to_tell(photograph, level, linear=light, known=known, strength=strength, psf=wrong)
    options |= {
        "sigma": ("--sigma", None if level is None else told),
        "background": ("--background", None if background is None else background / photograph.full),
        "prior": ("--prior", prior if known or chosen.takes("prior") else None),
        "linear": ("--linear", light),
    }
    defaults = {
        "sigma": told,
        "white": photograph.clipped_at if clipped else None,
        "mask": photograph.known,
        "progress": False if quiet else None,
    }
    drawn = None
    if posterior is None:
        of_stack = photograph.volume is not None
        left = memory_left(memory, device) if of_stack else memory_for_picture(memory, device, chosen)
        restored = chosen.call_for_each(photograph.batch, blur.psf, options, defaults, tiles, left)
    else:
        drawn = draw(chosen, posterior, photograph.batch, blur.psf, options, defaults)
        restored = drawn.mean
    seconds = time.perf_counter() - started
    if confidence is not None:
        from ..blind.comparison import why_not_better

        if reason := why_not_better(photograph.batch, restored, blur.psf, sigma=told, linear=light):
            typer.echo(f"deconv: {reason}", err=True)
            words = leave(photograph, output, bits=bits, on_doubt=on_doubt)
            return Outcome(LEFT, words, blur.size, confidence, seconds)
    lost: list[str] = []
    if preview:
        write_pair(output, photograph.batch, restored)
    else:
        lost = photograph.write(output, restored, bits=bits)
    if drawn is not None:
        lost += write_posterior(beside, drawn)
    words = f"psf {blur.words}"
    if save_psf is not None:
        write_psf(save_psf, blur.psf, blur.voxel if photograph.volume is None else photograph.volume.voxel)
        words += f" -> {save_psf}"
    done = [
        words,
        in_words(photograph, noise, estimated=level is None, effective=effective),
        "linear light" if light else "grey values",
        chosen.name if posterior is None else f"mean of {posterior} draws",
        *lost,
    ]
    line = summary_line(photograph, output, restored, done, seconds)
    return Outcome("restored", line, blur.size, confidence, seconds)


def _check(*, psf: list[str] | None, recentre: bool, posterior: int | None, method: str, **options: Any) -> None:
    check_options(psf=psf, method=method, **options)
    check_posterior(posterior, method, **{name: options[name] for name in ("budget", "tiles", "memory", "preview")})
    if psf is not None:
        read_blur(psf, recentre=recentre)


deblur = for_many(deblur_file, check=_check)
