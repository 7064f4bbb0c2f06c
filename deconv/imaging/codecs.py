"""Bytes of image files to pixels and back, one pair of functions for each format.

Pillow reads and writes whatever has 8 bits, OpenCV the PNG files with 16 bits that Pillow would cut down, and
tifffile the TIFF files, floats included. None of them is imported before it is needed.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Picture", "decode", "encode"]

_ALLOWED = "8 or 16 bits without sign, and floats"

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """What an image file holds.

    pixels: `H x W` or `H x W x 3`, uint8, uint16, float32 or float64, upright.
    alpha: opacity `H x W` of the same dtype, or None.
    profile: the ICC colour profile, or None. exif: what the camera wrote, its orientation already applied, or
        None.
    loss: root mean square error that lossy compression leaves in a clean, blurred photograph, as a fraction
        of full scale; 0 without such compression.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    loss: float = 0.0


def decode(data: bytes) -> Picture:
    """The picture in a file's bytes; the format is told from them and not from the file's name.

    Raises ValueError where it is none, or one that is not understood.
    """
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _decode_tiff(data)
    if data[:6] == b"\x93NUMPY":
        return _separate(np.load(io.BytesIO(data), allow_pickle=False))
    picture = _decode_with_pillow(data)
    if data[:8] == _PNG and data[24] == 16:
        # Pillow has no 16-bit colour: it tells the rest, OpenCV the pixels.
        deep = _decode_with_opencv(data)
        return replace(deep, profile=picture.profile, exif=picture.exif)
    return picture


def encode(picture: Picture, suffix: str) -> bytes:
    """The bytes of a file of the kind that `suffix` names; the dtype is one that `depths` allows."""
    if suffix in (".tif", ".tiff"):
        return _encode_tiff(picture)
    if suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, _joined(picture))
        return stream.getvalue()
    if suffix == ".png" and picture.pixels.dtype == np.uint16:
        return _encode_deep_png(picture)
    return _encode_with_pillow(picture, "PNG" if suffix == ".png" else "JPEG")


def _separate(array: np.ndarray, profile: bytes | None = None, exif: bytes | None = None) -> Picture:
    """Split the opacity off, and check that the rest is an image."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.name not in ("uint8", "uint16", "float32", "float64"):
        raise ValueError(f"its pixels are of dtype {array.dtype}; allowed are 8 or 16 bits without sign, and floats")
    alpha = None
    if array.ndim == 3 and array.shape[2] in (2, 4):
        array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1])
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or array.size == 0:
        raise ValueError(f"its shape is {array.shape}; expected one grey or colour image")
    return Picture(np.ascontiguousarray(array), alpha, profile, exif)


def _joined(picture: Picture) -> np.ndarray:
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def _decode_with_pillow(data: bytes) -> Picture:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            previews = image.format == "MPO"  # which phones add to a JPEG
            if getattr(image, "is_animated", False) and not previews:
                raise ValueError(f"it holds {image.n_frames} frames; expected one image")
            image.load()
            loss = _loss(image, data)
            image = ImageOps.exif_transpose(image)
            profile, exif = image.info.get("icc_profile"), image.info.get("exif")
            array = np.asarray(_plain(image))
    except UnidentifiedImageError:
        raise ValueError("it is not an image, or of a kind that is not known") from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f"the image is damaged ({error})") from None
    return replace(_separate(array, profile, exif), loss=loss)


def _loss(image, data: bytes) -> float:
    if image.format == "WEBP":
        return 0.0 if data[12:16] == b"VP8L" else 0.003
    steps = getattr(image, "quantization", None)
    if not steps:
        return 0.0
    # Measured on photographs blurred by camera shake, qualities 80 to 98: 0.0050 to 0.0020. The mean step at
    # quality 50 is 57.6.
    return 0.0073 * (sum(steps[0]) / len(steps[0]) / 57.6) ** 0.4


def _plain(image):
    """In a mode that is an array of grey or RGB values and opacity: no palettes, no inks."""
    clear = "transparency" in image.info
    if image.mode in ("LA", "RGBA", "F") or image.mode.startswith("I;16"):
        return image
    if image.mode == "I":
        raise ValueError(f"its pixels have 32 bits; allowed are {_ALLOWED}")
    if image.mode in ("1", "L"):
        return image.convert("LA" if clear else "L")
    return image.convert("RGBA" if clear or image.mode in ("PA", "La", "RGBa") else "RGB")


def _decode_with_opencv(data: bytes) -> Picture:
    import cv2

    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("the image is damaged")
    if array.ndim == 3:
        order = [2, 1, 0, 3][: array.shape[2]]
        array = array[..., order]
        if data[:8] == _PNG and data[25] == 4:  # grey with opacity, which OpenCV spreads over three channels
            array = array[..., [0, 3]]
    return _separate(array)


def _decode_tiff(data: bytes) -> Picture:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page, series = file.pages.first, file.series[0]
            axes = series.axes.replace("S", "")
            if axes != "YX":
                raise ValueError(f"it holds a stack, {series.axes} of shape {series.shape}; expected one image")
            profile = page.iccprofile
            plain = page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
            if not plain or page.bitspersample == 1:
                return replace(_decode_with_pillow(data), profile=profile)
            orientation = int(page.tags.valueof(274, 1))
            try:
                array = series.asarray()
            except (ValueError, ImportError):  # a compression that tifffile leaves to an optional library
                return replace(_decode_with_opencv(data), profile=profile)
            if series.axes.startswith("S"):
                array = np.moveaxis(array, 0, -1)
    except tifffile.TiffFileError as error:
        raise ValueError(f"the image is damaged ({error})") from None
    return _separate(_upright(array, orientation), profile)


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the orientation (tag 274): on which sides the first row and the first column are shown."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _encode_with_pillow(picture: Picture, kind: str) -> bytes:
    from PIL import Image

    options = {"icc_profile": picture.profile, "exif": picture.exif}
    if kind == "JPEG":
        options |= {"quality": 95, "subsampling": "4:4:4"}
    stream = io.BytesIO()
    image = Image.fromarray(_joined(picture))
    image.save(stream, kind, **{key: value for key, value in options.items() if value is not None})
    return stream.getvalue()


def _encode_deep_png(picture: Picture) -> bytes:
    import cv2

    array = _joined(picture)
    if array.ndim == 3:
        # OpenCV has no grey with opacity: that becomes colour.
        array = array[..., [0, 0, 0, 1] if array.shape[2] == 2 else [2, 1, 0, 3][: array.shape[2]]]
    ok, encoded = cv2.imencode(".png", np.ascontiguousarray(array))
    if not ok:
        raise ValueError("the image could not be written as PNG")
    data = encoded.tobytes()
    if picture.profile is None:
        return data
    body = b"iCCP" + b"profile\0\0" + zlib.compress(picture.profile)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    header = len(_PNG) + 25  # the signature and the IHDR chunk, after which the profile belongs
    return data[:header] + chunk + data[header:]


def _encode_tiff(picture: Picture) -> bytes:
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        _joined(picture),
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if picture.pixels.ndim == 3 or picture.alpha is not None else None,
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        iccprofile=picture.profile,
        metadata=None,
    )
    return stream.getvalue()
