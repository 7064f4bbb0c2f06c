"""Volumes in files: what is written is read again, and what is no volume is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from deconv.imaging import read_stack, write_stack
from deconv.imaging.stacks import read_volume
from deconv.imaging.stored_stacks import stored_volume

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


def hyperstack(axes: str, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, draw("uint16"), metadata={"axes": axes}, **(options or {"imagej": True}))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int8", "float32"), ("int16", "float32"), ("float16", "float32"), ("int32", "float64"), ("uint32", "float64")],
)
@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_values_without_a_white_are_read_unchanged_as_floats(tmp_path, name, dtype, expected):
    volume = (RNG.random((3, 5, 6)) * (100 if dtype == "int8" else 2000)).astype(dtype)
    if name == "a.npy":
        np.save(tmp_path / name, volume)
    else:
        tifffile.imwrite(tmp_path / name, volume, photometric="minisblack")
    found = read_stack(tmp_path / name)
    assert found.dtype == expected
    np.testing.assert_array_equal(found, volume.astype(expected))


@pytest.mark.parametrize("bits", [12, 16])
def test_stacks_where_zero_is_white(tmp_path, bits):
    """What stands for black is that of the file's own bits; counts are not scaled."""
    volume = draw("uint16") >> (16 - bits)
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="miniswhite", bitspersample=bits)
    expected = 2**bits - 1 - volume
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), expected)
    with stored_volume(tmp_path / "a.tif", folder=tmp_path) as stored:
        np.testing.assert_array_equal(stored.values[:], expected)


def test_compressed_stacks_are_read_or_say_what_they_ask_for(tmp_path):
    pages = [Image.fromarray(page) for page in draw("uint8")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), np.stack([np.asarray(page) for page in pages]))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_voxel_size_is_kept(tmp_path, dtype):
    given = {"spacing": 0.3, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", draw(dtype), imagej=True, resolution=(10, 5), metadata={"axes": "ZYX"} | given)
    write_stack(tmp_path / "b.tif", draw(dtype), like=read_volume(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert {key: file.imagej_metadata[key] for key in given} == given
        assert file.pages.first.resolution == (10, 5)
        np.testing.assert_array_equal(file.asarray().shape, (4, 9, 11))


def test_of_several_series_the_first_is_read(tmp_path):
    (tmp_path / "a.tif").write_bytes(bytes_of(np.ones((8, 9), np.uint8), np.zeros((4, 5), np.uint8)))
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif"), np.ones((1, 8, 9)))
    assert read_volume(tmp_path / "a.tif").part == "series 0 of 2"
    assert read_volume(tmp_path / "a.tif", part=1).values.shape == (4, 5)


def test_the_voxel_size_of_ome_is_understood(tmp_path):
    given = {"PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}
    tifffile.imwrite(tmp_path / "a.ome.tif", draw("uint16"), metadata={"axes": "ZYX"} | given)
    voxel = read_volume(tmp_path / "a.ome.tif").voxel
    assert (voxel.spacing, voxel.unit) == (0.3, "um")
    assert voxel.resolution == pytest.approx((10, 5))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"text", "it is not an image"),
        (bytes_of(np.zeros((8, 9, 3), np.uint8), photometric="rgb"), "it holds colours"),
        (
            bytes_of(np.zeros((2, 2, 8, 9), np.uint8), photometric="minisblack"),
            "its axes are QQYX of shape",
        ),
        (bytes_of(np.zeros((2, 8, 9), np.int64), photometric="minisblack"), "dtype int64"),
        (hyperstack("CYX"), "its axes are CYX: channels, not slices only; expected ZYX, a file for each"),
        (hyperstack("TYX"), "its axes are TYX: times, not slices"),
        (hyperstack("CYX", ome=True, photometric="minisblack"), "its axes are CYX: channels"),
        (hyperstack("ZYX")[: 4 * 9 * 11 * 2 * 6 // 10], "the file is damaged: it is cut short"),
        (bytes_of(np.zeros((2, 8, 9), np.uint8), photometric="minisblack")[:-20], "the file is damaged"),
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
        ("a.png", np.zeros((2, 3, 4)), "kind of file '.png', allowed here are .tif, .tiff, .npy, .fits"),
        ("a.tif", np.zeros((3, 4)), r"volume: expected D x H x W, given the shape \(3, 4\)"),
        ("a.tif", np.full((2, 3, 4), np.nan), "volume: 24 of its 24 values are NaN"),
    ],
)
def test_nothing_is_written_when_the_volume_or_its_name_will_not_do(tmp_path, name, volume, words):
    with pytest.raises(ValueError, match=words):
        write_stack(tmp_path / name, volume)
    assert not list(tmp_path.iterdir())
