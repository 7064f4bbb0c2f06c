"""Pictures and stacks that the commands read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .source import Source

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..imaging.picture import Picture, Volume
    from .blurs import Blur

__all__ = ["read_source"]


def read_source(
    path: Path,
    blur: Blur | None,
    *,
    device: str = "cpu",
    white: float | None = None,
    max_pixels: int | None = None,
    part: int | None = None,
    channel_axis: int | None = None,
) -> Source:
    """Read a picture or a stack: a stack where the psf has three axes, the file says so, or channels are counted."""
    from ..devices import usable_device
    from ..imaging import as_image_batch
    from ..imaging.decoding import MAX_PIXELS
    from ..imaging.files import read_picture

    place = usable_device(device, name="--device")
    max_pixels = MAX_PIXELS if max_pixels is None else max_pixels
    space: Literal[2, 3] = 3 if blur is not None and blur.space == 3 else 2
    picture, volume = None, None
    if space == 3 or channel_axis is not None or _says_stack(path):
        volume = _read_stack(path, blur, max_pixels=max_pixels, part=part, channel_axis=channel_axis)
        values, header, given = volume.values, volume.header, _samples_of(path, volume, space)
    else:
        picture = read_picture(path, max_pixels=max_pixels, part=part)
        values, header, given = picture.pixels, picture.header, picture.pixels
    given, missing = (given, None) if header is None else _without_missing(given)
    try:
        batch, _ = as_image_batch(given, space=space, check_order=volume is None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if blur is not None:
        _check_blur(path, blur, batch, volume)
    known = _known_pixels(batch, missing, picture)
    if known is not None:
        from ..restore.filling import fill

        batch = fill(batch, known)
    source = Source(path, values, batch.to(place), picture, volume=volume, known=known)
    return source if white is None else _with_white(source, white)


def _read_stack(
    path: Path, blur: Blur | None, *, max_pixels: int, part: int | None, channel_axis: int | None
) -> Volume:
    """The stack; a single slice is one for a psf of three axes, too."""
    from ..imaging.stacks import read_volume

    if blur is None:
        raise ValueError(
            f"{path}: it holds a stack, and a psf is estimated from a picture only; expected --psf, one of beads or of "
            "a formula"
        )
    try:
        volume = read_volume(path, max_pixels=max_pixels, part=part, channel_axis=channel_axis)
    except ValueError as error:
        if blur.space == 2:
            raise
        raise ValueError(f"{error}; a volume is needed for psf {blur.words}, which has three axes") from None
    if blur.space == 3 and volume.axes == "YX":
        return replace(volume, values=volume.values[None], axes="ZYX")
    return volume


def _samples_of(path: Path, volume: Volume, space: Literal[2, 3]) -> np.ndarray:
    """Its values with the axes of `Source.batch`."""
    import numpy as np

    from ..imaging.hyperstack import to_samples

    try:
        return np.ascontiguousarray(to_samples(volume.values, volume.axes, space))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _without_missing(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of a file in which NaN stands for none: 0 in these places, and where they are."""
    import numpy as np

    missing = ~np.isfinite(values)
    return (np.where(missing, 0, values), missing) if missing.any() else (values, None)


def _check_blur(path: Path, blur: Blur, batch: Tensor, volume: Volume | None) -> None:
    """Refuse a psf that is larger than the image, on the image's voxels, and more or fewer psfs than channels."""
    from .blurs import on_voxels

    psfs, channels = (blur.psf.shape[1] if blur.psf.ndim > blur.space else 1), batch.shape[1]
    if psfs not in (1, channels):
        raise ValueError(
            f"--psf: {psfs} psfs are given, and {path} has {channels} channel{'s' * (channels != 1)}; expected one for "
            "each, or one for all"
        )
    size = (blur if volume is None else on_voxels(blur, volume.voxel)).size
    if any(s > n for s, n in zip(size, batch.shape[2:], strict=True)):
        own, there = (" x ".join(map(str, shape)) for shape in (size, batch.shape[2:]))
        raise ValueError(f"psf: {own} is larger than the image, {there}, of {path}; give a smaller one")


def _known_pixels(batch: Tensor, missing: np.ndarray | None, picture: Picture | None) -> Tensor | None:
    """1 where there is a value that is seen, like `batch`; None where that is everywhere or nowhere."""
    import torch

    if missing is not None:
        return torch.from_numpy(~missing).to(batch).reshape(batch.shape)
    if picture is not None and picture.alpha is not None and bool(picture.alpha.any()):
        # What nobody sees is no observation; its colours, black often, would ring into what is seen.
        seen = torch.from_numpy(picture.alpha > 0)
        if not bool(seen.all()):
            return seen.to(batch).expand(batch.shape).contiguous()
    return None


def _with_white(source: Source, white: float) -> Source:
    """A file of floats as shares of the white that is told."""
    import numpy as np

    if source.values.dtype.kind != "f":
        top = np.iinfo(source.values.dtype).max
        raise ValueError(f"--white: is for files of floats; that of {source.path} is {top}")
    if not 0 < white < float("inf"):
        raise ValueError(f"--white: expected a positive number, given {white:g}")
    return replace(source, batch=source.batch / white, white=white)


def _says_stack(path: Path) -> bool:
    """Whether the file is of a kind that says what its axes are, and says that they are a stack's."""
    from ..imaging.decoding import decoding
    from ..imaging.formats import format_of_bytes, format_of_folder

    if format_of_folder(path) is not None:
        return True
    with open(path, "rb") as file:
        beginning = file.read(4096)
    with decoding(path):
        format = format_of_bytes(beginning)
        return format.axes and format.codec.holds_volume(path.read_bytes())
