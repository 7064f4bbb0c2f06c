"""The table of restoration methods: its rows by every way that leads to them, and a new one seen everywhere."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from restorations import PSF, ROWS, observation
from rich.console import Console

import deconv
from deconv import restore
from deconv.bench.restore import main as bench
from deconv.bench.restore import quick_methods
from deconv.cli import main as run
from deconv.cli import methods as command
from deconv.imaging import read_image, write_image
from deconv.restore import METHODS, Method, as_method
from deconv.restore.layer import Restoration

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def dummy(monkeypatch):
    """A row more, whose method halves the image."""

    def halve(image, psf, *, factor=0.5, sigma=None, statistics=None, mask=None, progress=None):
        return factor * image

    monkeypatch.setitem(METHODS, "dummy", Method(halve, "a row for a test"))
    return halve


def test_a_new_row_is_seen_everywhere(dummy, tmp_path):
    image = observation().astype(np.float32)
    half = image / 2
    np.testing.assert_array_equal(Restoration("dummy")(image, PSF), half)
    learnt = Restoration("dummy", factor=1.0, learn="factor")(torch.from_numpy(image), PSF)
    np.testing.assert_array_equal(learnt.detach(), image)
    np.testing.assert_allclose(restore.tiled("dummy", image, PSF, tile=40, overlap=8), half, rtol=1e-6)

    assert "dummy: a row for a test" in command.listing()
    write_image(tmp_path / "in.tif", image)
    deblur = ["deblur", str(tmp_path / "in.tif"), "-o", str(tmp_path / "out.tif"), "--psf", "motion:7,30", "-q"]
    assert run([*deblur, "--method", "dummy"]) == 0
    np.testing.assert_allclose(read_image(tmp_path / "out.tif"), half, rtol=1e-6)

    assert "dummy" in quick_methods()
    report = Console(file=io.StringIO(), width=100)
    assert [row["method"] for row in bench(methods=["dummy"], noise=[0.01], console=report)] == ["(blurred)", "dummy"]


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.by_channel])
def test_channels_one_after_another_give_the_same(name, monkeypatch):
    image = torch.from_numpy(np.stack([observation(), observation()[::-1], 0.5 * observation()])[None].copy()).float()
    noise = torch.tensor([[0.01, 0.02, 0.03]])
    psf = torch.as_tensor(np.asarray(PSF)).float()
    choice = command.choose(name)
    keywords = choice.keywords({"sigma": ("--sigma", noise)}, {"progress": False})
    together = choice.restore_in_turn(image, psf, keywords)
    monkeypatch.setattr(command, "_LARGE", 0)
    # Of priors that are not convex, rounding decides here and there.
    assert float((choice.restore_in_turn(image, psf, keywords) - together).abs().mean()) < 1e-4


def test_the_property_tests_have_every_row():
    assert set(METHODS) <= set(ROWS)


def test_the_readme_lists_every_row():
    _, _, section = README.read_text().partition("| `--method` |")
    table, _, _ = section.partition("\n\n")
    listed = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(listed) == sorted([*METHODS, command.AUTO])
    automatic = " and ".join(f"`{name}`" for name, method in METHODS.items() if method.automatic)
    assert automatic.replace(" and ", ", ", 1) in table


@pytest.mark.parametrize("name", METHODS)
def test_every_row_is_found_by_its_name_and_by_its_function(name):
    row = METHODS[name]
    assert as_method(name) is row
    assert row.name in row.load().__name__
    assert getattr(restore, row.name) is row.load()
    assert set(row.options) <= set(Method(row.function).keywords)
    assert set(row.learnable or ()) <= set(row.keywords)
    assert not set(row.options) & set(row.keywords)
    if not row.options:
        assert as_method(row.name) is as_method(row.load()) is row


@pytest.mark.parametrize("name", METHODS)
def test_every_row_is_restored_in_tiles_by_the_command(name, tmp_path):
    """Options that a row stands for collide with nothing: tiles, layers and the command give the same."""
    image = observation()[:70, :64].astype(np.float32)
    write_image(tmp_path / "in.tif", image)
    deblur = ["deblur", str(tmp_path / "in.tif"), "--psf", "motion:7,30", "-q", "--method", name, "--sigma", "1%"]
    quick = ["--iterations", "2"]
    for out, flags in (("whole.tif", []), ("tiles.tif", ["--tiles", "96"])):
        assert run([*deblur, "-o", str(tmp_path / out), *quick, *flags]) == 0
    whole, tiles = (read_image(tmp_path / out) for out in ("whole.tif", "tiles.tif"))
    np.testing.assert_allclose(tiles, whole, atol=1e-4)
    psf = deconv.imaging.psf.motion(7, 30)
    layer = Restoration(name, sigma=0.01, num_iter=2)
    np.testing.assert_allclose(layer(torch.from_numpy(image), psf), whole, atol=1e-4)


def test_the_functions_are_exported():
    functions = {row.function for row in METHODS.values() if isinstance(row.function, str)}
    assert functions <= set(restore.__all__) <= set(dir(restore))
    with pytest.raises(AttributeError, match="has no attribute 'sharpen'"):
        _ = restore.sharpen


def test_the_table_is_read_without_torch():
    import subprocess
    import sys

    code = (
        "import sys, types\n"
        f"package = types.ModuleType('deconv'); package.__path__ = {list(deconv.__path__)}\n"
        "sys.modules['deconv'] = package\n"
        "from deconv.restore import METHODS\n"
        "assert len(METHODS) > 10 and not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_picture_by_channels_takes_no_more_memory_than_speeds_it_up(monkeypatch):
    from deconv.cli import large

    monkeypatch.setattr(large, "memory_left", lambda memory, device: 2**30 if memory else 2**40)
    named = command.choose("hyper_laplacian")
    assert large.memory_for_picture(None, "cpu", named) == large._PICTURE
    assert large.memory_for_picture("1GiB", "cpu", named) == 2**30
    assert large.memory_for_picture(None, "cpu", command.choose("wiener")) == 2**40
