"""``deconv psf gibson-lanni``, ``vectorial`` and ``confocal``: psfs of microscopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal, cast

from typer import Option

from .options import Overwrite, checked, one_of
from .psf_values import SIZE, Output, save_psf
from .values import length, sides

if TYPE_CHECKING:
    from ..imaging.picture import VoxelSize
    from ..imaging.psf.stratified import Optics

__all__ = ["confocal", "gibson_lanni", "vectorial"]

_Size = Annotated[str, Option(metavar="DxHxW", help=SIZE)]
_Aperture = Annotated[float, Option("--na", metavar="NUMBER", help="Numerical aperture.")]
_Wavelength = Annotated[str, Option(metavar="LENGTH", help="Of the light, 520nm or 0.52um.")]
_Pixel = Annotated[str, Option(metavar="LENGTH", help="Size of a pixel in the sample, 100nm.")]
_Step = Annotated[str, Option(metavar="LENGTH", help="From one slice to the next, 250nm.")]
_Depth = Annotated[str, Option(metavar="LENGTH", help="Of the light below the coverslip.")]
_Sample = Annotated[float, Option("--n-sample", metavar="NUMBER", help="Refractive index of the sample.")]
_Immersion = Annotated[
    float, Option("--n-immersion", metavar="NUMBER", help="Refractive index of the immersion medium.")
]
_ORDER = "Slices by their focus: sample, from the coverslip on, or stage, to the coverslip."
_Order = Annotated[str, Option("--z", metavar="NAME", help=_ORDER, callback=checked(one_of("stage", "sample")))]
_MODEL = "The theory: vectorial, or scalar."
_Model = Annotated[str, Option(metavar="NAME", help=_MODEL, callback=checked(one_of("vectorial", "scalar")))]


def _widefield(name: str, theory: str, authors: str) -> Callable[..., None]:
    """The command of the function of that name in `deconv.imaging.psf`."""

    def command(
        output: Output,
        size: _Size,
        na: _Aperture,
        wavelength: _Wavelength,
        pixel: _Pixel,
        step: _Step,
        depth: _Depth = "0um",
        n_sample: _Sample = 1.33,
        n_immersion: _Immersion = 1.515,
        z: _Order = "stage",
        overwrite: Overwrite = False,
    ) -> None:
        from ..imaging import psf

        optics = _optics(na, pixel, step, depth, n_sample, n_immersion, z)
        h = getattr(psf, name)(_volume(size), wavelength=length(wavelength, "--wavelength"), **optics)
        save_psf(output, h, authors, _voxel(optics), (), overwrite)

    command.__doc__ = f"""Make the psf of a widefield microscope, by the {theory}.

    \b
    Example:
      deconv psf {name.replace("_", "-")} --na 1.4 --wavelength 520nm --pixel 100nm \\
        --step 250nm --size 31x63x63 -o psf.tif
    """
    return command


gibson_lanni = _widefield("gibson_lanni", "scalar theory", "Gibson and Lanni")
vectorial = _widefield("vectorial", "vectorial theory: for apertures above 1", "Richards and Wolf")


def confocal(
    output: Output,
    size: _Size,
    na: _Aperture,
    excitation: Annotated[str, Option(metavar="LENGTH", help="Wavelength of the laser, 488nm.")],
    emission: Annotated[str, Option(metavar="LENGTH", help="Wavelength of the fluorescence, 520nm.")],
    pixel: _Pixel,
    step: _Step,
    pinhole: Annotated[float, Option(metavar="NUMBER", help="Diameter of the pinhole in Airy units.")] = 1.0,
    model: _Model = "vectorial",
    depth: _Depth = "0um",
    n_sample: _Sample = 1.33,
    n_immersion: _Immersion = 1.515,
    z: _Order = "stage",
    overwrite: Overwrite = False,
) -> None:
    """Make the psf of a confocal microscope: that of the laser times that seen through the pinhole.

    \b
    Example:
      deconv psf confocal --na 1.4 --excitation 488nm --emission 520nm \\
        --pixel 50nm --step 150nm --size 31 -o psf.tif
    """
    from ..imaging import psf

    optics = _optics(na, pixel, step, depth, n_sample, n_immersion, z)
    h = psf.confocal(
        _volume(size),
        excitation=length(excitation, "--excitation"),
        emission=length(emission, "--emission"),
        pinhole=pinhole,
        model=cast('Literal["vectorial", "scalar"]', model),
        **optics,
    )
    save_psf(output, h, f"confocal, pinhole {pinhole:g} Airy units", _voxel(optics), (), overwrite)


def _optics(na: float, pixel: str, step: str, depth: str, n_sample: float, n_immersion: float, z: str) -> Optics:
    return {
        "aperture": na,
        "pixel": length(pixel, "--pixel"),
        "step": length(step, "--step"),
        "depth": length(depth, "--depth"),
        "n_sample": n_sample,
        "n_immersion": n_immersion,
        "n_immersion_design": n_immersion,  # an objective made for the medium it is used with
        "z": cast('Literal["stage", "sample"]', z),
    }


def _volume(size: str) -> tuple[int, int, int]:
    slices, rows, columns = sides(size, 3)
    return slices, rows, columns


def _voxel(optics: Optics) -> VoxelSize:
    from ..imaging.picture import VoxelSize

    return VoxelSize(optics["step"], (1 / optics["pixel"], 1 / optics["pixel"]), "um")
