"""Which files a command may write, and psfs as files: nothing that somebody still needs is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..imaging.picture import VoxelSize

__all__ = ["check_outputs", "check_psf_target", "is_our_psf", "write_psf"]

# The Exif tag of the software that made a picture, and what it says of psfs.
_SOFTWARE, _MADE_HERE, _FIELD = 0x0131, "deconv: psf", "deconv: psfs over the frame"


def check_outputs(
    outputs: Mapping[str, Path], inputs: Iterable[Path | str | None], *, psf: str | None = None, overwrite: bool
) -> None:
    """Refuse, before any work is done, to write over what is read, over another output, or over a file that exists and
    is no psf of ours in the place of another.

    Parameters
    ----------
    outputs : mapping
        The file that each flag names.
    inputs : iterable
        Files that are read, as they were given; what is no file, a text for a psf or None, does no harm.
    psf : str, optional
        The flag of the output that is to hold a psf.
    overwrite : bool
        Files that exist may be replaced.
    """
    flags = list(outputs)
    for index, flag in enumerate(flags):
        for other in flags[:index]:
            if _same(outputs[flag], outputs[other]):
                raise ValueError(f"{flag}: {outputs[flag]} is what {other} writes; give another name")
    read = [Path(each) for each in inputs if each is not None]
    for flag, path in outputs.items():
        if any(_same(path, each) or _within(path, each) or _within(each, path) for each in read):
            raise ValueError(f"{flag}: {path} is read; give another name")
        if not overwrite and os.path.lexists(path) and not (flag == psf and is_our_psf(path)):
            raise ValueError(f"{flag}: {path} exists; give another name, or --overwrite")


def _same(a: Path, b: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(a, b)  # links of both kinds, and names that differ in case where that is no difference
    return os.path.realpath(a) == os.path.realpath(b)


def _within(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder that is one stack."""
    return folder.is_dir() and Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents


def is_our_psf(path: Path, *, field: bool | None = None) -> bool:
    """Whether it is a picture of a psf that `write_psf` has made; of one, of several from a field, or either."""
    from PIL import Image

    from ..imaging.files import read_picture

    try:
        notes = read_picture(path).exif
    except (OSError, ValueError):
        return False
    exif = Image.Exif()
    if notes is not None:
        exif.load(notes)
    made = {None: (_MADE_HERE, _FIELD), False: (_MADE_HERE,), True: (_FIELD,)}[field]
    return exif.get(_SOFTWARE) in made


def check_psf_target(path: Path, *, volume: bool = False) -> None:
    """Raise now what `write_psf` would raise at the end of the work."""
    from ..imaging.files import check_writable

    check_writable(path, volume=volume)


def write_psf(path: Path, psf: Tensor, voxel: VoxelSize | None = None, *, field: bool = False) -> None:
    """A psf, of any kind that `Blur` has: as numbers where the file holds floats; else as a picture of which the
    greatest value is white. PNG and JPEG say that they are a psf of ours, or several of a field side by side."""
    from PIL import Image

    from ..imaging import write_image, write_stack
    from ..imaging.formats import format_of_name
    from ..imaging.picture import Picture, Volume

    values = psf.cpu()
    if values.ndim > 2:
        values = values[0] if values.ndim > 3 else values
        axes = "CYX" if psf.ndim == 4 else "CZYX"[-values.ndim :]
        write_stack(path, values, like=Volume(values.numpy(), voxel, axes), bits=32)
        return
    dtypes = format_of_name(path).dtypes
    exif = Image.Exif()
    exif[_SOFTWARE] = _FIELD if field else _MADE_HERE
    like = Picture(values.numpy(), exif=exif.tobytes())
    if "float32" in dtypes:
        write_image(path, values, like=like, bits=32)
    else:
        write_image(path, values / values.max(), like=like, bits=16 if "uint16" in dtypes else 8)
