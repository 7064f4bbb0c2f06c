"""Reading and writing through Pillow, for the formats whose pixels have 8 bits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..picture import ALLOWED_PIXELS, Picture

__all__ = ["decode_with_pillow", "encode_with_pillow"]


def decode_with_pillow(data: bytes, kind: str) -> Picture:
    """The picture in a file's bytes, by the one of Pillow's decoders that is called `kind`."""
    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            previews = image.format == "MPO"  # which phones add to a JPEG
            if getattr(image, "is_animated", False) and not previews:
                raise ValueError(f"it holds {getattr(image, 'n_frames', 'several')} frames; expected one image")
            image.load()
            quantization = getattr(image, "quantization", None)
            upright = ImageOps.exif_transpose(image)
            profile, exif = upright.info.get("icc_profile"), upright.info.get("exif")
            array = np.asarray(_plain(upright))
    except UnidentifiedImageError:
        raise ValueError("the image is damaged") from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the image is damaged ({error})") from None
    picture = Picture.from_samples(array, profile=profile, exif=exif)
    return replace(picture, loss=_loss(quantization)) if quantization else picture


def encode_with_pillow(picture: Picture, kind: str, **options: object) -> bytes:
    """The bytes of a file of one of Pillow's kinds, with the colour profile and the camera's notes."""
    given = {"icc_profile": picture.profile, "exif": picture.exif} | options
    stream = io.BytesIO()
    image = Image.fromarray(picture.samples())
    image.save(stream, kind, **{key: value for key, value in given.items() if value is not None})
    return stream.getvalue()


def _loss(quantization: dict[int, Sequence[int]]) -> float:
    # Measured on photographs blurred by camera shake, qualities 80 to 98: 0.0050 to 0.0020. The mean step at
    # quality 50 is 57.6.
    steps = quantization[0]
    return 0.0073 * (sum(steps) / len(steps) / 57.6) ** 0.4


def _plain(image: Image.Image) -> Image.Image:
    """In a mode that is an array of grey or RGB values and opacity: no palettes, no inks."""
    clear = "transparency" in image.info
    if image.mode in ("LA", "RGBA", "F") or image.mode.startswith("I;16"):
        return image
    if image.mode == "I":
        raise ValueError(f"its pixels have 32 bits; allowed are {ALLOWED_PIXELS}")
    if image.mode in ("1", "L"):
        return image.convert("LA" if clear else "L")
    return image.convert("RGBA" if clear or image.mode in ("PA", "La", "RGBa") else "RGB")
