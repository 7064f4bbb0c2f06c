"""Files of telescopes and electron microscopes: FITS by astropy, MRC by itself and beside mrcfile."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest
from restorations import PSF, observation

from deconv.cli import main as run
from deconv.imaging import psf, read_image, read_stack, write_image, write_stack
from deconv.imaging.stacks import read_volume
from deconv.restore import wiener

RNG = np.random.default_rng(0)


@pytest.fixture
def fits():
    return pytest.importorskip("astropy.io.fits")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_values_are_those_that_astropy_reads(tmp_path, fits, dtype):
    values = (RNG.random((6, 7)) * 30000 - (0 if dtype.startswith("u") else 15000)).astype(dtype)
    fits.writeto(tmp_path / "a.fits", values)  # unsigned integers with BZERO
    read = read_image(tmp_path / "a.fits")
    assert read.dtype.kind == "f"
    np.testing.assert_array_equal(read, values)


def test_scaled_blank_and_packed(tmp_path, fits):
    stored = np.arange(20, dtype=np.int16).reshape(4, 5)
    stored[1, 2] = -1
    header = fits.Header({"BSCALE": 0.5, "BZERO": 3.0, "BLANK": -1})
    hdu = fits.PrimaryHDU(stored)
    hdu.header.update(header)
    hdu.writeto(tmp_path / "a.fits")
    read = read_image(tmp_path / "a.fits")
    assert np.isnan(read[1, 2])
    np.testing.assert_allclose(np.delete(read, 7), np.delete(3 + 0.5 * stored, 7))
    packed = fits.CompImageHDU(np.arange(5120, dtype=np.int16).reshape(64, 80))
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / "b.fits.fz")
    np.testing.assert_array_equal(read_image(tmp_path / "b.fits.fz"), packed.data)


def test_gzip(tmp_path, fits):
    """Frames of surveys come as ``.fits.gz``; how much is in one is looked at before it is unpacked."""
    values = RNG.random((6, 7)).astype(np.float32)
    fits.writeto(tmp_path / "a.fits.gz", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits.gz"), values)
    fits.writeto(tmp_path / "cube.fits.gz", np.stack([values] * 3))
    assert read_stack(tmp_path / "cube.fits.gz").shape == (3, 6, 7)
    with pytest.raises(ValueError, match="it declares 6 x 7 pixels, more than the 41 that are read"):
        read_image(tmp_path / "a.fits.gz", max_pixels=41)
    cut = (tmp_path / "a.fits.gz").read_bytes()[:-40]
    (tmp_path / "b.fits.gz").write_bytes(cut)
    with pytest.raises(ValueError, match=r"b\.fits\.gz: the file is damaged"):
        read_image(tmp_path / "b.fits.gz")
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"some notes"))
    with pytest.raises(ValueError, match=r"notes\.gz: it is a gzip of something else than FITS; unpack it"):
        read_image(tmp_path / "notes.gz")


def test_a_frame_is_restored_and_its_header_kept(tmp_path, fits, capsys):
    y = 1000 * observation().astype(np.float32)
    y[30:32, 20:23] = np.nan
    hdu = fits.ImageHDU(y)
    hdu.header.update({"OBJECT": "M 31", "CRVAL1": 10.68, "CTYPE1": "RA---TAN", "BUNIT": "adu"})
    other = fits.ImageHDU(np.zeros((5, 5)))
    fits.HDUList([fits.PrimaryHDU(), other, hdu]).writeto(tmp_path / "in.fits")
    fits.writeto(tmp_path / "psf.fits", PSF.numpy())
    command = ["deblur", str(tmp_path / "in.fits"), "--psf", str(tmp_path / "psf.fits"), "-m", "wiener"]
    out = str(tmp_path / "out.fits")
    assert run([*command, "--hdu", "2", "-o", out]) == 0
    header = fits.getheader(out)
    assert [header[key] for key in ("OBJECT", "CRVAL1", "CTYPE1", "BUNIT")] == ["M 31", 10.68, "RA---TAN", "adu"]
    found, known = fits.getdata(out), np.isfinite(y)
    expected = wiener(np.where(known, y, 0), PSF, mask=known)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.02 * expected.std()
    assert run([*command, "--hdu", "3", "-o", out]) == 2
    assert "HDU 3 has no image; images are in 1, 2" in capsys.readouterr().err
    assert run([*command, "--hdu", "2", "-o", str(tmp_path / "out.png")]) == 2
    assert "give another --white, such as 255 or 4095, or write floats" in capsys.readouterr().err


def test_cubes_are_stacks(tmp_path, fits):
    cube = RNG.random((3, 20, 18)).astype(np.float32)
    fits.writeto(tmp_path / "in.fits", cube[None])  # with an axis of one, as radio telescopes write it
    np.testing.assert_array_equal(read_stack(tmp_path / "in.fits"), cube)
    with pytest.raises(ValueError, match=r"in\.fits: it holds a cube of shape \(3, 20, 18\)"):
        read_image(tmp_path / "in.fits")
    files = [str(tmp_path / name) for name in ("in.fits", "out.fits")]
    assert run(["deblur", files[0], "-o", files[1], "--psf", "gaussian:1", "-m", "wiener", "--sigma", "0.1", "-q"]) == 0
    expected = [wiener(plane, psf.gaussian(1), sigma=0.1) for plane in cube]
    np.testing.assert_allclose(fits.getdata(files[1]), np.stack(expected), atol=1e-5)


def test_colours_in_fits(tmp_path, fits):
    image = RNG.random((5, 6, 3)).astype(np.float32)
    write_image(tmp_path / "a.fits", image)
    assert fits.getdata(tmp_path / "a.fits").shape == (3, 5, 6)
    np.testing.assert_array_equal(read_image(tmp_path / "a.fits"), image)


def test_without_astropy_fits_is_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T".ljust(2880))
    monkeypatch.setitem(sys.modules, "astropy.io.fits", None)
    with pytest.raises(ValueError, match=r"a\.fits: FITS asks for the package astropy"):
        read_image(tmp_path / "a.fits")


def test_a_damaged_frame_ends_in_one_line(tmp_path, fits):
    fits.writeto(tmp_path / "a.fits", RNG.random((64, 64)))
    (tmp_path / "b.fits").write_bytes((tmp_path / "a.fits").read_bytes()[:9000])
    with pytest.raises(ValueError, match=r"b\.fits: the file is damaged"):
        read_image(tmp_path / "b.fits")
    with pytest.raises(ValueError, match=r"a\.fits: it declares 64 x 64 pixels, more than the 100"):
        read_image(tmp_path / "a.fits", max_pixels=100)


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_mrc_is_read_as_it_is_written(tmp_path, dtype):
    values = (RNG.random((4, 5, 6)) * 1000).astype(dtype)
    write_stack(tmp_path / "a.mrc", values)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.mrc"), values)
    assert read_stack(tmp_path / "a.mrc").dtype == dtype


def test_mrc_of_other_programs(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    for dtype in ("int8", "int16", "uint16", "float16", "float32"):
        values = (RNG.random((4, 5, 6)) * 100).astype(dtype)
        with mrcfile.new(tmp_path / "a.mrc", overwrite=True) as file:
            file.set_data(values)
            file.voxel_size = (1.5, 2.0, 3.0)
        read = read_volume(tmp_path / "a.mrc")
        np.testing.assert_array_equal(read.values, values)
        assert read.voxel.sizes() == pytest.approx((3e-10, 2e-10, 1.5e-10))
    write_stack(tmp_path / "b.mrc", read.values, like=read)
    with open(tmp_path / "log", "w") as log:
        assert mrcfile.validate(tmp_path / "b.mrc", print_file=log)
    with mrcfile.open(tmp_path / "b.mrc") as file:
        np.testing.assert_array_equal(file.data, read.values)
        assert tuple(file.voxel_size.tolist()) == (1.5, 2.0, 3.0)


def test_damaged_mrc_is_refused(tmp_path):
    write_stack(tmp_path / "a.mrc", RNG.random((4, 5, 6)).astype(np.float32))
    data = (tmp_path / "a.mrc").read_bytes()
    for cut, words in ((data[:-8], "the file is damaged: 1496 bytes"), (data[:500], "it is cut short")):
        (tmp_path / "b.mrc").write_bytes(cut)
        with pytest.raises(ValueError, match=words):
            read_stack(tmp_path / "b.mrc")


@pytest.mark.parametrize("slices", [None, 5])
def test_psfs_of_matlab_7_3(tmp_path, slices):
    """MATLAB's arrays `H x W x D`, whose columns come first in the file: HDF5 has the axes in reverse."""
    h5py = pytest.importorskip("h5py")
    h = PSF.numpy()
    if slices is not None:
        h = h * np.arange(1, slices + 1)[:, None, None] / 15
    with h5py.File(tmp_path / "k.mat", "w", userblock_size=512) as file:
        array = file.create_dataset("kernel", data=h.T if slices is None else h.transpose(0, 2, 1))
        array.attrs["MATLAB_class"] = np.bytes_(b"double")
    data = bytearray((tmp_path / "k.mat").read_bytes())
    data[:19] = b"MATLAB 7.3 MAT-file"
    (tmp_path / "k.mat").write_bytes(data)
    found, _ = psf.from_file(tmp_path / "k.mat")
    np.testing.assert_allclose(found, h, atol=1e-6)
