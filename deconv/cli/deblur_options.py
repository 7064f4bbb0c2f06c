"""The options of ``deconv deblur``, and which of them do not go together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from .blind import Search
from .blurs import read_blur
from .light import asked_light
from .methods import DEFAULT, Choice, choose, listing
from .options import (
    Device,
    KernelSize,
    LightOrValues,
    MaxPixels,
    Memory,
    Model,
    Overwrite,
    Quiet,
    Recentre,
    Starts,
    White,
    checked,
    noise_option,
    one_of,
)
from .posterior import METHOD_OF_DRAWS, check_posterior
from .psf_fields import field_option
from .sections import blur_option, file_option, machine_option, restoration_option
from .values import fraction

if TYPE_CHECKING:
    from .source import Source

__all__ = ["DeblurOptions"]

# How many starts the estimation for a preview has.
_QUICK = 4

# What --help shows of each is the first paragraph; deconv help deblur shows all.
_PSF = """The blur, a file or a text, motion:15,30; by default it is estimated.

A file is an image, .npy or .mat. As text, in pixels and degrees; what is in brackets may be left out:

\b
  {deconv.imaging.psf.spec:listing}

Several, or a file with channels: one for each channel."""
_PSF_FROM = """Take the psf from a point of light that the blur has drawn out.

The rectangle around it, in pixels: from the left, from the top, width, height."""
_DENOISE_ONLY = "Take no blur away, only the noise."
_FIELD = """Blur that varies over the frame: auto, or tiles, 3x4.

auto looks for the blur of a camera that turned while it moved, where one psf does not explain all; 3x4 takes a psf for
each of 3 x 4 tiles. By default one psf for all."""
_PRIOR = """What epll and flow go by: flow, gmm or a file.

A density of photographs. Where the psf is estimated, it is refined under it, too, which is slow."""
_ON_DOUBT = """Where no psf is found: copy the picture, skip or fail.

copy writes it as it is, skip writes nothing, both with exit status 3; fail ends with 2."""
_SAVE_PSF = """Write the psf here; OUT-psf.png by default if estimated.

A picture whose greatest value is white, or .npy, which keeps its numbers."""
_BUDGET = """What --method auto may take; 60 by default.

Counted on one core of a CPU."""
_POSTERIOR = """Write the mean of N draws, and how far they differ.

Draws N restorations from the posterior under --prior. Their mean is OUT, their deviation a heat map,
OUT-deviation.png, and they themselves stand side by side in OUT-samples.png; where OUT holds floats, the deviation is
also kept as numbers, OUT-deviation.tif, in parts of white."""
_METROPOLIS = """Draws from the very density, by N trajectories each.

Metropolis's rule accepts or rejects each trajectory. For N of 10 it takes four times as long as without."""
_SIGMA = "Deviation of the noise, 0.01 or 1% of white; by default it is estimated."
_RATIO = "Noise power over signal power, for Wiener filters; by default it is estimated."
_WEIGHT = "Strength of the prior; by default it follows from the noise."
_STRENGTH = """Smooth more or less: 2 for twice as much, 0.5 for half.

Relative to what the noise calls for."""
_BOUNDARY = """What lies outside the frame; unknown by default.

circular, reflect, replicate or zero are for blur made by a computer."""
_TILES = """Side of tiles to restore one by one, 1024, say.

Large images are restored in tiles as the memory asks for; this decides it."""
_ITERATIONS = "At most so many, where there are any."
_STOP = """When richardson_lucy ends: consensus or discrepancy.

It stops before it fits the noise. discrepancy is for a --sigma that is well known."""
_BACKGROUND = """What is added to the blurred light, in the file's unit.

The camera's offset, 100 say, or the sky. For richardson_lucy, whose result is without it."""
_CLIPPED = """White stands for white or more, black for black or less.

--no-clipped takes every value for what it is."""
_BITS = """Depth of the output; by default the input's.

That of stacks is 32, floats."""
_SERIES = """Which image of a TIFF or FITS file, from 0 on.

A series of a TIFF, an HDU of a FITS file; by default the first that has an image."""
_CHANNEL_AXIS = """Which axis of a stack counts channels.

For files that do not say so."""
_PREVIEW = """Show the 512 x 512 pixels of most detail only.

They are restored, and written before and after, side by side; an estimation is a quick one."""


def _check_strength(value: float, flag: str) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{flag}: expected a positive number, given {value:g}")


def _check_budget(value: float, flag: str) -> None:
    if not value > 0:
        raise ValueError(f"{flag}: expected a positive number of seconds, given {value:g}")


@dataclass(frozen=True, kw_only=True)
class DeblurOptions:
    """What ``deconv deblur`` is told."""

    psf: Annotated[list[str] | None, blur_option("--psf", "-p", metavar="FILE|SPEC", help=_PSF)] = None
    psf_from: Annotated[str | None, blur_option("--psf-from", metavar="X,Y,W,H", help=_PSF_FROM)] = None
    denoise_only: Annotated[bool, blur_option("--denoise-only", help=_DENOISE_ONLY)] = False
    kernel_size: KernelSize = None
    model: Model = "auto"
    starts: Starts = 16
    field: Annotated[
        str | None, blur_option("--field", metavar="auto|GYxGX", help=_FIELD, callback=checked(field_option))
    ] = None
    prior: Annotated[str | None, restoration_option(metavar="NAME|FILE", help=_PRIOR)] = None
    on_doubt: Annotated[
        str, blur_option("--on-doubt", metavar="WHAT", help=_ON_DOUBT, callback=checked(one_of("copy", "skip", "fail")))
    ] = "copy"
    save_psf: Annotated[Path | None, blur_option("--save-psf", metavar="FILE", help=_SAVE_PSF)] = None
    method: Annotated[str, restoration_option("--method", "-m", metavar="NAME", help=listing())] = DEFAULT
    budget: Annotated[
        float | None, restoration_option(metavar="SECONDS", help=_BUDGET, callback=checked(_check_budget))
    ] = None
    posterior: Annotated[int | None, restoration_option(metavar="N", help=_POSTERIOR)] = None
    metropolis: Annotated[int | None, restoration_option(metavar="N", min=1, help=_METROPOLIS)] = None
    sigma: Annotated[str | None, noise_option(_SIGMA)] = None
    noise_to_signal: Annotated[float | None, restoration_option(metavar="NUMBER", help=_RATIO)] = None
    weight: Annotated[float | None, restoration_option(metavar="NUMBER", min=0, help=_WEIGHT)] = None
    strength: Annotated[
        float, restoration_option(metavar="NUMBER", help=_STRENGTH, callback=checked(_check_strength))
    ] = 1.0
    boundary: Annotated[str | None, restoration_option(metavar="NAME", help=_BOUNDARY)] = None
    tiles: Annotated[int | None, machine_option(metavar="SIDE", help=_TILES)] = None
    memory: Memory = None
    iterations: Annotated[int | None, restoration_option(metavar="N", min=1, help=_ITERATIONS)] = None
    stop: Annotated[str | None, restoration_option(metavar="NAME", help=_STOP)] = None
    background: Annotated[float | None, restoration_option(metavar="NUMBER", help=_BACKGROUND)] = None
    clipped: Annotated[bool, restoration_option("--clipped/--no-clipped", help=_CLIPPED)] = True
    linear: LightOrValues = None
    recentre: Recentre = False
    white: White = None
    bits: Annotated[int | None, file_option(metavar="N", help=_BITS)] = None
    series: Annotated[int | None, file_option("--series", "--hdu", metavar="N", help=_SERIES)] = None
    channel_axis: Annotated[int | None, file_option("--channel-axis", metavar="N", help=_CHANNEL_AXIS)] = None
    device: Device = "cpu"
    preview: Annotated[bool, file_option("--preview", help=_PREVIEW)] = False
    overwrite: Overwrite = False
    max_pixels: MaxPixels = None
    quiet: Quiet = False

    def check(self, *, many: bool) -> None:
        """Raise what is wrong whatever the picture shows.

        Raises
        ------
        ValueError
            Naming the option.
        """
        chosen = choose(self.method)
        if self.budget is not None and chosen is not None:
            raise ValueError(f"--budget: is for --method auto, given --method {chosen.name}")
        given = [flag for flag, value in (("--psf", self.psf), ("--psf-from", self.psf_from)) if value is not None]
        given += ["--denoise-only"] if self.denoise_only else []
        if len(given) > 1:
            raise ValueError(f"{given[1]}: is a psf of its own, and {given[0]} is given")
        if given and self.field is not None:
            raise ValueError(f"--field: is for psfs to be estimated, and {given[0]} is given")
        if self.field is not None and self.posterior is not None:
            raise ValueError("--field: --posterior takes one psf for all of the frame")
        if self.field is not None and chosen is not None:
            chosen.check_field("--field")
        if given and self.kernel_size is not None:
            raise ValueError(f"--kernel-size: is for a psf to be estimated, and {given[0]} is given")
        others = {name: getattr(self, name) for name in ("budget", "tiles", "memory", "preview")}
        check_posterior(self.posterior, self.method, **others)
        if self.metropolis is not None and self.posterior is None:
            raise ValueError("--metropolis: is for draws, and --posterior is not given")
        if many and self.save_psf is not None:
            raise ValueError(
                "--save-psf: is one file, and there are several pictures; each psf is written beside its output"
            )
        if many and self.psf is not None:
            read_blur(self.psf, recentre=self.recentre)

    @property
    def known(self) -> bool:
        """The psf is not to be estimated."""
        return self.psf is not None or self.psf_from is not None or self.denoise_only

    @property
    def noise(self) -> float | None:
        """The standard deviation of the noise; None where it is to be estimated."""
        return None if self.sigma is None else fraction(self.sigma, "--sigma")

    @property
    def choice(self) -> Choice | None:
        """The method, None for ``auto``."""
        return choose(self.method if self.posterior is None else METHOD_OF_DRAWS)

    @property
    def search(self) -> Search:
        """How to look for the psf."""
        return Search(
            kernel_size=self.kernel_size,
            model=self.model,
            starts=self.starts,
            prior=self.prior,
            sigma=self.noise,
            linear=self.linear,
            quiet=self.quiet,
            field=None if self.field is None else field_option(self.field, "--field"),
        )

    @property
    def progress(self) -> bool | None:
        """What functions with a progress bar are told."""
        return False if self.quiet else None

    def of_the_method(self, *, sigma: Any, linear: bool | None, background: float | None) -> dict[str, tuple[str, Any]]:
        """By the keyword of a restoration method, the flag and its value; of some what it comes to for the picture."""
        return {
            "sigma": ("--sigma", sigma),
            "noise_to_signal": ("--noise-to-signal", self.noise_to_signal),
            "weight": ("--weight", self.weight),
            "boundary": ("--boundary", self.boundary),
            "num_iter": ("--iterations", self.iterations),
            "stop": ("--stop", self.stop),
            "background": ("--background", background),
            "prior": ("--prior", self.prior),
            "linear": ("--linear", linear),
        }

    def settled_for(self, photograph: Source, output: Path) -> DeblurOptions:
        """The same, with what follows from the picture and from other options where nothing was said."""
        bits, save_psf, starts, on_doubt = self.bits, self.save_psf, self.starts, self.on_doubt
        if photograph.volume is not None and self.known and bits is None and photograph.values.dtype.name != "float64":
            bits = 32
        if not self.known and save_psf is None:
            save_psf = output.with_name(f"{output.stem}-psf.png")
        if self.preview:
            starts, on_doubt = min(starts, _QUICK), "skip" if on_doubt == "copy" else on_doubt
        linear = asked_light(photograph, self.linear)
        return replace(self, linear=linear, bits=bits, save_psf=save_psf, starts=starts, on_doubt=on_doubt)
