"""Reading and writing through Pillow, for the formats whose pixels have 8 bits."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from ..decoding import check_size
from ..picture import Picture
from .jpeg_error import coding_error, coding_quality
from .palette_error import palette_error

__all__ = ["decode_with_pillow", "encode_with_pillow", "open_with_pillow"]


def open_with_pillow(data: bytes, kind: str, max_pixels: int) -> ImageFile.ImageFile:
    """The image in a file's bytes, its size checked, its pixels not yet read.

    Only the decoder called `kind` is asked, and directly: Pillow's own limit of pixels is one for the whole process.
    """
    Image.preinit()
    if kind not in Image.OPEN:
        Image.init()
    if kind not in Image.OPEN:
        raise ValueError(f"this version of Pillow does not read {kind}")
    image = Image.OPEN[kind][0](io.BytesIO(data), "")
    check_size(image.size[::-1], max_pixels)
    return image


def decode_with_pillow(data: bytes, kind: str, max_pixels: int, *, first: bool = False) -> Picture:
    """The picture in a file's bytes, by the one of Pillow's decoders that is called `kind`; with `first` the first of
    several."""
    with open_with_pillow(data, kind, max_pixels) as image:
        previews = image.format == "MPO"  # which phones add to a JPEG
        frames = getattr(image, "n_frames", 1) if getattr(image, "is_animated", False) and not previews else 1
        if frames > 1 and not first:
            raise ValueError(f"it holds {frames} frames; expected one image")
        try:
            image.load()
        except (OSError, ValueError, SyntaxError) as error:
            raise ValueError(f"the image is damaged ({error})") from None
        loss, coder, quality = (), "", None
        if isinstance(image, JpegImageFile):
            loss, coder, quality = coding_error(image), "JPEG", coding_quality(image)
        elif image.mode == "P":
            loss, coder = palette_error(image), "its palette"
        dpi = image.info.get("dpi")
        upright = ImageOps.exif_transpose(image)
    plain = _plain(upright)
    picture = Picture.from_samples(
        np.asarray(plain),
        opacity=plain.mode in ("LA", "RGBA"),
        profile=upright.info.get("icc_profile"),
        exif=upright.info.get("exif"),
        dpi=None if dpi is None else (float(dpi[0]), float(dpi[1])),
    )
    picture = replace(picture, part=f"frame 1 of {frames}") if frames > 1 else picture
    return replace(picture, loss=loss, coder=coder if loss else "", quality=quality)


def encode_with_pillow(picture: Picture, kind: str, **options: object) -> bytes:
    """The bytes of a file of one of Pillow's kinds, with the colour profile, the camera's notes and the resolution."""
    given = {"icc_profile": picture.profile, "exif": picture.exif, "dpi": picture.dpi} | options
    stream = io.BytesIO()
    image = Image.fromarray(picture.samples())
    image.save(stream, kind, **{key: value for key, value in given.items() if value is not None})
    return stream.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that is an array of grey or RGB values and opacity: no palettes, no inks."""
    clear = "transparency" in image.info
    if image.mode in ("LA", "RGBA", "F") or image.mode.startswith("I;16"):
        return image
    if image.mode == "I":
        raise ValueError("its pixels have 32 bits; expected 8 or 16 in a file of this kind")
    if image.mode in ("1", "L"):
        return image.convert("LA" if clear else "L")
    return image.convert("RGBA" if clear or image.mode in ("PA", "La", "RGBa") else "RGB")
