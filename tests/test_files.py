"""Image files: read what other programs wrote, write what other programs read, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from image_bytes import GREY8, draw, smooth, tiff
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

PROFILE = b"a colour profile, kept as it is" * 9


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
    opaque |= suffix == ".npy"  # which has no room for opacity
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


def test_floats_in_another_unit_are_not_written_as_a_white_picture(tmp_path):
    rows, columns = np.mgrid[:20, :30]
    counts = 100.0 + 5 * rows + columns
    with pytest.raises(
        ValueError, match=r"a.png: white is 1 and the values go up to 224, 99% of the light would be lost"
    ):
        write_image(tmp_path / "a.png", counts)
    assert not list(tmp_path.iterdir())
    write_image(tmp_path / "a.tif", counts)
    stars = np.zeros((20, 30))
    stars[::7, ::9] = 50
    write_image(tmp_path / "stars.png", stars)  # nearly all of the light is lost, in few pixels
    write_image(tmp_path / "paper.png", np.full((20, 30), 1.002))
    write_image(tmp_path / "bright.png", np.full((20, 30), -1e300))


def test_the_opacity_under_a_valid_blur_is_kept(tmp_path):
    rgba = draw("uint8", 20, 24, 4)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    blurred = degrade(read_image(tmp_path / "a.png"), psf.box((4, 5)))
    write_image(tmp_path / "b.png", blurred, like=tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").alpha, rgba[2:19, 2:22, 3])
    with pytest.raises(ValueError, match="does not cover the image"):
        write_image(tmp_path / "b.png", np.zeros((30, 30)), like=tmp_path / "a.png")


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
        (np.zeros((6, 6, 5)), "a.png", {}, "expected one grey or colour image"),
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


def test_the_limit_of_pixels_can_be_lifted(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((30, 40), np.uint8))
    with pytest.raises(ValueError, match=r"it declares 30 x 40 pixels, more than the 1000 .* --max-pixels 1200 lifts"):
        read_image(tmp_path / "a.png", max_pixels=1000)
    assert read_image(tmp_path / "a.png", max_pixels=1200).shape == (30, 40)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_resolution_is_kept(tmp_path, suffix, bits):
    if (suffix, bits) == (".jpg", 16):
        pytest.skip("JPEG has 8 bits")
    Image.fromarray(GREY8).save(tmp_path / f"a{suffix}", dpi=(300, 150))
    write_image(tmp_path / f"b{suffix}", read_image(tmp_path / f"a{suffix}"), like=tmp_path / f"a{suffix}", bits=bits)
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.02)


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
