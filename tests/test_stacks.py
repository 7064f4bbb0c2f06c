"""Volumes in files: what is written is read again, and what is no volume is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
import torch

from deconv.imaging import read_stack, write_stack

RNG = np.random.default_rng(0)


def draw(dtype: str) -> np.ndarray:
    values = RNG.random((4, 9, 11))
    return (values * (np.iinfo(dtype).max if dtype.startswith("u") else 3)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.npy"])
def test_what_is_written_is_read_again(tmp_path, name, dtype):
    volume = draw(dtype)
    write_stack(tmp_path / name, volume)
    again = read_stack(tmp_path / name)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, volume)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_other_programs_read_the_slices(tmp_path):
    volume = draw("uint16")
    write_stack(tmp_path / "a.tif", torch.from_numpy(volume))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 4
        np.testing.assert_array_equal(file.pages[2].asarray(), volume[2])


def test_the_depth_is_the_one_asked_for(tmp_path):
    volume = draw("float32") / 3
    write_stack(tmp_path / "a.tif", volume, like=draw("uint16"))
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), np.rint(volume * 65535).astype(np.uint16))
    write_stack(tmp_path / "a.tif", volume, bits=8)
    assert read_stack(tmp_path / "a.tif").dtype == np.uint8


def test_files_of_other_programs(tmp_path):
    volume = draw("uint16")
    tifffile.imwrite(tmp_path / "imagej.tif", volume, imagej=True, metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(read_stack(tmp_path / "imagej.tif"), volume)
    tifffile.imwrite(tmp_path / "one.tif", volume[0])
    np.testing.assert_array_equal(read_stack(tmp_path / "one.tif"), volume[:1])
    with tifffile.TiffWriter(tmp_path / "pages.tif", byteorder=">") as file:
        for plane in volume:
            file.write(plane, contiguous=False)
    np.testing.assert_array_equal(read_stack(tmp_path / "pages.tif"), volume)


def bytes_of(*arrays: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for array in arrays:
            file.write(array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"text", "it is not an image"),
        (bytes_of(np.zeros((8, 9, 3), np.uint8), photometric="rgb"), "it holds colours"),
        (
            bytes_of(np.zeros((2, 2, 8, 9), np.uint8), photometric="minisblack"),
            r"its shape is \(2, 2, 8, 9\)",
        ),
        (bytes_of(np.zeros((2, 8, 9), np.int32), photometric="minisblack"), "dtype int32"),
        (bytes_of(np.zeros((8, 9), np.uint8), np.zeros((4, 5), np.uint8)), "images of 2 different kinds"),
    ],
)
def test_what_is_no_volume_is_refused_by_name(tmp_path, data, words):
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read_stack(tmp_path / "a.tif")
    assert str(caught.value).startswith(str(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("name", "volume", "words"),
    [
        ("a.png", np.zeros((2, 3, 4)), "kind of file '.png', allowed here are .tif, .tiff, .npy"),
        ("a.tif", np.zeros((3, 4)), r"volume: expected D x H x W, given the shape \(3, 4\)"),
        ("a.tif", np.full((2, 3, 4), np.nan), "volume: 24 of its 24 values are NaN"),
    ],
)
def test_nothing_is_written_when_the_volume_or_its_name_will_not_do(tmp_path, name, volume, words):
    with pytest.raises(ValueError, match=words):
        write_stack(tmp_path / name, volume)
    assert not list(tmp_path.iterdir())
