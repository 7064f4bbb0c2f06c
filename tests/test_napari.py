"""The plugin for napari: what it computes, its manifest, and the widget where napari and a Qt are installed."""

from __future__ import annotations

import inspect
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import deconv
from deconv.imaging import psf
from deconv.napari import restoration
from deconv.napari.restoration import Restoration, find_psf, methods

STACK = np.random.default_rng(0).poisson(20, (9, 24, 24)).astype(np.uint16)
PICTURE = np.random.default_rng(1).uniform(0.2, 0.8, (40, 44)).astype(np.float32)


def restore(image: np.ndarray, **options) -> Restoration:
    given = {"rgb": False, "method": "richardson_lucy", "options": {"num_iter": 4, "background": 2.0}}
    return Restoration(image, **{**given, **options})


def test_it_restores_as_the_function_does():
    h = psf.vectorial((9, 23, 23), wavelength=0.6, aperture=1.2, pixel=0.1, step=0.3)
    chosen = {"source": "microscope", "aperture": 1.2, "wavelength": 0.6, "voxel": (0.3, 0.1, 0.1)}
    work = restore(STACK, psf=chosen)
    expected = deconv.richardson_lucy(STACK.astype(np.float32), h, num_iter=4, background=2.0)
    np.testing.assert_allclose(work.run(), expected, rtol=1e-5)
    assert work.share == 1


def test_colours_and_methods_without_a_background():
    photograph = np.stack([PICTURE, PICTURE.T[:40, :40].repeat(2, 1)[:, :44], 1 - PICTURE], -1)
    result = restore(
        (255 * photograph).astype(np.uint8),
        rgb=True,
        method="wiener",
        psf={"source": "formula", "formula": "gaussian:1"},
    ).run()
    assert result.shape == photograph.shape
    assert result.dtype == np.uint8


def test_what_is_stopped_has_no_result():
    work = restore(PICTURE, psf={"source": "formula", "formula": "gaussian:1"})
    work.stop()
    assert work.run() is None
    assert work.share < 1


def test_psfs_of_files_and_beads(tmp_path):
    h = psf.gaussian(1.5, 11)
    np.save(tmp_path / "psf.npy", h.numpy())
    found = find_psf("file", PICTURE, file=tmp_path / "psf.npy")
    torch.testing.assert_close(found, h)
    beads = np.zeros((80, 80))
    for row, column in ((15, 20), (50, 18), (25, 60), (60, 60)):
        beads[row - 5 : row + 6, column - 5 : column + 6] += 1000 * h.numpy()
    distilled = find_psf("beads", PICTURE, beads=np.random.default_rng(2).poisson(beads).astype(np.float32))
    middle = [n // 2 for n in distilled.shape]
    assert float(distilled[middle[0], middle[1]]) == pytest.approx(float(h[5, 5]), rel=0.1)


@pytest.mark.parametrize(
    ("image", "chosen", "words"),
    [
        (PICTURE, {"source": "file"}, "psf: expected a file, given none"),
        (PICTURE, {"source": "beads"}, "psf: expected a layer with beads"),
        (PICTURE, {"source": "beads", "beads": STACK}, "psf: expected beads of 2 axes as the image has, given 3"),
        (PICTURE, {"source": "microscope", "voxel": (1, 1)}, "psf: a microscope's is for stacks"),
        (STACK, {"source": "formula", "formula": "gaussian:2"}, "psf: expected 3 axes as the image has, given 2"),
        (PICTURE, {"source": "guess"}, "psf: unknown 'guess', allowed are file, beads, microscope, formula"),
    ],
)
def test_what_does_not_fit_is_named(image, chosen, words):
    with pytest.raises(ValueError, match=words):
        restore(image, psf=chosen).run()


def test_a_method_for_pictures_refuses_a_stack():
    only = next(name for name in methods(2) if name not in methods(3))
    with pytest.raises(ValueError, match=f"method: {only} is for pictures"):
        restore(STACK, method=only, psf={"source": "microscope", "voxel": (0.3, 0.1, 0.1)}).run()


@pytest.mark.filterwarnings("ignore")  # of what napari imports
def test_the_manifest_is_valid_and_names_what_there_is():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(Path(restoration.__file__).with_name("napari.yaml"))
    assert manifest.name == "deconv-toolkit"
    assert [command.python_name for command in manifest.contributions.commands] == ["deconv.napari.widget:Deconvolve"]
    assert manifest.contributions.widgets[0].command == manifest.contributions.commands[0].id


@pytest.fixture
def viewer(monkeypatch):
    """A viewer without a window, which needs no OpenGL, with a stack."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    components = pytest.importorskip("napari.components")
    widgets = pytest.importorskip("qtpy.QtWidgets", exc_type=ImportError)  # qtpy may be there without a Qt
    application = widgets.QApplication.instance() or widgets.QApplication([])
    viewer = components.ViewerModel()
    viewer.add_image(STACK, name="cells", scale=(0.3, 0.1, 0.1), translate=(1, 2, 3), units="um")
    yield viewer
    application.processEvents()


def wait_for(widget) -> int:
    """Until it is done; how far its bar has come."""
    from qtpy.QtWidgets import QApplication

    until, furthest = time.monotonic() + 30, 0
    while not widget.start.enabled and time.monotonic() < until:
        QApplication.processEvents()
        furthest = max(furthest, widget.progress.value)
        time.sleep(0.01)
    assert widget.start.enabled
    return furthest


@pytest.mark.filterwarnings("ignore")  # of what napari imports
def test_the_widget_adds_a_layer_where_its_source_is(viewer):
    from deconv.napari.widget import Deconvolve

    assert (
        "napari_viewer" in inspect.signature(Deconvolve.__init__).parameters
    )  # by which napari knows where to put itself
    widget = Deconvolve(viewer)
    widget.native.show()
    widget.iterations.value = 60
    widget.start.native.click()
    assert widget.cancel.enabled
    assert widget.progress.visible
    assert wait_for(widget) > 10
    assert not widget.progress.visible
    source, restored = viewer.layers
    assert restored.name == "cells deconvolved"
    assert restored.data.shape == STACK.shape
    np.testing.assert_allclose(restored.extent.world, source.extent.world)
    assert restored.units == source.units


@pytest.mark.filterwarnings("ignore")  # of what napari imports
def test_the_widget_says_what_does_not_fit_and_adds_nothing(viewer):
    from napari.utils.notifications import notification_manager

    from deconv.napari.widget import Deconvolve

    widget = Deconvolve(viewer)
    widget.source.value = "formula"
    widget.start.native.click()
    wait_for(widget)
    assert len(viewer.layers) == 1
    assert "psf: expected 3 axes" in notification_manager.records[-1].message
