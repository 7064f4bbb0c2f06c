"""OME-Zarr: read and written with all that it says of its axes, from file to file, and mixed with TIFF."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from deconv.cli import main as run
from deconv.cli.batch.files import are_many, find_jobs
from deconv.imaging import psf, write_stack
from deconv.imaging.picture import Volume, VoxelSize
from deconv.imaging.stacks import read_volume

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
PSF = psf.gaussian(1.0, 5)[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]
SCALE = {"t": 2.0, "c": 1.0, "z": 0.3, "y": 0.2, "x": 0.1}
KINDS = {"t": "time", "c": "channel"}
OMERO = {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]}
each_version = pytest.mark.parametrize("version", ["0.4", "0.5"])


def attributes(axes: str, levels: int, version: str) -> dict:
    units = {"t": "second"} | dict.fromkeys("zyx", "micrometer")
    names = [{"name": a, "type": KINDS.get(a, "space")} | ({"unit": units[a]} if a in units else {}) for a in axes]
    datasets = [
        {
            "path": f"s{level}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [SCALE[a] * (2**level if a in "yx" else 1) for a in axes]},
                {"type": "translation", "translation": [5.0 if a == "y" else 0.0 for a in axes]},
            ],
        }
        for level in range(levels)
    ]
    image = {"name": "cell", "axes": names, "datasets": datasets}
    omero = {"omero": OMERO} if "c" in axes else {}
    if version == "0.4":
        return {"multiscales": [image | {"version": "0.4"}], **omero}
    return {"ome": {"version": version, "multiscales": [image], **omero}}


def make(path: Path, values: np.ndarray, axes: str, version: str, *, levels: int = 1) -> np.ndarray:
    """A store as others write it, chunks across slices; its smaller sizes are not looked at."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    for level in range(levels):
        smaller = values[..., :: 2**level, :: 2**level]
        chunks = tuple(min(n, {"z": 3, "y": 16, "x": 32}.get(a, 2)) for n, a in zip(smaller.shape, axes, strict=True))
        group.create_array(f"s{level}", shape=smaller.shape, chunks=chunks, dtype=values.dtype)[...] = smaller
    group.attrs.put(attributes(axes, levels, version))
    return values


def beads(*shape: int) -> np.ndarray:
    """Soft points of light in the middle of each volume."""
    places = np.meshgrid(*(np.arange(n) - n // 2 for n in shape[-3:]), indexing="ij")
    light = 100 + 20000 * np.exp(-sum(place**2 for place in places) / 8)
    return RNG.poisson(np.broadcast_to(light, shape)).astype(np.uint16)


def deblur(*arguments: object) -> int:
    return run(["deblur", *map(str, arguments), "-m", "richardson_lucy", "--iterations", "3"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("psf.tif", PSF.numpy(), photometric="minisblack")
    return tmp_path


def said(path: Path) -> dict:
    """Its attributes, as the file has them."""
    if (path / ".zattrs").exists():
        return json.loads((path / ".zattrs").read_text())
    return json.loads((path / "zarr.json").read_text())["attributes"]["ome"]


@each_version
@pytest.mark.parametrize("axes", ["tczyx", "czyx", "zyx", "cyx", "yx"])
def test_what_it_says_of_its_axes_is_read_and_written(tmp_path, version, axes):
    sizes = {"t": 2, "c": 2, "z": 3, "y": 21, "x": 17}
    values = make(
        tmp_path / "in.ome.zarr",
        beads(2, 2, 5, 21, 17)[tuple(slice(sizes[a]) if a in axes else 0 for a in "tczyx")],
        axes,
        version,
        levels=3,
    )
    volume = read_volume(tmp_path / "in.ome.zarr")
    np.testing.assert_array_equal(volume.values, values)
    assert volume.axes == axes.upper()
    assert volume.voxel == VoxelSize(0.3 if "z" in axes else None, (10, 5), "um")
    assert volume.channels == (("DAPI", "GFP") if "c" in axes else ())
    write_stack(tmp_path / "out.zarr", values, like=volume)
    again = read_volume(tmp_path / "out.zarr")
    np.testing.assert_array_equal(again.values, values)
    assert (again.axes, again.voxel, again.channels) == (volume.axes, volume.voxel, volume.channels)
    before, after = (said(tmp_path / name) for name in ("in.ome.zarr", "out.zarr"))
    image, made = (each["multiscales"][0] for each in (before, after))
    assert made["axes"] == image["axes"]
    assert made["name"] == "cell"
    assert made["datasets"][0]["coordinateTransformations"] == image["datasets"][0]["coordinateTransformations"]
    scales = [[each["coordinateTransformations"][0]["scale"] for each in one["datasets"]] for one in (image, made)]
    np.testing.assert_allclose(scales[1], scales[0])
    assert (made if version == "0.4" else after)["version"] == version
    if "c" in axes:
        assert [each["color"] for each in after["omero"]["channels"]] == ["0000FF", "00FF00"]
        channel = values.take(1, axes.index("c"))
        assert after["omero"]["channels"][1]["window"]["max"] == channel.max()


@each_version
def test_it_is_laid_out_as_its_version_says(tmp_path, version):
    make(tmp_path / "in.zarr", beads(2, 5, 21, 17), "czyx", version)
    volume = read_volume(tmp_path / "in.zarr")
    write_stack(tmp_path / "out.zarr", volume.values, like=volume)
    if version == "0.4":
        assert json.loads((tmp_path / "out.zarr/0/.zarray").read_text())["dimension_separator"] == "/"
    else:
        assert json.loads((tmp_path / "out.zarr/0/zarr.json").read_text())["dimension_names"] == list("czyx")


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_smaller_sizes_are_means(tmp_path, dtype):
    values = RNG.poisson(10.0, (3, 21, 17)).astype(dtype)
    levels = ((3, 11, 8), (1, 5, 4))  # of an odd size one is rounded up, the other down
    volume = Volume(values, VoxelSize(0.3, (10, 5), "um"), program="ome-zarr", notes={"levels": levels})
    write_stack(tmp_path / "a.zarr", values, like=volume)
    first, second = (zarr.open(str(tmp_path / "a.zarr" / name), mode="r")[...] for name in "12")
    expected = values[:, :20, :16].astype(float).reshape(3, 10, 2, 8, 2).mean((2, 4))
    if dtype == "uint16":
        expected = np.rint(expected)
    np.testing.assert_allclose(first[:, :10], expected, rtol=1e-6)
    np.testing.assert_allclose(first[:, 10], np.rint(values[:, 20, :16].reshape(3, 8, 2).mean(2)), atol=0.51)
    assert second.shape == levels[1]
    assert second.mean() == pytest.approx(values.mean(), abs=0.6)
    steps = said(tmp_path / "a.zarr")["multiscales"][0]["datasets"][2]["coordinateTransformations"]
    np.testing.assert_allclose(steps[0]["scale"], [0.9, 0.8, 0.4])
    np.testing.assert_allclose(steps[1]["translation"], [0.3, 0.3, 0.15])  # the middle of the first 3 x 4 x 4 voxels


@each_version
def test_each_channel_and_time_is_restored_as_from_a_tiff(folder, capsys, version):
    stack = make(folder / "in.ome.zarr", beads(2, 2, 7, 20, 18), "tczyx", version, levels=2)
    write_stack("in.ome.tif", stack, like=read_volume("in.ome.zarr"))
    assert deblur("in.ome.tif", "-o", "a.tif", "--psf", "psf.tif") == 0
    assert deblur("in.ome.zarr", "-o", "b.ome.zarr", "--psf", "psf.tif") == 0
    assert "20 x 18 stack of 2 times, 2 channels, 7 slices, 16 bits" in capsys.readouterr().out
    expected, found = read_volume("a.tif"), read_volume("b.ome.zarr")
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-2)
    assert found.values.dtype == np.float32
    assert (found.axes, found.voxel, found.channels) == ("TCZYX", VoxelSize(0.3, (10, 5), "um"), ("DAPI", "GFP"))
    assert len(said(folder / "b.ome.zarr")["multiscales"][0]["datasets"]) == 2


@pytest.mark.parametrize(("given", "made"), [("in.ome.tif", "out.zarr"), ("in.ome.zarr", "out.ome.tif")])
def test_tiff_and_zarr_become_each_other(folder, given, made):
    make(folder / "in.ome.zarr", beads(2, 7, 20, 18), "czyx", "0.5")
    write_stack("in.ome.tif", read_volume("in.ome.zarr").values, like=read_volume("in.ome.zarr"))
    assert deblur(given, "-o", made, "--psf", "psf.tif") == 0
    found = read_volume(made)
    assert (found.axes, found.voxel, found.channels) == ("CZYX", VoxelSize(0.3, (10, 5), "um"), ("DAPI", "GFP"))
    assert deblur("in.ome.zarr", "-o", "imagej.tif", "--psf", "psf.tif") == 0
    with tifffile.TiffFile("imagej.tif") as file:
        assert file.imagej_metadata["spacing"] == 0.3


def test_larger_than_the_memory_it_goes_from_file_to_file(folder, capsys, monkeypatch):
    make(folder / "in.ome.zarr", beads(2, 12, 40, 36), "czyx", "0.5", levels=2)
    assert deblur("in.ome.zarr", "-o", "whole.zarr", "--psf", "psf.tif") == 0
    monkeypatch.setattr("deconv.cli.large.memory_left", lambda *_: 8 * 2**20)
    monkeypatch.setattr("deconv.imaging.decoding.MAX_PIXELS", 1000)
    assert deblur("in.ome.zarr", "-o", "tiles.zarr", "--psf", "psf.tif") == 0
    assert "from file to file" in capsys.readouterr().out
    whole, tiles = (read_volume(each, max_pixels=10**6) for each in ("whole.zarr", "tiles.zarr"))
    assert np.sqrt(np.mean((tiles.values - whole.values) ** 2)) < 65535 / 10 ** (50 / 20)
    assert (tiles.axes, tiles.voxel, tiles.channels) == (whole.axes, whole.voxel, whole.channels)
    assert len(said(folder / "tiles.zarr")["multiscales"][0]["datasets"]) == 2
    names = {path.name for path in folder.iterdir()}
    assert names == {"in.ome.zarr", "psf.tif", "whole.zarr", "tiles.zarr"}


def test_a_folder_of_them_is_several(folder):
    cells, restored = Path("cells"), Path("restored")
    for name in ("a", "b"):
        make(cells / f"{name}.ome.zarr", beads(5, 20, 18), "zyx", "0.4")
    assert are_many([cells], Path("restored.zarr"))
    assert not are_many([cells / "a.ome.zarr"], Path("restored.zarr"))
    assert not are_many([cells / "a.ome.zarr"], cells / "b.ome.zarr")
    for sources in ([cells], [cells / "*.zarr"], [cells / "a.ome.zarr", cells / "b.ome.zarr"]):
        outputs = [job.output for job in find_jobs(sources, restored)]
        assert outputs == [restored / "a.ome.zarr", restored / "b.ome.zarr"]
    with pytest.raises(ValueError, match=r"--output: cells/a\.ome\.zarr is the name of one picture"):
        find_jobs([cells], cells / "a.ome.zarr")


def test_series_of_bio_formats(folder):
    zarr.open_group("in.zarr", mode="w", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    for number in (0, 1):
        make(folder / f"in.zarr/{number}", beads(5, 20, 18 + number), "zyx", "0.4")
    assert read_volume("in.zarr").part == "series 0 of 2"
    assert read_volume("in.zarr", part=1).values.shape == (5, 20, 19)
    assert read_volume("in.zarr/1").values.shape == (5, 20, 19)
    with pytest.raises(ValueError, match=r"in\.zarr: series 2 is not there; it holds 2, from 0 on"):
        read_volume("in.zarr", part=2)


def test_plain_arrays(folder):
    zarr.create_array("a.zarr", data=np.ones((2, 4, 5), ">u2"), zarr_format=2)
    assert read_volume("a.zarr").values.dtype == np.dtype("=u2")
    assert read_volume("a.zarr").axes == "ZYX"
    assert read_volume("a.zarr", channel_axis=0).axes == "CYX"
    zarr.create_array("b.zarr", data=np.ones((2, 4, 5), "int16"), zarr_format=3, dimension_names=["t", "y", "x"])
    assert read_volume("b.zarr").axes == "TYX"
    assert read_volume("b.zarr").values.dtype == np.float32


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"plate": {}}, "it is a plate of wells; expected the path of one field"),
        ({}, "it is a Zarr group without an image; expected OME-Zarr"),
        (attributes("zyx", 1, "0.6"), r"it is OME-Zarr 0\.6; expected 0\.4 or 0\.5"),
        (
            {"ome": attributes("zyx", 1, "0.5")["ome"] | {"multiscales": [{"axes": [{"name": n} for n in "abc"]}]}},
            "its axes are a, b, c; expected some of",
        ),
        (attributes("czyx", 1, "0.5"), "its axes are CZYX, and the shape of its values"),
        (attributes("zyx", 2, "0.5"), "the file is damaged"),  # an array that is not there
        ({"ome": {"version": "0.5", "multiscales": [{"name": 1}]}}, "the file is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(folder, capsys, given, message):
    make(folder / "in.zarr", beads(5, 20, 18), "zyx", "0.5")
    zarr.open_group("in.zarr", mode="r+").attrs.put(given)
    with pytest.raises(ValueError, match=rf"^in\.zarr: .*{message}"):
        read_volume("in.zarr")
    assert deblur("in.zarr", "-o", "out.zarr", "--psf", "psf.tif") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (folder / "out.zarr").exists()


def test_nothing_is_lost_that_somebody_needs(folder, capsys):
    make(folder / "in.zarr", beads(5, 20, 18), "zyx", "0.5")
    make(folder / "out.zarr", beads(5, 20, 18), "zyx", "0.5")
    (folder / "notes.zarr").mkdir()
    for output, word in {
        "out.zarr": "out.zarr exists; give another name, or --overwrite",
        "in.zarr": "in.zarr is read",
        "in.zarr/out.zarr": "in.zarr/out.zarr is read",
    }.items():
        assert deblur("in.zarr", "-o", output, "--psf", "psf.tif") == 2
        assert word in capsys.readouterr().err
    assert deblur("in.zarr/", "-o", "out.zarr", "--psf", "psf.tif", "--overwrite") == 0
    assert read_volume("out.zarr").values.dtype == np.float32
    with pytest.raises(FileExistsError, match=r"notes\.zarr exists, and is not in the format OME-Zarr"):
        write_stack("notes.zarr", beads(5, 20, 18))
    assert not list(folder.glob(".*"))


def test_a_picture_and_a_blur_that_is_not_known(folder, capsys):
    make(folder / "in.zarr", beads(20, 18), "yx", "0.5")
    assert run(["deblur", "in.zarr", "-o", "out.zarr"]) == 2
    assert "it holds a stack, and a psf is estimated from a picture only" in capsys.readouterr().err
    assert deblur("in.zarr", "-o", "out.zarr", "--psf", "gaussian:1") == 0
    assert read_volume("out.zarr").axes == "YX"
    assert run(["blur", "psf.tif", "-o", "a.zarr", "--psf", "gaussian:1"]) == 2
    assert ".zarr" not in capsys.readouterr().err.partition("allowed here are")[2]


def test_without_the_package_it_is_refused_by_name(folder, monkeypatch):
    make(folder / "in.zarr", beads(5, 20, 18), "zyx", "0.5")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ValueError, match=r"^in\.zarr: OME-Zarr asks for the package zarr \(pip install zarr\)"):
        read_volume("in.zarr")
    with pytest.raises(ValueError, match="asks for the package zarr"):
        write_stack("out.zarr", beads(5, 20, 18))
    assert not list(folder.glob("out*"))
