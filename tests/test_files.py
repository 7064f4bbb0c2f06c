"""Image files: read what other programs wrote, write what other programs read, whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from deconv.imaging import degrade, psf
from deconv.imaging.files import (
    Picture,
    check_writable,
    read_image,
    read_picture,
    write_atomically,
    write_image,
)

RNG = np.random.default_rng(0)
PROFILE = b"a colour profile, kept as it is" * 9


def draw(dtype: str, *shape: int) -> np.ndarray:
    if dtype.startswith("float"):
        return RNG.normal(0.5, 1.0, shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def smooth(*channels: int) -> np.ndarray:
    """Something that survives JPEG."""
    row, column = np.mgrid[:40, :56]
    base = np.stack([128 + 90 * np.sin(row / 9 + c) * np.cos(column / 11) for c in range(3)], -1)
    return (base if channels else base[..., 0]).round().astype(np.uint8)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", "uint8"),
        (".png", "uint16"),
        (".tif", "uint8"),
        (".TIFF", "uint16"),
        (".tif", "float32"),
        (".tif", "float64"),
        (".npy", "float32"),
        (".npy", "uint16"),
    ],
)
def test_what_is_written_is_read_again_with_depth_opacity_and_profile(tmp_path, suffix, dtype, opaque, channels):
    pixels = draw(dtype, 13, 17, *channels)
    profile = None if suffix == ".npy" else PROFILE
    alpha = None if opaque else draw(dtype, 13, 17)
    original = tmp_path / f"original{suffix}"
    write_image(original, pixels, like=Picture(pixels, alpha, profile))
    write_image(tmp_path / f"again{suffix}", read_image(original), like=original)
    picture = read_picture(tmp_path / f"again{suffix}")
    gray_to_colour = suffix == ".png" and dtype == "uint16" and not opaque and not channels
    expected = np.dstack([pixels] * 3) if gray_to_colour else pixels
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels, expected)
    assert (picture.alpha is None) == opaque
    if not opaque:
        np.testing.assert_array_equal(picture.alpha, alpha)
    assert picture.profile == profile
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([original.name, f"again{suffix}"])


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_is_of_high_quality(tmp_path, suffix, channels):
    pixels = smooth(*channels)
    write_image(tmp_path / f"a{suffix}", pixels)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.shape == pixels.shape
    assert np.abs(again.astype(int) - pixels).mean() < 1
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.format == "JPEG"
        assert max(image.quantization[0]) <= 12  # quality 95


def test_other_programs_read_16_bits_and_profiles(tmp_path):
    pixels = draw("uint16", 13, 17, 3)
    Image.new("RGB", (17, 13)).save(tmp_path / "like.png", icc_profile=PROFILE)
    write_image(tmp_path / "a.png", pixels, like=tmp_path / "like.png", bits=16)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["icc_profile"] == PROFILE
    write_image(tmp_path / "a.tif", pixels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)


def pillow(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def tiff(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(array: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG written by hand from the specification."""
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def palette(**options) -> bytes:
    image = Image.fromarray(np.uint8([[0, 1], [2, 1]])).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return pillow(image, "PNG", **options)


def saved(array: np.ndarray, suffix: str, *options: int) -> bytes:
    ok, data = cv2.imencode(suffix, array, list(options))
    assert ok
    return data.tobytes()


GREY16, RGB16, LA16, RGBA16 = (draw("uint16", 5, 7, *c) for c in ((), (3,), (2,), (4,)))
GREY8, RGB8, LA8, RGBA8 = (draw("uint8", 5, 7, *c) for c in ((), (3,), (2,), (4,)))
COLOURS = np.uint8([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]])
LZW = (cv2.IMWRITE_TIFF_COMPRESSION, 5)

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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_applied_once(tmp_path, orientation):
    pixels = smooth(3)
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "maker"
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),  # what is stored has to be turned clockwise to be upright
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](pixels)))
    stored.save(tmp_path / "a.jpg", quality=95, exif=exif)
    upright = read_image(tmp_path / "a.jpg")
    assert upright.shape == pixels.shape
    assert np.abs(upright.astype(int) - pixels).mean() < 2
    write_image(tmp_path / "b.jpg", upright, like=tmp_path / "a.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif().get(274, 1) == 1
        assert image.getexif()[271] == "maker"
    assert np.abs(read_image(tmp_path / "b.jpg").astype(int) - pixels).mean() < 3
    (tmp_path / "a.tif").write_bytes(tiff(np.asarray(stored), photometric="rgb", extratags=[(274, 3, 1, orientation)]))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


def test_the_loss_of_lossy_files_is_known(tmp_path):
    losses = []
    for quality in (98, 95, 90, 80):
        Image.fromarray(smooth(3)).save(tmp_path / "a.jpg", quality=quality)
        losses.append(read_picture(tmp_path / "a.jpg").loss)
    np.testing.assert_allclose(losses, [0.0020, 0.0029, 0.0038, 0.0050], atol=2e-4)
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True}), ("a.tif", {})):
        Image.fromarray(smooth(3)).save(tmp_path / name, **options)
        assert read_picture(tmp_path / name).loss == 0
    Image.fromarray(smooth(3)).save(tmp_path / "a.webp")
    assert read_picture(tmp_path / "a.webp").loss > 0


def test_inks_become_colours(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg")[4, 4], [255, 0, 0], atol=40)


@pytest.mark.parametrize(
    ("suffix", "given", "like", "bits", "expected"),
    [
        (".png", "float32", None, None, "uint8"),
        (".png", "float32", None, 16, "uint16"),
        (".png", "float64", "uint16", None, "uint16"),
        (".png", "uint16", None, None, "uint16"),
        (".png", "uint16", "uint8", None, "uint8"),
        (".png", "float32", "float32", None, "uint8"),
        (".jpg", "uint16", "uint16", None, "uint8"),
        (".tif", "float32", None, None, "float32"),
        (".tif", "float32", "uint16", None, "uint16"),
        (".tif", "uint8", None, 32, "float32"),
        (".tif", "bool", None, None, "float32"),
    ],
)
def test_the_depth_is_the_one_asked_for(tmp_path, suffix, given, like, bits, expected):
    scale = np.iinfo(given).max if given.startswith("u") else 1
    image = np.full((12, 16), 0.2 * scale).astype(given)
    if like:
        like = read_like(tmp_path, like)
    write_image(tmp_path / f"a{suffix}", image, like=like, bits=bits)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.dtype == expected
    scale = np.iinfo(expected).max if expected.startswith("u") else 1
    np.testing.assert_allclose(again / scale, 1 if given == "bool" else 0.2, atol=2 / 255)


def read_like(folder: Path, dtype: str) -> Path:
    tifffile.imwrite(folder / "like.tif", np.zeros((12, 16), dtype))
    return folder / "like.tif"


def test_tensors_are_written_too_and_floats_saturate_in_integers_only(tmp_path):
    image = torch.tensor([[-1.0, 0.5], [1.0, 3.0]])
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[0, 128], [255, 255]])
    write_image(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)
    write_image(tmp_path / "c.png", torch.stack([image] * 3))
    assert read_image(tmp_path / "c.png").shape == (2, 2, 3)


def test_the_opacity_under_a_valid_blur_is_kept(tmp_path):
    rgba = draw("uint8", 20, 24, 4)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    blurred = degrade(read_image(tmp_path / "a.png"), psf.box((4, 5)))
    write_image(tmp_path / "b.png", blurred, like=tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").alpha, rgba[2:19, 2:22, 3])
    with pytest.raises(ValueError, match="does not cover the image"):
        write_image(tmp_path / "b.png", np.zeros((30, 30)), like=tmp_path / "a.png")


BROKEN = {
    "empty": b"",
    "text": b"this is not an image",
    "PNG cut short": FOREIGN["PNG colour 8 with opacity"][0][:60],
    "PNG 16 cut short": FOREIGN["PNG colour 16"][0][:80],
    "JPEG cut short": pillow(Image.fromarray(smooth(3)), "JPEG")[:700],
    "TIFF cut short": FOREIGN["TIFF colour"][0][:40],
    "stack": tiff(np.zeros((4, 5, 6), np.uint8), photometric="minisblack"),
    "film": pillow(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 255)]),
    "32 bits": tiff(np.zeros((4, 4), np.int32)),
    "objects": b"\x93NUMPY" + b"\x01\x00",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image_is_refused_in_one_line(tmp_path, name):
    path = tmp_path / "broken.png"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"broken\.png: ") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("image", "name", "options", "words"),
    [
        (np.zeros((4, 4)), "a.xyz", {}, "kind of file '.xyz', allowed here are .png"),
        (np.zeros((4, 4)), "a", {}, "kind of file ''"),
        (np.full((4, 4), np.nan), "a.png", {}, "NaN or infinite"),
        (np.zeros((2, 3, 4, 4)), "a.png", {}, "expected one grey or colour image"),
        (np.zeros((4, 4, 5)), "a.png", {}, "expected one grey or colour image"),
        (np.zeros((4, 4)), "a.png", {"bits": 32}, "bits: a .png file holds 8, 16 per value, given 32"),
        (np.zeros((4, 4)), "a.jpg", {"bits": 16}, "bits: a .jpg file holds 8 per value"),
    ],
)
def test_nothing_is_written_when_the_image_or_its_name_will_not_do(tmp_path, image, name, options, words):
    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(ValueError, match=words):
        write_image(tmp_path / name, image, **options)
    assert (tmp_path / name).read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_jpeg_refuses_opacity_it_would_lose_and_only_that(tmp_path):
    for alpha, fine in ((200, False), (255, True)):
        Image.fromarray(np.full((8, 8, 4), alpha, np.uint8)).save(tmp_path / "a.png")
        if fine:
            write_image(tmp_path / "a.jpg", np.zeros((8, 8, 3)), like=tmp_path / "a.png")
        else:
            with pytest.raises(ValueError, match="JPEG has no room for the picture's opacity"):
                write_image(tmp_path / "a.jpg", np.zeros((8, 8, 3)), like=tmp_path / "a.png")


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    target = tmp_path / "a.bin"
    target.write_bytes(b"before")

    def refuse(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace" if failing == "replace" else "fsync", refuse)
    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(target, b"after")
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_keeps_permissions_and_links(tmp_path):
    target, link = tmp_path / "a.bin", tmp_path / "link.bin"
    target.write_bytes(b"before")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "a.bin", b"new")
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_path_can_be_checked_before_the_work(tmp_path, monkeypatch):
    check_writable(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check_writable(tmp_path / "missing" / "a.png")
    with pytest.raises(ValueError, match="kind of file"):
        check_writable(tmp_path / "a.doc")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path / "folder.png")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # a superuser may write anywhere
    with pytest.raises(PermissionError, match="may not be written to"):
        check_writable(tmp_path / "a.png")
