"""Photographs as cameras and phones keep them: raw, HEIC, WebP, AVIF, films; read right, or refused by name."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_bytes import raw_photograph, smooth
from PIL import Image, ImageCms, features

import deconv
from deconv.cli import main
from deconv.cli.inputs import read_source
from deconv.imaging import psnr, read_image, write_image
from deconv.imaging.files import Picture, read_picture

pytestmark = pytest.mark.usefixtures("here")


def write_dng(path: str, light: np.ndarray, *, orientation: int = 1) -> None:
    """A raw photograph of grey light in [0, 1] by a camera whose colours are those of sRGB in daylight."""
    tags = [
        (33421, 3, 2, (2, 2), False),
        (33422, 1, 4, (0, 1, 1, 2), False),
        (50706, 1, 4, (1, 4, 0, 0), False),
        (50707, 1, 4, (1, 1, 0, 0), False),
        (50708, 2, 0, "Camera of a test", False),
        (50721, 10, 9, tuple(n for row in np.eye(3, dtype=int).tolist() for v in row for n in (v, 1)), False),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), False),
        (50778, 3, 1, 21, False),
        (50714, 3, 1, 0, False),
        (50717, 3, 1, 65535, False),
        (274, 3, 1, orientation, False),
        (271, 2, 0, "maker", False),
    ]
    mosaic = np.rint(light * 65535).astype(np.uint16)
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None)


def light() -> np.ndarray:
    row, column = np.mgrid[:64, :96] / 8
    return 0.4 + 0.3 * np.sin(row) * np.cos(column / 2)


def srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("name", ["a.dng", "a.tif"])  # the bytes tell
def test_a_raw_photograph_is_developed_to_its_light(name):
    pytest.importorskip("rawpy")
    write_dng(name, light(), orientation=6)
    picture = read_picture(name)
    assert (picture.raw, picture.pixels.dtype) == (True, np.uint16)
    expected = np.rot90(srgb(light()), -1)  # upright, and once
    assert picture.pixels.shape == (*expected.shape, 3)
    assert psnr(picture.pixels / 65535, expected[..., None].repeat(3, 2)) > 45
    exif = Image.Exif()
    exif.load(picture.exif)
    assert (exif[271], exif.get(274)) == ("maker", None)


def test_of_a_raw_photograph_the_thumbnail_is_never_read():
    """It is the first picture in DNG, NEF and ARW files."""
    pytest.importorskip("rawpy")
    Path("a.nef").write_bytes(raw_photograph())
    assert read_image("a.nef").shape == (24, 32, 3)


def test_a_raw_photograph_is_restored_in_linear_light(capsys):
    pytest.importorskip("rawpy")
    write_dng("a.dng", light())
    assert main(["deblur", "a.dng", "-o", "out.tif", "--psf", "disk:1.5", "-m", "wiener"]) == 0
    assert "; linear light; " in capsys.readouterr().out
    restored = read_image("out.tif")
    assert (restored.dtype, restored.shape) == (np.uint16, (64, 96, 3))
    assert main(["deblur", "a.dng", "-o", "sharp", "--psf", "disk:1.5", "-m", "wiener", "-q"]) == 0
    np.testing.assert_array_equal(read_image("sharp/a.tif"), restored)


def test_photographs_of_phones(capsys):
    library = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[271], exif[274] = "maker", 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    library.from_pillow(Image.fromarray(smooth(3))).save("a.heic", quality=95, exif=exif.tobytes(), icc_profile=profile)
    picture = read_picture("a.heic")
    assert psnr(picture.pixels, np.rot90(smooth(3), -1).copy()) > 30  # upright, and once
    assert picture.profile == profile
    notes = Image.Exif()
    notes.load(picture.exif)
    assert (notes[271], notes.get(274, 1)) == ("maker", 1)
    deep = np.repeat(np.linspace(0, 65535, 64, dtype=np.uint16)[None, :, None], 48, 0).repeat(3, 2)
    library.encode("RGB;16", (64, 48), deep.tobytes(), "b.heic", quality=-1)
    read = read_picture("b.heic").pixels
    assert read.dtype == np.uint16
    assert psnr(read, deep) > 40


@pytest.mark.parametrize(
    ("name", "module", "words"),
    [
        ("a.dng", "rawpy", "a.dng: it is a camera's raw file, .*toolkit.raw."),
        ("a.heic", "pillow_heif", "toolkit.heif."),
    ],
)
def test_what_an_extra_reads_is_refused_by_its_name_without_it(monkeypatch, capsys, name, module, words):
    monkeypatch.setitem(sys.modules, module, None)
    if name == "a.dng":
        write_dng(name, light())
    else:
        Path(name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(ValueError, match=words):
        read_image(name)
    assert main(["deblur", name, "-o", "out.png", "--psf", "disk:2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["a.webp", "a.avif"])
def test_webp_and_avif_are_written_with_all_they_hold(name):
    if not features.check(name[2:]):
        pytest.skip(f"this Pillow has no {name[2:]}")
    exif = Image.Exif()
    exif[271] = "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    alpha = np.full((40, 56), 255, np.uint8)
    alpha[:, 20:40] = 0
    pixels = np.dstack([smooth(3), alpha])
    Image.fromarray(pixels).save("like.png", exif=exif, icc_profile=profile)
    write_image(name, read_image("like.png"), like="like.png")
    picture = read_picture(name)
    assert picture.profile == profile
    notes = Image.Exif()
    notes.load(picture.exif)
    assert notes[271] == "maker"
    if name == "a.webp":
        np.testing.assert_array_equal(picture.pixels, pixels[..., :3])  # also the colours under transparency
    np.testing.assert_array_equal(picture.alpha, pixels[..., 3])
    assert psnr(picture.pixels, pixels[..., :3]) > 30


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_tiff_keeps_what_the_camera_wrote(dtype):
    exif = Image.Exif()
    exif[271] = "maker"
    exif.get_ifd(0x8769).update({33434: (1, 100), 36867: "2020:01:02 03:04:05"})
    exif.get_ifd(0x8825).update({1: "N", 2: (1.0, 2.0, 3.0)})
    pixels = smooth(3).astype(dtype)
    write_image(
        "a.tif", pixels / np.float32(255) if dtype == "float32" else pixels, like=Picture(pixels, exif=exif.tobytes())
    )
    notes = Image.Exif()
    notes.load(read_picture("a.tif").exif)
    assert notes[271] == "maker"
    assert notes.get_ifd(0x8769)[33434] == (1, 100)
    assert notes.get_ifd(0x8825)[2] == (1.0, 2.0, 3.0)
    with tifffile.TiffFile("a.tif") as file:
        assert file.pages.first.tags[34665].value["ExposureTime"] == (1, 100)
        assert file.asarray().shape == pixels.shape


def test_a_tiff_keeps_who_made_the_scanner(capsys):
    """That makes no photograph of it; and what programs say of themselves stays out of other kinds of files."""
    scan = {270: "ImageJ=1.54\nimages=1", 271: "maker", 272: "model", 305: "program", 306: "2020:01:02 03:04:05"}
    Image.fromarray(smooth()).save("a.tif", tiffinfo=scan)
    assert not read_source(Path("a.tif"), None).camera
    for name in ("b.tif", "c.png", "d.tif"):
        assert main(["deblur", "a.tif" if name != "d.tif" else "c.png", "-o", name, "--psf", "gaussian:1", "-q"]) == 0
        notes = Image.Exif()
        notes.load(read_picture(name).exif)
        assert dict(notes) == {271: "maker", 272: "model", 306: "2020:01:02 03:04:05"}
        assert not read_source(Path(name), None).camera
    write_image("a.tif", smooth())
    assert read_picture("a.tif").exif is None


def test_what_is_transparent_leaves_no_rim(capsys):
    """Whatever colours lie under full transparency, what is seen is restored the same, and as it is without them."""
    sharp = Image.fromarray(smooth(3)).resize((112, 80))
    blurred = (deconv.degrade(np.asarray(sharp) / 255, deconv.imaging.psf.disk(3), seed=0, noise=0.002) * 255).round()
    alpha = np.full(blurred.shape[:2], 255, np.uint8)
    alpha[:, 60:] = 0
    for name, under in (("dark", 0), ("light", 255), ("all", None)):
        pixels = blurred.astype(np.uint8)
        if under is not None:
            pixels[:, 60:] = under
        Image.fromarray(np.dstack([pixels, alpha])[:, : None if under is None else 200]).save(f"{name}.png")
        assert main(["deblur", f"{name}.png", "-o", f"{name}-out.png", "--psf", "disk:3", "--no-linear", "-q"]) == 0
    dark, light, whole = (read_image(f"{name}-out.png") for name in ("dark", "light", "all"))
    np.testing.assert_array_equal(dark, light)
    np.testing.assert_array_equal(dark, whole)
    np.testing.assert_array_equal(read_picture("dark-out.png").alpha, alpha)
    rim = abs(dark[:, 50:60].astype(float) - np.asarray(sharp)[3:-3, 3:-3][:, 50:60]).mean()
    assert rim < 4  # 44 where black counts as observed


def test_of_a_film_the_first_frame_is_read_and_that_is_said(capsys):
    frames = [Image.fromarray(smooth()), Image.new("L", smooth().shape[::-1], 255)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image("a.gif")[..., 0], smooth())
    assert main(["blur", "a.gif", "-o", "b.png", "--psf", "box:3"]) == 0
    assert "frame 1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("interlaced", [False, True])
def test_palettes(interlaced):
    shown = Image.fromarray(smooth(3)).quantize(16)
    stream = io.BytesIO()
    shown.save(stream, "PNG", interlace=interlaced)
    Path("a.png").write_bytes(stream.getvalue())
    np.testing.assert_array_equal(read_image("a.png"), np.asarray(shown.convert("RGB")))
