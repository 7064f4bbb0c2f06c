"""Image files: PNG, JPEG, TIFF and NumPy; 8 bits, 16 bits or floats; grey or colour, opacity kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import as_image_batch
from .codecs import Picture, decode, encode
from .depths import DEPTHS, choose_depth, fractions, to_depth

__all__ = ["Picture", "check_writable", "read_image", "read_picture", "write_atomically", "write_image"]

_JPEG = (".jpg", ".jpeg")


def read_image(path: str | os.PathLike) -> np.ndarray:
    """The grey or colour pixels of an image file: `H x W` or `H x W x 3`, uint8, uint16, float32 or float64.

    The camera's orientation is applied, palettes are resolved. Opacity, the colour profile and the camera's
    notes are not part of the array: ``write_image(..., like=path)`` takes them along, `read_picture` shows
    them.

    Raises
    ------
    FileNotFoundError, PermissionError, IsADirectoryError: the file cannot be opened.
    ValueError: it is not an image, is damaged, or holds more than one.
    """
    return read_picture(path).pixels


def read_picture(path: str | os.PathLike) -> Picture:
    """The pixels of an image file together with what else it holds; errors as `read_image`."""
    data = Path(path).read_bytes()
    try:
        return decode(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def write_image(
    path: str | os.PathLike,
    image: Any,
    *,
    like: Picture | str | os.PathLike | None = None,
    bits: int | None = None,
) -> None:
    """Write `image` to a file of the kind that its name ends with: .png, .jpg, .tif or .npy.

    The file appears complete or not at all: an existing one is replaced at the last moment, and stays what it
    was if anything fails.

    Parameters
    ----------
    path: where to.
    image: array or tensor, one grey or colour image, see `deconv.imaging.arrays`.
    like: a picture, or the file of one, whose depth, opacity, colour profile and camera's notes the new file
        gets as far as its format holds them. An image smaller than that by a valid blur gets the opacity
        under it.
    bits: 8, 16, 32 or 64 per value; by default those of `like`, else of the image, else the format's own: 8
        for floats in PNG and JPEG, 32 in TIFF. Floats outside [0, 1] saturate where the file holds integers,
        and only there.

    Raises
    ------
    ValueError: an unknown kind of file, a depth it cannot hold, opacity in a JPEG, NaN, more than one image.
    OSError: the folder does not exist or may not be written to.
    """
    if like is not None and not isinstance(like, Picture):
        like = read_picture(like)
    check_writable(path, like=like, bits=bits)
    batch, _ = as_image_batch(image)
    if batch.shape[0] != 1 or batch.shape[1] not in (1, 3):
        raise ValueError(f"image: expected one grey or colour image, given the shape {tuple(image.shape)}")
    values = batch[0].detach().movedim(0, -1).cpu().numpy()
    values = values[..., 0] if values.shape[2] == 1 else values
    suffix = Path(path).suffix.lower()
    given = str(image.dtype).removeprefix("torch.")
    depth = choose_depth(suffix, bits, given if like is None else like.pixels.dtype.name)
    picture = Picture(to_depth(values, depth))
    if like is not None:
        kept = like.alpha is not None and suffix not in _JPEG
        alpha = to_depth(_under(fractions(like.alpha), values), depth) if kept else None
        picture = Picture(picture.pixels, alpha, like.profile, like.exif)
    write_atomically(path, encode(picture, suffix))


def check_writable(
    path: str | os.PathLike,
    *,
    like: Picture | None = None,
    bits: int | None = None,
    kinds: Collection[str] = tuple(DEPTHS),
) -> None:
    """Raise now what writing to this path would raise at the end of the work.

    like, bits: as for `write_image`. kinds: what the name may end with.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in kinds:
        raise ValueError(f"{os.fspath(path)}: kind of file {suffix!r}, allowed here are {', '.join(kinds)}")
    choose_depth(suffix, bits, "")
    if suffix in _JPEG and like is not None and like.alpha is not None and (fractions(like.alpha) < 1).any():
        raise ValueError(f"{os.fspath(path)}: JPEG has no room for the picture's opacity; write PNG or TIFF")
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)} is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {target.parent} may not be written to")


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Put `data` under `path` in one step: a temporary file beside it takes its name when it is complete."""
    target = Path(os.path.realpath(path))  # through a link, to the file that it stands for
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _under(alpha: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The part of the opacity that lies under the valid part of a blur (`deconv.imaging.valid_margins`)."""
    lost = [a - v for a, v in zip(alpha.shape, values.shape[:2], strict=True)]
    if min(lost) < 0:
        raise ValueError(f"like: its opacity, {alpha.shape}, does not cover the image, {values.shape[:2]}")
    top, left = ((n + 1) // 2 for n in lost)
    return alpha[top : top + values.shape[0], left : left + values.shape[1]]
