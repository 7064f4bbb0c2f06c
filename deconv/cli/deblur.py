"""``deconv deblur``: restore a photograph whose blur is known, or estimated."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..imaging.formats import listing
from ..progress import ProgressBar
from .batch import for_many
from .blind import estimate_blur
from .blurs import Blur, on_voxels, read_blur
from .colours import restored_together
from .deblur_options import DeblurOptions
from .inputs import read_source
from .large import memory_by_name, memory_for_picture, memory_left, restore_stored
from .left import leave
from .light import in_light
from .methods import Choice, best
from .options import pictures_in, pictures_out
from .outcome import LEFT, Outcome
from .outputs import check_outputs, check_psf_target, write_psf
from .posterior import draw, framed, posterior_files, write_posterior
from .preview import check_preview, detailed_part, write_pair
from .psf_fields import write_field
from .smoothing import noise_factor, noise_to_tell
from .source import Source
from .streak import blur_from_streak, no_blur
from .summary_line import summary_line

if TYPE_CHECKING:
    from torch import Tensor

    from ..restore import Posterior

__all__ = ["deblur", "deblur_file"]

_SOURCE = (
    f"The blurred picture: {listing()}; a stack for a psf of three axes; - for standard input. Or several, folders, "
    "patterns."
)

# Seconds that --method auto may take.
_BUDGET = 60.0


def deblur_file(
    source: Annotated[Path, pictures_in(_SOURCE)],
    output: Annotated[Path, pictures_out("The restored picture, - for standard output; a folder for several.")],
    options: DeblurOptions,
) -> Outcome:
    """Restore photographs; their blur is estimated where it is not given.

    Exit status: 0 restored, 2 refused, 3 left as it is, as no psf is to be trusted; of several, 1 where some failed.

    \b
    Examples:
      deconv deblur blurred.jpg -o sharp.jpg
      deconv deblur blurred.png -o sharp.png --psf motion:15,30
      deconv deblur blurred.jpg -o sharp.jpg --field auto
      deconv deblur blurred.tif -o sharp.tif --psf psf.mat -m wiener --sigma 1%
      deconv deblur blurred.jpg -o preview.png --preview --method flow
      deconv deblur blurred.png -o mean.png --psf kernel.png --posterior 16
      deconv deblur holiday -o sharp --recursive --report report.json

    \b
    A psf as text, in pixels and degrees; what is in brackets may be left out:
      {deconv.imaging.psf.spec:listing}
    """
    blur = None if options.psf is None else read_blur(options.psf, recentre=options.recentre)
    if blur is not None:
        outcome = _restored_from_file_to_file(source, output, blur, options)
        if outcome is not None:
            return outcome
    photograph = _read(source, blur, options)
    options = options.settled_for(photograph, output)
    if options.psf_from is not None:
        blur = blur_from_streak(photograph, options.psf_from)
    elif options.denoise_only:
        blur = no_blur()
    if photograph.volume is not None and blur is not None:
        blur = on_voxels(blur, photograph.volume.voxel)
    if options.preview:
        check_preview(photograph, output)
        photograph = detailed_part(photograph)
    else:
        photograph.check_target(output, bits=options.bits)
    beside = _check_files(photograph, output, blur, options)
    chosen = options.choice or best(photograph.batch, options.budget or _BUDGET)
    if blur is not None and blur.field is not None:
        chosen.check_field("--psf")
        if options.posterior is not None:
            raise ValueError("--psf: --posterior takes one psf for all of the frame, given psfs that vary")

    started = time.perf_counter()
    confidence = None
    if blur is None:
        blur, confidence, light = estimate_blur(photograph, options.search)
        if confidence is None:
            words = leave(photograph, output, bits=options.bits, on_doubt=options.on_doubt)
            return Outcome(LEFT, words, seconds=time.perf_counter() - started)
    elif options.linear is None:
        light = in_light(photograph, blur, progress=options.progress)
    else:
        light = options.linear
    frame = blur.frame
    inside = photograph if frame is None else photograph.part(*frame.within(photograph.batch.shape[-2:]))
    restored = _restore(inside, blur, chosen, options, light=light)
    seconds = time.perf_counter() - started
    if confidence is not None:
        from ..blind.comparison import why_not_better

        psf = blur.psf if blur.field is None else blur.field
        if reason := why_not_better(inside.batch, restored.image, psf, sigma=restored.sigma, linear=light):
            typer.echo(f"deconv: {reason}", err=True)
            words = leave(photograph, output, bits=options.bits, on_doubt=options.on_doubt)
            return Outcome(LEFT, words, blur.size, confidence, seconds)
    if frame is not None:
        image = frame.around(restored.image, photograph.batch)
        draws = None if restored.draws is None else framed(restored.draws, frame, photograph.batch)
        restored = replace(restored, image=image, draws=draws)
    lost = _write(photograph, output, beside, restored, options)
    saved = _save_psf(photograph, blur, options.save_psf)
    how = chosen.name if options.posterior is None else f"mean of {options.posterior} draws"
    values = [] if photograph.volume is not None else ["linear light" if light else "grey values"]
    done = [f"psf {blur.words}{saved}", restored.noise, *values, how, *lost]
    line = summary_line(photograph, output, restored.image, done, seconds)
    return Outcome("restored", line, blur.size, confidence, seconds)


def _restored_from_file_to_file(source: Path, output: Path, blur: Blur, options: DeblurOptions) -> Outcome | None:
    """What was done to a stack too large for the memory; None for all else."""
    chosen = options.choice
    if chosen is None or options.save_psf is not None or options.posterior is not None:
        return None
    smoothing = noise_factor(options.strength)
    sigma = None if options.noise is None else smoothing * options.noise
    return restore_stored(
        source,
        output,
        blur,
        chosen,
        options.of_the_method(sigma=sigma, linear=options.linear, background=None),
        psfs=options.psf or (),
        strength=smoothing,
        background=options.background,
        clipped=options.clipped,
        memory=options.memory,
        tile=options.tiles,
        device=options.device,
        bits=options.bits,
        series=options.series,
        channel_axis=options.channel_axis,
        overwrite=options.overwrite,
        quiet=options.quiet,
    )


def _read(source: Path, blur: Blur | None, options: DeblurOptions) -> Source:
    with ProgressBar("reading", 1, shown=options.progress):
        photograph = read_source(
            source,
            blur,
            device=options.device,
            white=options.white,
            max_pixels=options.max_pixels,
            part=options.series,
            channel_axis=options.channel_axis,
        )
    photograph.check_noise(options.noise)
    return photograph


def _check_files(photograph: Source, output: Path, blur: Blur | None, options: DeblurOptions) -> dict[str, Path]:
    """Refuse what cannot or may not be written; the files of a posterior, by what they are to hold."""
    outputs = {"--output": output}
    if options.save_psf is not None:
        check_psf_target(options.save_psf, volume=blur is not None and blur.psf.ndim > 2)
        outputs["--save-psf"] = options.save_psf
    beside = {} if options.posterior is None else posterior_files(output, photograph, options.bits)
    outputs |= {f"--posterior, {what}": path for what, path in beside.items()}
    inputs = (photograph.path, *(options.psf or ()), options.prior)
    psf = None if options.save_psf is None else "--save-psf"
    check_outputs(outputs, inputs, psf=psf, overwrite=options.overwrite)
    return beside


@dataclass(frozen=True)
class _Restored:
    """A restored picture; the noise that the method was told, and in words; the draws it is the mean of, if it is."""

    image: Tensor
    sigma: Tensor | float
    noise: str
    draws: Posterior[Tensor] | None


def _restore(photograph: Source, blur: Blur, chosen: Choice, options: DeblurOptions, *, light: bool) -> _Restored:
    given, known = options.noise, options.known
    psf = blur.psf if blur.field is None else None
    with ProgressBar("measuring the noise", 1, shown=options.progress):
        sigma, words = noise_to_tell(
            photograph,
            given,
            linear=light,
            known=known,
            strength=options.strength,
            psf=psf,
            psf_error=chosen.method.psf_error,
        )
    told = options.of_the_method(
        sigma=None if given is None else sigma,
        linear=light,
        background=None if options.background is None else options.background / photograph.full,
    )
    if not known and not chosen.takes("prior"):
        del told["prior"]  # it was for the psf
    defaults = {
        "sigma": sigma,
        "white": photograph.clipped_at if options.clipped else None,
        "mask": photograph.known,
        "colours": restored_together(chosen, photograph, blur.psf, clipped=options.clipped),
        "progress": options.progress,
    }
    keywords = chosen.keywords(told, defaults)
    if options.posterior is not None:
        draws = draw(options.posterior, photograph.batch, blur.psf, keywords | {"metropolis": options.metropolis or 0})
        return _Restored(draws.mean, sigma, words, draws)
    if photograph.volume is not None:
        left = memory_left(options.memory, options.device)
    else:
        left = memory_for_picture(options.memory, options.device, chosen)
    with memory_by_name(options.memory, options.device):
        image = chosen.restore_in_turn(
            photograph.batch, blur.psf, keywords, field=blur.field, tile=options.tiles, memory=left
        )
    return _Restored(image, sigma, words, None)


def _write(
    photograph: Source, output: Path, beside: Mapping[str, Path], restored: _Restored, options: DeblurOptions
) -> list[str]:
    """Write the picture and what belongs beside it; words on what that loses or shows."""
    if options.preview:
        write_pair(output, photograph.batch, restored.image)
        return []
    with ProgressBar("writing", 1, shown=options.progress):
        words = photograph.write(output, restored.image, bits=options.bits)
    return words if restored.draws is None else [*words, *write_posterior(beside, restored.draws)]


def _save_psf(photograph: Source, blur: Blur, path: Path | None) -> str:
    """Write the psf, if it is to be; a word for the summary line."""
    if path is None:
        return ""
    if blur.field is not None:
        write_field(path, blur.field)
        return f" -> {path}"
    write_psf(path, blur.psf, blur.voxel if photograph.volume is None else photograph.volume.voxel)
    return f" -> {path}"


deblur = for_many(deblur_file)
