"""The widget *Deconvolve* of napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container, FileEdit, FloatSpinBox, LineEdit, ProgressBar, PushButton, SpinBox
from napari.layers import Image
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QTimer

from .restoration import PSF_SOURCES, Restoration, methods

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["Deconvolve"]

# Milliseconds between two looks at how far a restoration is.
_LOOK = 100

# Micrometres in the units of napari's layers.
_MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}


class Deconvolve(Container):
    """Restores an image layer into a new one of the same place, scale and units.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers are; napari gives it to an argument of this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._restoration: Restoration | None = None
        self.image = ComboBox(label="image", choices=self._images, nullable=True)
        self.source = ComboBox(label="psf", choices=PSF_SOURCES, value="microscope")
        self.file = FileEdit(label="file", nullable=True)
        self.beads = ComboBox(label="beads", choices=self._images, nullable=True)
        self.aperture = FloatSpinBox(label="aperture", value=1.4, min=0.05, max=1.7, step=0.05)
        self.wavelength = FloatSpinBox(label="wavelength, nm", value=520, min=100, max=2000, step=10)
        self.n_sample = FloatSpinBox(label="index of sample", value=1.33, min=1, max=1.7, step=0.01)
        self.formula = LineEdit(label="formula", value="gaussian:2")
        self.method = ComboBox(label="method", choices=methods(2), value="richardson_lucy")
        self.iterations = SpinBox(label="iterations", value=30, min=1, max=1000)
        self.background = FloatSpinBox(label="background", value=0, min=0, max=1e6, step=1)
        self.start = PushButton(text="Deconvolve")
        self.cancel = PushButton(text="Cancel", enabled=False)
        self.progress = ProgressBar(label="", min=0, max=100, value=0, visible=False)
        self.extend(
            [
                self.image,
                self.source,
                self.file,
                self.beads,
                self.aperture,
                self.wavelength,
                self.n_sample,
                self.formula,
                self.method,
                self.iterations,
                self.background,
                self.start,
                self.cancel,
                self.progress,
            ]
        )
        if self._images():
            self.image.value = self._images()[-1]
        for event in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            event.connect(lambda _: self.reset_choices())
        self.source.changed.connect(self._show_source)
        self.start.clicked.connect(self._start)
        self.cancel.clicked.connect(self._stop)
        self._timer = QTimer(self.native)
        self._timer.timeout.connect(self._look)
        self._show_source()

    def _images(self, _: object = None) -> list[Image]:
        """The layers to choose among."""
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def _show_source(self) -> None:
        """Only what the chosen psf asks for."""
        source = self.source.value
        for name, widgets in {
            "file": [self.file],
            "beads": [self.beads],
            "microscope": [self.aperture, self.wavelength, self.n_sample],
            "formula": [self.formula],
        }.items():
            for widget in widgets:
                widget.visible = name == source

    def _start(self) -> None:
        layer: Image | None = self.image.value
        if layer is None:
            show_error("image: there is no image layer to deconvolve")
            return
        beads = self.beads.value
        psf: dict[str, Any] = {
            "source": self.source.value,
            "file": self.file.value,
            "beads": None if beads is None else beads.data,
            "formula": self.formula.value,
            "aperture": self.aperture.value,
            "wavelength": self.wavelength.value / 1000,
            "n_sample": self.n_sample.value,
            "voxel": _voxel(layer),
        }
        options = {"num_iter": self.iterations.value, "background": self.background.value}
        restoration = Restoration(layer.data, rgb=layer.rgb, method=self.method.value, options=options, psf=psf)
        self._restoration = restoration
        self._running(True)

        def done(result: Any) -> None:
            self._running(False)
            if result is None:
                show_info(f"{layer.name}: cancelled")
            else:
                self._add(layer, result)

        def failed(error: Exception) -> None:
            self._running(False)
            show_error(str(error))

        create_worker(restoration.run, _connect={"returned": done, "errored": failed})

    def _add(self, layer: Image, restored: Any) -> None:
        """The result as a layer, where its source is."""
        same = {
            name: getattr(layer, name) for name in ("scale", "translate", "rotate", "shear", "units", "axis_labels")
        }
        self._viewer.add_image(
            restored,
            name=f"{layer.name} deconvolved",
            rgb=layer.rgb,
            affine=layer.affine,
            colormap=None if layer.rgb else layer.colormap,
            blending=layer.blending,
            **same,
        )

    def _stop(self) -> None:
        if self._restoration is not None:
            self._restoration.stop()

    def _look(self) -> None:
        if self._restoration is not None:
            self.progress.value = round(100 * self._restoration.share)

    def _running(self, running: bool) -> None:
        self.start.enabled, self.cancel.enabled, self.progress.visible = not running, running, running
        if running:
            self._timer.start(_LOOK)
        else:
            self._timer.stop()
            self.progress.value = 0
            self._restoration = None


def _voxel(layer: Image) -> tuple[float, ...]:
    """Sizes of the voxels in micrometres; pixels, which are no length, count as these."""
    units = [str(unit) for unit in layer.units]
    return tuple(float(size) * _MICROMETRES.get(unit, 1.0) for size, unit in zip(layer.scale, units, strict=True))
