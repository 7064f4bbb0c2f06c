"""What the commands read: numbers, psfs and pictures, as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from deconv.imaging.files import Picture

__all__ = ["Blur", "check_fits", "fraction", "read_blur", "read_photograph"]


@dataclass(frozen=True)
class Blur:
    """A psf and what to call it in the closing line."""

    psf: Tensor
    words: str


def fraction(text: str, flag: str) -> float:
    """A share of full scale given to `flag`, ``0.01`` or ``1%``."""
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        raise ValueError(f"{flag}: {text!r} is not a number; expected one like 0.01 or 1%") from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{flag}: expected a finite number of at least 0, given {text}")
    return value


def read_blur(text: str, *, recentre: bool = False) -> Blur:
    """The psf in a file, or the one that a text like ``motion:15,30`` describes."""
    from deconv.imaging import psf

    name, colon, _ = text.partition(":")
    if Path(text).exists() or (not colon and Path(name).suffix):
        values, report = psf.from_file(text, recentre=recentre)
        if values.ndim != 2:
            raise ValueError(f"{text}: the psf has {values.ndim} axes, {tuple(values.shape)}; expected 2")
        return Blur(values, f"{Path(text).name} ({report})")
    values = psf.parse(text)
    return Blur(values, f"{text} ({' x '.join(map(str, values.shape))})")


def read_photograph(path: Path, *, device: str = "cpu") -> tuple[Picture, Tensor]:
    """The picture in a file, and its pixels as a float tensor `(1, C, H, W)` on `device`."""
    import torch
    from PIL import Image

    from deconv.imaging import as_image_batch
    from deconv.imaging.files import read_picture

    Image.MAX_IMAGE_PIXELS = None  # whoever names a large file on a command line means it
    picture = read_picture(path)
    try:
        batch, _ = as_image_batch(picture.pixels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return picture, batch.to(torch.device(device))
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # torch says so when it does not know it or was built without it
        raise ValueError(f"--device: {device!r} cannot be used here ({str(error).splitlines()[0]})") from None


def check_fits(blur: Blur, batch: Tensor) -> None:
    """A psf larger than the picture is a mistake, whatever the boundary."""
    size, frame = tuple(blur.psf.shape), tuple(batch.shape[-2:])
    if any(s > n for s, n in zip(size, frame, strict=True)):
        raise ValueError(
            f"psf: {size[0]} x {size[1]} is larger than the image, {frame[0]} x {frame[1]}; give a smaller one"
        )
