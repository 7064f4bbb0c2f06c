"""The table of file formats: what a new row and its module are worth without another line of code."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest

from deconv.imaging import formats, read_image, read_stack, write_image, write_stack
from deconv.imaging.formats import (
    FORMATS,
    Format,
    format_of_bytes,
    format_of_name,
    listing,
    split_name,
    suffixes,
    written_ending,
)
from deconv.imaging.picture import Picture, Volume
from deconv.training import load_data

# A format that nobody has: the word "plain", height and width, and 8-bit values.
DUMMY = Format("Plain", (".plain",), (b"plain??!",), "plain", ("uint8",), volumes=True, opacity=False)


def decode_volume(data: bytes, max_pixels: int) -> Volume:
    shape = tuple(data[8:11])
    return Volume(np.frombuffer(data[11:], np.uint8).reshape(shape))


def encode_volume(volume: Volume) -> bytes:
    return b"plain::!" + bytes(volume.values.shape) + volume.values.tobytes()


CODEC = types.SimpleNamespace(
    decode=lambda data, max_pixels: Picture(decode_volume(data, max_pixels).values[0]),
    encode=lambda picture: encode_volume(Volume(picture.pixels[None])),
    holds_volume=lambda data: data[8] > 1,
    decode_volume=decode_volume,
    encode_volume=encode_volume,
)


@pytest.fixture
def dummy(monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", (*FORMATS, DUMMY))
    monkeypatch.setitem(sys.modules, "deconv.imaging.codecs.plain", CODEC)


def test_a_new_row_is_read_and_written(tmp_path, dummy):
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    write_image(tmp_path / "a.plain", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.plain"), pixels)
    write_stack(tmp_path / "b.PLAIN", np.stack([pixels, pixels]))
    np.testing.assert_array_equal(read_stack(tmp_path / "b.PLAIN"), [pixels, pixels])
    with pytest.raises(ValueError, match=r"allowed here are \.png, .*\.plain$"):
        write_image(tmp_path / "a.none", pixels)


def test_the_training_folder_finds_a_new_row(tmp_path, dummy):
    for name in ("a", "b", "c", "d"):
        write_image(tmp_path / f"{name}.plain", np.full((6, 6), 7, np.uint8))
    splits = load_data("folder", tmp_path, size=6, grey=True)
    assert len(splits.train) == 2
    assert (splits.train.__getitems__([0]).images == 7).all()


@pytest.mark.parametrize("command", ["deblur", "blur", "estimate-kernel"])
def test_the_commands_help_lists_a_new_row(command):
    code = (
        "from deconv.imaging import formats\n"
        "formats.FORMATS += (formats.Format('Plain', ('.plain',), (b'plain',), 'plain'),)\n"
        "from deconv.cli import main\n"
        f"main(['{command}', '--help'])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "or Plain" in " ".join(found.stdout.replace("│", " ").split())


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_every_row_has_its_codec(format):
    needed = {"locate_volume", "write_slices"} if format.stored else set()
    if format.folder:
        assert needed <= set(dir(format.codec))
        return
    needed |= {"decode"}
    needed |= {"encode"} if format.dtypes else set()
    needed |= {"holds_volume", "decode_volume", "encode_volume"} if format.volumes else set()
    assert needed <= set(dir(format.codec))


def test_no_two_rows_claim_the_same_file():
    assert len(set(suffixes())) == len(suffixes())
    for format in FORMATS:
        for magic in format.magic:
            assert format_of_bytes(magic + bytes(16)) is format
            assert [other for other in FORMATS if other.begins(magic + bytes(16))] == [format]


def test_a_file_is_told_by_its_whole_magic():
    webp = format_of_bytes(b"RIFF\x10\0\0\0WEBPVP8 ")
    assert webp.name == "WebP"
    for data in (b"RIFF\x10\0\0\0WAVEfmt ", b"RIFF", b"", b"%!PS-Adobe-3.0 EPSF-3.0"):
        with pytest.raises(ValueError, match="it is not an image, or of a kind that is not known"):
            format_of_bytes(data)


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (
            b"ZISRAWFILE",
            "a CZI file of a Zeiss microscope, a kind that is not read; convert it to OME-TIFF with bfconvert",
        ),
        (b"p\0\0\0\x1a\2\0\0*", "a LIF file"),
        (bytes(96) + b"\xa0\xc0", "a DV file of a DeltaVision"),
        (b"\t\nics_version\t1.0", "an ICS file"),
        (b"XISF0100", "PixInsight, a kind that is not read; save it as FITS"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"PK\3\4", "unpack it, and give the .npy file or the folder .ome.zarr"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(beginning, words):
    with pytest.raises(ValueError, match=r"^it is a") as caught:
        format_of_bytes(beginning + bytes(16))
    assert words in str(caught.value)


def test_names_in_two():
    assert split_name("deep/m31.fits.gz") == ("m31", ".fits")
    assert split_name("m31.fits.FZ") == ("m31", ".fits")
    assert split_name("cells.OME.TIFF") == ("cells", ".OME.TIFF")
    assert split_name("cells.ome.zarr") == ("cells", ".ome.zarr")
    assert split_name("a.b.jpg") == ("a.b", ".jpg")
    assert split_name("a.gz") == ("a", ".gz")
    assert split_name("a") == ("a", "")
    assert [written_ending(ending) for ending in (".ome.tif", ".fits", ".BMP", ".cr2", ".gz", "")] == [
        ".ome.tif", ".fits", ".png", ".tif", ".png", ".png",
    ]  # fmt: skip


def test_lists():
    assert listing(written=True).startswith("PNG, JPEG, TIFF")
    assert {"TIFF", "NumPy"} <= set(listing(volumes=True).replace(" or ", ", ").split(", "))
    assert {".tif", ".tiff", ".npy"} <= set(suffixes(written=True, volumes=True)) < set(suffixes(written=True))
    assert ".npy" not in suffixes(photographs=True)
    assert format_of_name("A.JPEG").name == "JPEG"
    with pytest.raises(ValueError, match=r"a\.png: kind of file '\.png', allowed here are \.tif, \.tiff, \.npy"):
        format_of_name("a.png", volumes=True)
