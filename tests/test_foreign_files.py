"""Files of other programs are read as they are meant; what is no image, or damaged, is refused in one line."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
import tifffile
from image_bytes import (
    COLOURS,
    GREY8,
    GREY16,
    LA8,
    LA16,
    LZW,
    RGB8,
    RGB16,
    RGBA8,
    RGBA16,
    deep_png,
    npy,
    oversized_png,
    palette,
    pillow,
    saved,
    smooth,
    tiff,
)
from PIL import Image

from deconv.imaging.files import read_image, read_picture

PREMULTIPLIED = np.dstack([np.full((2, 2, 3), 100, np.uint8), np.uint8([[255, 200], [100, 0]])])

FOREIGN = {
    "PNG grey 16": (deep_png(GREY16, 0), GREY16, None),
    "PNG grey 16 with opacity": (deep_png(LA16, 4), LA16[..., 0], LA16[..., 1]),
    "PNG colour 16": (deep_png(RGB16, 2), RGB16, None),
    "PNG colour 16 with opacity": (deep_png(RGBA16, 6), RGBA16[..., :3], RGBA16[..., 3]),
    "PNG grey 8 with opacity": (pillow(Image.fromarray(LA8), "PNG"), LA8[..., 0], LA8[..., 1]),
    "PNG colour 8 with opacity": (pillow(Image.fromarray(RGBA8), "PNG"), RGBA8[..., :3], RGBA8[..., 3]),
    "PNG of one bit": (
        pillow(Image.fromarray(np.eye(9, dtype=bool)), "PNG"),
        255 * np.eye(9, dtype=np.uint8),
        None,
    ),
    "PNG with a palette": (palette(), COLOURS, None),
    "PNG with a palette and a clear colour": (
        palette(transparency=1),
        COLOURS,
        np.uint8([[255, 0], [255, 0]]),
    ),
    "PNG grey with a clear value": (
        pillow(Image.fromarray(np.uint8([[1, 2]])), "PNG", transparency=2),
        np.uint8([[1, 2]]),
        np.uint8([[255, 0]]),
    ),
    "GIF": (pillow(Image.fromarray(np.uint8([[0, 255]])), "GIF"), np.uint8([[0, 255]]), None),
    "BMP": (pillow(Image.fromarray(RGB8), "BMP"), RGB8, None),
    "WebP without loss": (pillow(Image.fromarray(RGB8), "WEBP", lossless=True), RGB8, None),
    "TIFF big-endian": (tiff(GREY16, byteorder=">"), GREY16, None),
    "TIFF colour": (tiff(RGB16, photometric="rgb"), RGB16, None),
    "TIFF in planes": (
        tiff(np.moveaxis(RGB16, -1, 0), photometric="rgb", planarconfig="separate"),
        RGB16,
        None,
    ),
    "TIFF with opacity": (
        tiff(RGBA8, photometric="rgb", extrasamples=["unassalpha"]),
        RGBA8[..., :3],
        RGBA8[..., 3],
    ),
    "TIFF with opacity that the colours are multiplied by": (
        tiff(PREMULTIPLIED, photometric="rgb", extrasamples=["assocalpha"]),
        np.repeat(np.uint8([[100, 128], [255, 0]])[..., None], 3, 2),
        PREMULTIPLIED[..., 3],
    ),
    "TIFF of 16 bits where 0 is white": (tiff(65535 - GREY16, photometric="miniswhite"), GREY16, None),
    "TIFF of 12 bits": (tiff(np.uint16([[4095, 1]]), bitspersample=12), np.uint16([[65535, 16]]), None),
    "TIFF of 4 bits where 0 is white": (
        tiff(np.uint8([[15, 1, 0]]), bitspersample=4, photometric="miniswhite"),
        np.uint8([[0, 238, 255]]),
        None,
    ),
    "TIFF of signed values": (tiff(np.int16([[-5, 3000]])), np.float32([[-5, 3000]]), None),
    "TIFF of 32 bits": (tiff(np.uint32([[7, 2**32 - 1]])), np.float64([[7, 2**32 - 1]]), None),
    "PGM of 16 bits": (b"P5\n# a comment\n7 5\n65535\n" + GREY16.astype(">u2").tobytes(), GREY16, None),
    "PPM of 16 bits": (b"P6 7 5 65535\n" + RGB16.astype(">u2").tobytes(), RGB16, None),
    "PGM of 12 bits": (b"P5 2 1 4095\n" + np.array([[4095, 1]], ">u2").tobytes(), np.uint16([[65535, 16]]), None),
    "PGM in words": (b"P2 3 1 # three\n255\n0 17\n255\n", np.uint8([[0, 17, 255]]), None),
    "PBM": (b"P4 9 1\n" + bytes([0b10101010, 0b10000000]), np.uint8([[0, 255] * 4 + [0]]), None),
    "PBM in words": (b"P1 3 1\n10 1", np.uint8([[0, 255, 0]]), None),
    "PPM of 8 bits": (pillow(Image.fromarray(RGB8), "PPM"), RGB8, None),
    "TIFF of floats": (tiff(np.float32([[0.1, -2.5], [7, 0]])), np.float32([[0.1, -2.5], [7, 0]]), None),
    "TIFF of half floats": (tiff(np.float16([[0.5, -2.5]])), np.float32([[0.5, -2.5]]), None),
    "TIFF compressed by LZW": (saved(RGB16[..., ::-1], ".tiff", *LZW), RGB16, None),
    "TIFF of one bit": (
        pillow(Image.fromarray(np.eye(9, dtype=bool)), "TIFF"),
        255 * np.eye(9, dtype=np.uint8),
        None,
    ),
    "TIFF where 0 is white": (tiff(255 - GREY8, photometric="miniswhite"), GREY8, None),
    "TIFF lying on its side": (
        tiff(np.rot90(RGB8), photometric="rgb", extratags=[(274, 3, 1, 6)]),
        RGB8,
        None,
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_programs_are_understood(tmp_path, name):
    data, pixels, alpha = FOREIGN[name]
    path = tmp_path / "a.file"  # the name's ending does not matter
    path.write_bytes(data)
    picture = read_picture(path)
    shown = picture.pixels
    if shown.ndim > pixels.ndim:  # a palette is colour, also where its colours are grey
        assert (shown == shown[..., :1]).all()
        shown = shown[..., 0]
    assert shown.dtype == pixels.dtype
    np.testing.assert_array_equal(shown, pixels)
    assert (picture.alpha is None) == (alpha is None)
    if alpha is not None:
        np.testing.assert_array_equal(picture.alpha, alpha)


BROKEN = {
    "empty": b"",
    "text": b"this is not an image",
    "PNG cut short": FOREIGN["PNG colour 8 with opacity"][0][:60],
    "PNG 16 cut short": FOREIGN["PNG colour 16"][0][:80],
    "JPEG cut short": pillow(Image.fromarray(smooth(3)), "JPEG")[:700],
    "TIFF cut short": FOREIGN["TIFF colour"][0][:40],
    "stack": tiff(np.zeros((4, 5, 6), np.uint8), photometric="minisblack"),
    "64 bits": tiff(np.zeros((4, 4), np.int64)),
    "objects": b"\x93NUMPY" + b"\x01\x00",
    "two samples": tiff(LA16, photometric="minisblack", planarconfig="contig"),
    "four samples": tiff(RGBA8, photometric="rgb", extrasamples=["unspecified"]),
    "two samples in an array": npy(LA8),
    "four samples in an array": npy(RGBA8),
    "array cut short": npy(RGB16)[:-1],
    "array of objects": npy(np.array([[None]])),
    "array whose head is nonsense": npy(RGB16).replace(b"False", b"Fa(se"),
    "array of more than there is": npy(RGB16).replace(b"(5, 7, 3)", b"(5, 7, 9)"),
    "encapsulated PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "PNG of 20000 x 20000": oversized_png(),
    "PGM of a thousand million pixels": b"P5 100000 100000 255\n\0",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / "broken.png"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"broken\.png: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_the_profile_of_inks_is_not_that_of_colours(tmp_path):
    inks, colours = (bytes(16) + space + bytes(40) for space in (b"CMYK", b"RGB "))
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg", icc_profile=inks)
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", icc_profile=colours)
    assert read_picture(tmp_path / "a.jpg").profile is None
    assert read_picture(tmp_path / "b.jpg").profile == colours


def test_colour_of_16_bits_in_jpeg_2000(tmp_path):
    rows, columns = np.mgrid[:64, :80]
    colour = np.dstack([rows * 1000, columns * 800, (rows + columns) * 400]).astype(np.uint16)
    ok, data = cv2.imencode(".jp2", colour[..., ::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert ok
    (tmp_path / "a.jp2").write_bytes(data.tobytes())
    found = read_image(tmp_path / "a.jp2")
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found, colour.astype(float), atol=300)


def test_inks_become_colours(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg")[4, 4], [255, 0, 0], atol=40)


WHOLE = {name: FOREIGN[name][0] for name in FOREIGN} | {
    "array": npy(RGB16),
    "JPEG": pillow(Image.fromarray(smooth(3)), "JPEG"),
    "JPEG 2000": pillow(Image.fromarray(smooth(3)), "JPEG2000"),
    "WebP": pillow(Image.fromarray(smooth(3)), "WEBP"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_files_are_read_or_refused_in_one_line_and_in_silence(tmp_path, capfd, name):
    draws, whole, refusals = random.Random(name), WHOLE[name], []
    for number in range(16):
        data = bytearray(whole)
        if number % 4 == 0:
            data = data[: draws.randrange(len(data))]
        for _ in range(draws.randrange(6)):
            if len(data) > 8:
                data[draws.randrange(8, len(data))] = draws.randrange(256)
        (tmp_path / "a.file").write_bytes(data)
        try:
            read_image(tmp_path / "a.file", max_pixels=10**6)
        except ValueError as error:
            refusals.append(str(error))
    assert all("\n" not in text and "a.file: " in text for text in refusals)
    assert capfd.readouterr() == ("", "")


def test_what_an_optional_decoder_is_needed_for_is_named(tmp_path, monkeypatch):
    def missing(*arguments, **options):
        raise ModuleNotFoundError("No module named 'compression'")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", missing)
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: None)
    (tmp_path / "a.tif").write_bytes(FOREIGN["TIFF compressed by LZW"][0])
    with pytest.raises(ValueError, match=r"a.tif: its compression, LZW, asks for the package imagecodecs"):
        read_image(tmp_path / "a.tif")
