"""A picture or a stack that was read, what is known of it, and files like its own that are written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..imaging.picture import Picture, Volume

__all__ = ["Source"]

# A picture of floats has another white than 1 where more than this share of it is brighter.
_MOSTLY = 0.5

# What the axes of a stack count.
_COUNTED = {"T": "times", "C": "channels", "Z": "slices"}

# The share of the light that a file of integers loses and that the summary line says.
_WORTH_A_WORD = 0.01


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
        The same as shares of white: of a picture `(1, C, H, W)`; of a stack a sample for each time, `(T, C, D, H, W)`,
        or for a psf of two axes for each slice, too, `(T D, C, H, W)`.
    picture : Picture or None
        What else an image file holds; None for a volume.
    white : float
        The value of white in a file of floats.
    volume : Volume or None
        What else a stack's file holds; None for a picture.
    known : Tensor or None
        1 where the file has a value, like `batch`, 0 also where it is fully transparent; None where it has all. Where
        there is none, `batch` is filled from around it.
    """

    path: Path
    values: np.ndarray
    batch: Tensor
    picture: Picture | None
    white: float = 1.0
    volume: Volume | None = None
    known: Tensor | None = None

    def part(self, rows: slice, columns: slice) -> Source:
        """That of a picture in some rows and columns, with what is known of the whole."""
        values, picture = self.values[rows, columns], self.picture
        if picture is not None:
            alpha = None if picture.alpha is None else picture.alpha[rows, columns]
            picture = replace(picture, pixels=values, alpha=alpha)
        known = None if self.known is None else self.known[..., rows, columns]
        return replace(self, values=values, batch=self.batch[..., rows, columns], picture=picture, known=known)

    def check_target(self, path: Path, *, bits: int | None) -> None:
        """Raise now what `write` would raise at the end of the work, or where most of it would come out white."""
        from ..imaging.files import check_writable

        if self.picture is None:
            check_writable(path, bits=bits, volume=True)
        else:
            check_writable(path, like=self.picture, bits=bits)
        beyond = float((self.batch > 1).double().mean())
        if beyond > _MOSTLY and not self.holds_floats(path, bits):
            raise ValueError(
                f"{path}: {beyond:.0%} of {self.path} is above {self.white:g} and would come out white; give another "
                "--white, such as 255 or 4095, or write floats"
            )

    def holds_floats(self, path: Path, bits: int | None) -> bool:
        """Whether `write` would write floats."""
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
        from ..imaging.hyperstack import from_samples

        floats, words = self.holds_floats(path, bits), []
        if floats:
            result = result * self._unit
        else:
            share, lost = lost_to_white(result.detach().cpu().numpy())
            if lost > _WORTH_A_WORD or (self.volume is not None and share > 0):
                words = [f"{share:.2%} clipped at white, {lost:.0%} of the light, which .tif with --bits 32 keeps"]
        if self.volume is not None:
            space: Literal[2, 3] = 2 if result.ndim == 4 else 3
            samples = result.detach().cpu().numpy()
            values = from_samples(samples, self.values.shape, self.volume.axes, space)
            write_stack(path, values, like=self.volume, bits=bits)
        elif self.picture is not None:
            write_image(path, result[0], like=self.picture, bits=bits)
        return words

    def check_noise(self, sigma: float | None) -> None:
        """Refuse noise of white and more where white is known, and of more than all values span: a percentage, or a
        number of grey levels, was meant."""
        if sigma is not None and sigma >= 1 and (self.values.dtype.kind == "u" or self.white != 1):
            raise ValueError(f"--sigma: {sigma:g} is {sigma:.0%} of white; write {sigma:g}% for {sigma:g} %")
        span = float(self.batch.max() - self.batch.min())
        if sigma is not None and sigma > span > 0:
            raise ValueError(
                f"--sigma: {sigma:g}, in the unit of the values, is more than they span, {span:.4g}; write {sigma:g}% "
                f"for {sigma:g} %"
            )

    @property
    def photograph(self) -> bool:
        """Whether it may be an sRGB photograph, whose light the psf is looked for in and compared by first: integers
        from a camera, or in colour."""
        return self.picture is not None and self.values.dtype.kind == "u" and (self.values.ndim == 3 or self.camera)

    @property
    def camera(self) -> bool:
        """Whether it is a camera's for all that its file says, having a photograph's notes or a lossy coder."""
        from ..imaging.codecs.exif import is_photograph

        picture = self.picture
        if picture is None:
            return False
        return picture.raw or bool(picture.loss) or (picture.exif is not None and is_photograph(picture.exif))

    @property
    def clipped_at(self) -> float | None:
        """The value of `batch` at which it is clipped, if it is: 1 where that is known, else what its values show."""
        from ..imaging.clipping import white_seen

        if self.white != 1:
            return 1.0
        return white_seen(self.batch, self.full if self.values.dtype.kind == "u" else None)

    @property
    def full(self) -> float:
        """What a value of 1 in `batch` is in the file."""
        import numpy as np

        return self.white if self.values.dtype.kind == "f" else float(np.iinfo(self.values.dtype).max)

    @property
    def _unit(self) -> float:
        """What a value of 1 in `batch` is in a file of floats: a stack keeps its counts."""
        return self.white if self.volume is None else self.full

    @property
    def kind(self) -> str:
        """What it is, in a few words."""
        if self.volume is not None:
            axes, shape = self.volume.axes, self.values.shape
            words = "volume"
            if axes != "ZYX" or self.batch.ndim == 4:
                counts = [(shape[axes.index(axis)], word) for axis, word in _COUNTED.items() if axis in axes]
                words = f"stack of {', '.join(f'{n} {word if n != 1 else word[:-1]}' for n, word in counts)}"
            words += f" ({self.volume.part})" if self.volume.part else ""
        else:
            words = "grey" if self.values.ndim == 2 else "colour"
            words += "" if self.picture is None or self.picture.alpha is None else " with opacity"
            words += f" ({self.picture.part})" if self.picture is not None and self.picture.part else ""
        return f"{words}, {8 * self.values.dtype.itemsize} bits"
