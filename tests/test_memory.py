"""The memory that restorations take: known beforehand, kept in tiles and from file to file."""

from __future__ import annotations

import itertools
import math
import mmap
import platform
import subprocess
import sys
import weakref

import numpy as np
import pytest
import tifffile
import torch
from restorations import agreement
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deconv import restore
from deconv.cli import main as run
from deconv.imaging import convolve
from deconv.imaging.psf import gaussian
from deconv.imaging.stored_array import StoredArray
from deconv.restore.memory import as_bytes, free_bytes, tile_within, working_bytes
from deconv.restore.methods import METHODS

PSF = gaussian(1.2, 7)[None] * torch.tensor([0.25, 0.5, 0.25])[:, None, None]


def stack(*shape: int) -> np.ndarray:
    """Counts of blurred points on a slope."""
    rng = np.random.default_rng(0)
    sharp = rng.random(shape) ** 16 + np.linspace(0, 0.2, shape[-1])
    seen = convolve(torch.from_numpy(sharp)[None, None], PSF.double(), boundary="reflect")[0, 0]
    return (20000 * (seen.numpy() + 0.01 * rng.standard_normal(shape)).clip(0, 3)).astype(np.uint16)


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.sizes:
                self.sizes[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
                self.peak = max(self.peak, sum(self.sizes.values()))
        return result


MEASURED = [
    (name, space) for name, row in METHODS.items() for space in (2, 3) if row.buffers and space < 3 + row.volumes
]


@pytest.mark.parametrize(("name", "space"), MEASURED)
def test_the_memory_of_a_method_is_known(name, space):
    """To a half; and never less than it takes."""
    row, shape, psf = METHODS[name], ((150, 140), (14, 36, 40))[space - 2], ((7, 9), (5, 7, 9))[space - 2]
    with Live() as live:
        steps = {"num_iter": 2} if "num_iter" in row.keywords else {}
        seen = (torch.rand(1, 1, *shape) > 0.5).float()  # which takes most: wiener iterates where much is missing
        row(torch.rand(1, 1, *shape), torch.ones(psf) / math.prod(psf), mask=seen, progress=False, **steps)
    known = working_bytes(row, shape, psf, samples=1)
    assert 0.5 * known < live.peak < known


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.compiled_buffers])
def test_the_memory_of_compiled_passes_is_known(name):
    """Of an image so large that there are some; to 1.6."""
    pytest.importorskip("numba")
    row, shape, psf = METHODS[name], (540, 520), (7, 9)
    with Live() as live:
        row(torch.rand(1, 1, *shape), torch.ones(psf) / math.prod(psf), progress=False, num_iter=2)
    known = working_bytes(row, shape, psf, samples=1)
    assert live.peak < known < 1.6 * live.peak
    assert known < working_bytes(row, shape, psf, samples=1, device="cuda")


@pytest.mark.parametrize(("text", "size"), [("8GiB", 2**33), ("1.5 kb", 1536), ("2m", 2**21), (4096, 4096)])
def test_sizes_as_people_write_them(text, size):
    assert as_bytes(text) == size
    with pytest.raises(ValueError, match="memory: expected a size such as 8GiB or 500MB, or a number of bytes, given"):
        as_bytes(f"{text}x")


def test_tiles_fit_and_are_no_smaller_than_they_need_be():
    row, frame, psf, reach = METHODS["richardson_lucy"], (100, 2048, 2048), (15, 31, 31), (45, 93, 93)
    for memory in (2**31, 2**33):
        tile = tile_within(memory, row, frame, psf, reach, samples=1)
        seen = [min(n, t + 2 * r) for n, t, r in zip(frame, tile, reach, strict=True)]
        assert 0.4 * memory < working_bytes(row, seen, psf, samples=1) <= memory
    assert tile_within(2**45, row, frame, psf, reach, samples=1) == list(frame)
    with pytest.raises(ValueError, match="memory: 1 MiB is too little; the smallest tile takes"):
        tile_within(2**20, row, frame, psf, reach, samples=1)
    assert 2**20 < free_bytes() < 2**50


def test_of_all_tiles_that_fit_those_with_the_least_padding_are_taken():
    row, frame, psf, reach = METHODS["richardson_lucy"], (14, 50, 36), (5, 7, 9), (8, 10, 12)

    def cost(tile: list[int]) -> tuple[int, int]:
        seen = [min(n, t + 2 * r) for n, t, r in zip(frame, tile, reach, strict=True)]
        needed = working_bytes(row, seen, psf, samples=1)
        return needed, needed * math.prod(-(-n // t) for n, t in zip(frame, tile, strict=True))

    every = [
        cost(list(tile))
        for tile in itertools.product(*(range(r // 2, n + 1) for n, r in zip(frame, reach, strict=True)))
    ]
    for memory in (5 * 2**19, 3 * 2**20, 2**22):
        needed, total = cost(tile_within(memory, row, frame, psf, reach, samples=1))
        assert needed <= memory
        assert total <= 1.0001 * min(all_of_them for one, all_of_them in every if one <= memory)


def test_tiles_follow_the_memory():
    image = stack(24, 70, 60) / np.float32(65535)
    whole = restore.richardson_lucy(image, PSF, num_iter=5)
    restored = restore.tiled("richardson_lucy", image, PSF, memory="10MiB", num_iter=5)
    assert 50 < agreement(restored, whole) < 120
    with pytest.raises(ValueError, match="memory: 1 KiB is too little"):
        restore.tiled("richardson_lucy", image, PSF, memory=1024)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_the_command_keeps_freed_buffers_for_the_next():
    """Filling one of 64 MB again and again asks the system for its pages once, not each time."""
    script = """
import resource, sys
if sys.argv[1:]:
    from deconv.free_memory import keep_freed_memory
    keep_freed_memory()
for _ in range(8):
    b"1" * 2**26
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""
    faults = [
        int(subprocess.run([sys.executable, "-c", script, *flags], capture_output=True, text=True, check=True).stdout)
        for flags in ((), ("keep",))
    ]
    assert faults[0] - faults[1] > 6 * 2**26 / mmap.PAGESIZE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_tile_leaves_nothing_behind_where_freed_buffers_are_kept():
    """Buffers of the next one have other sizes, and would come beside those of the last one."""
    script = """
import numpy as np
from deconv.free_memory import keep_freed_memory, resident_bytes
keep_freed_memory()
from deconv import restore
found = []
def method(image, psf, **told):
    found.append(resident_bytes())
    b"1" * 2**27
    return image
restore.tiled(method, np.ones((60, 40)), np.ones((1, 1)), tile=20, overlap=0)
print(max(found) - found[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2**25


COMMAND = ["--method", "richardson_lucy", "--iterations", "5", "--no-clipped", "--quiet"]


def restored(folder, source, *flags: str) -> np.ndarray:
    tifffile.imwrite(folder / "psf.tif", PSF.numpy(), photometric="minisblack")
    given = ["deblur", str(source), "-o", str(folder / "out.tif"), "--psf", str(folder / "psf.tif")]
    assert run([*given, *COMMAND, "--overwrite", *flags]) == 0
    return tifffile.imread(folder / "out.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_stack_is_restored_from_file_to_file(tmp_path, compression, monkeypatch):
    volume = np.stack([stack(16, 56, 52), stack(16, 56, 52)], 1)
    kind = {"imagej": True} if compression is None else {"ome": True, "compression": "zlib"}
    notes = {"axes": "ZCYX", "spacing": 0.3, "unit": "um", "PhysicalSizeZ": 0.3, "PhysicalSizeX": 0.1}
    tifffile.imwrite(tmp_path / "in.tif", volume, metadata=notes, **kind)
    whole = restored(tmp_path, tmp_path / "in.tif")
    monkeypatch.setattr("deconv.cli.large.memory_left", lambda *_: 12 * 2**20)
    monkeypatch.setattr("deconv.imaging.decoding.MAX_PIXELS", 1000)
    tiles = restored(tmp_path, tmp_path / "in.tif")
    assert tiles.dtype == np.float32
    assert 50 < agreement(tiles / 65535, whole / 65535) < 120
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.series[0].axes == "ZCYX"
        assert file.is_imagej == (compression is None)
        if compression is None:
            assert file.imagej_metadata["spacing"] == 0.3
    whole = np.rint(np.clip(whole, 0, 65535))
    assert np.abs(restored(tmp_path, tmp_path / "in.tif", "--bits", "16") - whole).mean() < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.tif", "out.tif", "psf.tif"]


def test_later_volumes_of_a_stack_keep_to_the_memory(tmp_path, monkeypatch, capsys):
    """Freed buffers stay with the process, so that less and less seems left: volumes share what the first one had."""
    memory, peaks = 12 * 2**20, []
    left = iter([memory, memory, *range(memory, 0, -(2**20))])  # asked if it is too large, then how much there is
    monkeypatch.setattr("deconv.cli.large.memory_left", lambda *_: next(left))
    monkeypatch.setattr("deconv.imaging.decoding.MAX_PIXELS", 1000)
    whole = restore.tiled

    def watched(*given, **options):
        with Live() as live:
            done = whole(*given, **options)
        peaks.append(live.peak)
        return done

    monkeypatch.setattr(restore, "tiled", watched)
    tifffile.imwrite(tmp_path / "in.tif", np.stack([stack(10, 36, 44)] * 2), imagej=True, metadata={"axes": "TZYX"})
    found = restored(tmp_path, tmp_path / "in.tif")
    np.testing.assert_array_equal(found[1], found[0])
    assert len(peaks) == 2
    assert max(peaks) < memory / 2
    assert peaks[1] == peaks[0]
    monkeypatch.setattr("deconv.cli.large.memory_left", lambda *_: 2**19)
    given = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / "none.tif"), "--psf", str(tmp_path / "psf.tif")]
    assert run([*given, *COMMAND, "--memory", "900MB"]) == 2
    said = capsys.readouterr().err
    assert "--memory: 900MB is too little: the smallest tile takes" in said
    assert "and the command itself" in said
    assert not (tmp_path / "none.tif").exists()


def test_arrays_in_files_are_read_and_written_in_part(tmp_path):
    values = stack(5, 6, 7)
    (tmp_path / "raw").write_bytes(b"head" + values.astype(">u2").tobytes())
    there = StoredArray(tmp_path / "raw", values.shape, np.dtype(">u2"), 4)
    assert there.dtype == np.uint16
    np.testing.assert_array_equal(there[1:3, :, 2], values[1:3, :, 2])
    there[2, 3:] = 7
    assert (there[2, 3:] == 7).all()
    np.testing.assert_array_equal(there[:2], values[:2])
    assert (65535 - values[0] == StoredArray(there.path, values.shape, there.stored, 4, black=65535)[0]).all()


def test_a_file_that_is_cut_short_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("deconv.cli.large.memory_left", lambda *_: 2**20)
    tifffile.imwrite(tmp_path / "in.tif", stack(9, 40, 40), imagej=True)
    tifffile.imwrite(tmp_path / "psf.tif", PSF.numpy(), photometric="minisblack")
    data = (tmp_path / "in.tif").read_bytes()
    (tmp_path / "in.tif").write_bytes(data[:-500])
    command = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / "out.tif"), "--psf", str(tmp_path / "psf.tif")]
    assert run([*command, *COMMAND]) == 2
    assert "cut short" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()


def test_a_dtype_that_is_not_restored_is_refused_by_the_name_of_the_file(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "in.tif", stack(4, 10, 10).astype(np.uint64), photometric="minisblack")
    tifffile.imwrite(tmp_path / "psf.tif", PSF.numpy(), photometric="minisblack")
    command = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / "out.tif"), "--psf", str(tmp_path / "psf.tif")]
    assert run([*command, *COMMAND]) == 2
    assert "in.tif: its values are of dtype uint64; allowed are 8, 16 or 32 bits" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()
