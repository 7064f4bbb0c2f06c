"""What the commands read and write: numbers, psfs and pictures, as people give them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..imaging.picture import Picture, Volume

__all__ = ["MAX_PIXELS", "WHITE", "Blur", "Source", "fraction", "read_blur", "read_source"]

# Help of the options --white and --max-pixels.
WHITE = "The value of white in a file of floats, 255 or 4095, say. By default 1."
MAX_PIXELS = "Read files that declare up to so many pixels; 250 million by default."

# A picture of floats has another white than 1 where more than this share of it is brighter.
_MOSTLY = 0.5

# The share of the light that a file of integers loses and that the summary line says.
_WORTH_A_WORD = 0.01


@dataclass(frozen=True)
class Blur:
    """A psf and what to call it in the summary line."""

    psf: Tensor
    words: str


@dataclass(frozen=True)
class Source:
    """What was read.

    Attributes
    ----------
    path : Path
        The file.
    values : ndarray
        As they are in the file.
    batch : Tensor
        The same as shares of white, `(1, C, H, W)` or `(1, 1, D, H, W)`.
    picture : Picture or None
        What else an image file holds; None for a volume.
    white : float
        The value of white in a file of floats.
    volume : Volume or None
        What else a file of slices holds; None for a picture.
    """

    path: Path
    values: np.ndarray
    batch: Tensor
    picture: Picture | None
    white: float = 1.0
    volume: Volume | None = None

    def check_target(self, path: Path, *, bits: int | None) -> None:
        """Raise now what `write` would raise at the end of the work, or where most of it would come out white."""
        from ..imaging.files import check_writable

        if self.picture is None:
            check_writable(path, bits=bits, volume=True)
        else:
            check_writable(path, like=self.picture, bits=bits)
        beyond = float((self.batch > 1).double().mean())
        if beyond > _MOSTLY and not self._holds_floats(path, bits):
            raise ValueError(
                f"{path}: {beyond:.0%} of {self.path} is above {self.white:g} and would come out white; give another "
                "--white, such as 255 or 4095, or write floats"
            )

    def _holds_floats(self, path: Path, bits: int | None) -> bool:
        from ..imaging.depths import choose_depth
        from ..imaging.formats import format_of_name

        format = format_of_name(path, volumes=self.picture is None)
        return choose_depth(format, bits, self.values.dtype.name).startswith("float")

    def write(self, path: Path, result: Tensor, *, bits: int | None) -> list[str]:
        """Write a result `(1, C, [D,] H, W)` to a file of the same depth, with all that the source's holds.

        What that loses is a word for the summary line.
        """
        from ..imaging import write_image, write_stack
        from ..imaging.depths import lost_to_white

        floats, words = self._holds_floats(path, bits), []
        if floats:
            result = result * self.white
        else:
            share, lost = lost_to_white(result.detach().cpu().numpy())
            if lost > _WORTH_A_WORD:
                words = [f"{share:.2%} clipped at white, {lost:.0%} of the light, which .tif with --bits 32 keeps"]
        if self.picture is None:
            write_stack(path, result[0, 0], like=self.volume, bits=bits)
        else:
            write_image(path, result[0], like=self.picture, bits=bits)
        return words

    @property
    def clipped_at(self) -> float | None:
        """The value of `batch` at which it is clipped, if it is: 1 where that is known, else what floats show."""
        from ..imaging.clipping import white_level

        known = self.values.dtype.kind == "u" or self.white != 1
        return 1.0 if known else white_level(self.batch)

    @property
    def kind(self) -> str:
        if self.picture is None:
            words = "volume"
        else:
            words = "grey" if self.values.ndim == 2 else "colour"
            words += "" if self.picture.alpha is None else " with opacity"
        return f"{words}, {8 * self.values.dtype.itemsize} bits"


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
    from ..imaging import psf

    name, colon, _ = text.partition(":")
    if Path(text).exists() or (not colon and Path(name).suffix):
        values, report = psf.from_file(text, recentre=recentre)
        return Blur(values, f"{Path(text).name} ({report})")
    values = psf.parse(text)
    return Blur(values, f"{text} ({' x '.join(map(str, values.shape))})")


def read_source(
    path: Path,
    blur: Blur | None,
    *,
    device: str = "cpu",
    white: float | None = None,
    max_pixels: int | None = None,
) -> Source:
    """Read a picture, or a volume for a psf of three axes, and check that the psf, if there is one, is not larger."""
    import numpy as np

    from ..devices import usable_device
    from ..imaging import as_image_batch
    from ..imaging.decoding import MAX_PIXELS
    from ..imaging.files import read_picture
    from ..imaging.stacks import read_volume

    place = usable_device(device, name="--device")
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    space = 2 if blur is None else blur.psf.ndim
    picture, volume = None, None
    if blur is None or space == 2:
        picture = read_picture(path, max_pixels=max_pixels)
        values = picture.pixels
    else:
        try:
            volume = read_volume(path, max_pixels=max_pixels)
        except ValueError as error:
            raise ValueError(f"{error}; a volume is needed for psf {blur.words}, which has three axes") from None
        values = volume.values
    try:
        batch, _ = as_image_batch(values, space=space)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    shapes = batch.shape[2:] if blur is None else blur.psf.shape, batch.shape[2:]
    if any(s > n for s, n in zip(*shapes, strict=True)):
        size, frame = (" x ".join(map(str, shape)) for shape in shapes)
        raise ValueError(f"psf: {size} is larger than the image, {frame}; give a smaller one")
    batch = batch.to(place)
    if white is None:
        return Source(path, values, batch, picture, volume=volume)
    if values.dtype.kind != "f":
        raise ValueError(f"--white: is for files of floats; that of {path} is {np.iinfo(values.dtype).max}")
    if not 0 < white < float("inf"):
        raise ValueError(f"--white: expected a positive number, given {white:g}")
    return Source(path, values, batch / white, picture, white, volume)
