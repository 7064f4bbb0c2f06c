"""Reading and writing image files: 8 bits, 16 bits or floats; grey or colour, opacity kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .decoding import MAX_PIXELS, decoding
from .depths import choose_depth, fractions, lost_to_white, to_depth
from .formats import format_of_bytes, format_of_folder, format_of_name
from .picture import Picture

__all__ = ["Picture", "check_writable", "read_image", "read_picture", "replacing", "write_atomically", "write_image"]

# Of the pixels of a picture, and of its light, that integers may lose.
_MOST_LOST = 0.5


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The grey or colour pixels of an image file.

    The camera's orientation is applied, palettes are resolved. Opacity, the colour profile and the camera's notes are
    not part of the array: ``write_image(..., like=path)`` takes them along, `read_picture` shows them.

    Parameters
    ----------
    path : path-like
        A file in one of the formats that `deconv.imaging.formats` lists; its bytes tell which, not its name.
    max_pixels : int
        Files that declare more are refused before anything is allocated.

    Returns
    -------
    ndarray
        `H x W` or `H x W x 3`, uint8, uint16, float32 or float64. Signed and 32-bit integers become floats, unchanged.

    Raises
    ------
    FileNotFoundError, PermissionError, IsADirectoryError
        The file cannot be opened.
    ValueError
        It is not an image, is damaged, too large, or holds more than one.
    """
    return read_picture(path, max_pixels=max_pixels).pixels


def read_picture(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS, part: int | None = None) -> Picture:
    """The pixels of an image file together with what else it holds; arguments and errors as `read_image`.

    `part` is which of several series of a TIFF or HDUs of a FITS file; by default the first that has an image.
    """
    data = Path(path).read_bytes()
    with decoding(path):
        format = format_of_bytes(data)
        if part is None:
            return format.codec.decode(data, max_pixels)
        if not format.parts:
            raise ValueError(f"a {format.name} file has no series or HDUs, given {part}")
        return format.codec.decode(data, max_pixels, part)


def write_image(
    path: str | os.PathLike,
    image: Any,
    *,
    like: Picture | str | os.PathLike | None = None,
    bits: int | None = None,
) -> None:
    """Write `image` to a file of the format that its name ends with.

    The file appears complete or not at all: an existing one is replaced at the last moment, and stays what it
    was if anything fails.

    Parameters
    ----------
    path : path-like
        Where to: ``.png``, ``.jpg``, ``.tif``, ``.npy``, or what else `deconv.imaging.formats` lists as written.
    image : array or Tensor
        One grey or colour image, see `deconv.imaging.arrays`.
    like : Picture or path-like, optional
        A picture, or the file of one, whose depth, opacity, colour profile, camera's notes and resolution the new
        file gets as far as its format holds them. An image smaller than that by a valid blur gets the opacity under it.
    bits : {8, 16, 32, 64}, optional
        Per value; by default those of `like`, else of the image, else the format's own: 8 for floats in PNG and JPEG,
        32 in TIFF. Floats outside [0, 1] saturate where the file holds integers, and only there.

    Raises
    ------
    ValueError
        An unknown format, a depth it cannot hold, opacity in a JPEG, NaN, more than one image; floats that would come
        out white all over, whose unit is not white.
    OSError
        The folder does not exist or may not be written to.
    """
    if like is not None and not isinstance(like, Picture):
        like = read_picture(like)
    check_writable(path, like=like, bits=bits)
    batch, _ = as_image_batch(image)
    if batch.shape[0] != 1 or batch.shape[1] not in (1, 3):
        raise ValueError(f"image: expected one grey or colour image, given the shape {tuple(image.shape)}")
    values = batch[0].detach().movedim(0, -1).cpu().numpy()
    values = values[..., 0] if values.shape[2] == 1 else values
    format = format_of_name(path)
    given = str(image.dtype).removeprefix("torch.")
    depth = choose_depth(format, bits, given if like is None else like.pixels.dtype.name)
    _check_not_white(path, values, depth)
    picture = Picture(to_depth(values, depth))
    if like is not None:
        alpha = None
        if like.alpha is not None and format.opacity:
            alpha = to_depth(_under(fractions(like.alpha), values), depth)
        picture = Picture(picture.pixels, alpha, like.profile, like.exif, like.dpi, header=like.header)
    write_atomically(path, format.codec.encode(picture))


def check_writable(
    path: str | os.PathLike, *, like: Picture | None = None, bits: int | None = None, volume: bool = False
) -> None:
    """Raise now what writing to this path would raise at the end of the work.

    Parameters
    ----------
    path : path-like
        Where to.
    like, bits
        As for `write_image`.
    volume : bool
        The file is to hold a volume.
    """
    format = format_of_name(path, volumes=volume)
    choose_depth(format, bits, "")
    if not format.opacity and like is not None and like.alpha is not None and (fractions(like.alpha) < 1).any():
        raise ValueError(f"{os.fspath(path)}: {format.name} has no room for the picture's opacity; write PNG or TIFF")
    target = Path(os.path.realpath(path))
    if format.folder and target.exists() and format_of_folder(target) is not format:
        raise FileExistsError(f"{os.fspath(path)} exists, and is not in the format {format.name}")
    if target.is_dir() and not format.folder:
        raise IsADirectoryError(f"{os.fspath(path)} is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {target.parent} may not be written to")


def _check_not_white(path: str | os.PathLike, values: np.ndarray, depth: str) -> None:
    """Refuse floats that would come out white for the most part, and with most of the light lost: their unit is
    another. Bright points alone are none, nor is paper that is a little too bright."""
    above, lost = (0.0, 0.0) if depth.startswith("float") else lost_to_white(values)
    if min(above, lost) > _MOST_LOST:
        raise ValueError(
            f"{os.fspath(path)}: white is 1 and the values go up to {values.max():.4g}, {lost:.0%} of the light would "
            "be lost; divide them by their white, or write floats (32 bits, .tif)"
        )


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Put `data` under `path` in one step, see `replacing`."""
    try:
        with replacing(path) as temporary, open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk has none
            error.filename = os.fspath(path)
        raise


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name beside `path` for a file or a folder that takes its name when it is complete.

    Parameters
    ----------
    path : path-like
        Where to; through a link, what that stands for. What is there stays what it was if anything fails.

    Yields
    ------
    Path
        Where to write.
    """
    target = Path(os.path.realpath(path))
    temporary, old = (target.with_name(f".{target.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    try:
        yield temporary
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        if target.is_dir():  # which nothing takes the place of in one step
            os.replace(target, old)
        os.replace(temporary, target)
    finally:
        for left in (temporary, old):
            with suppress(FileNotFoundError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _under(alpha: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The part of the opacity that lies under the valid part of a blur (`deconv.imaging.valid_margins`)."""
    lost = [a - v for a, v in zip(alpha.shape, values.shape[:2], strict=True)]
    if min(lost) < 0:
        raise ValueError(f"like: its opacity, {alpha.shape}, does not cover the image, {values.shape[:2]}")
    top, left = ((n + 1) // 2 for n in lost)
    return alpha[top : top + values.shape[0], left : left + values.shape[1]]
