"""What the widget does with the values of a layer: find the psf, and restore in a thread that can be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ..choices import check_choice
from ..imaging import psf
from ..progress import heard_by
from ..restore.methods import METHODS, as_method

__all__ = ["PSF_SOURCES", "Restoration", "find_psf", "methods"]

PsfSource = Literal["file", "beads", "microscope", "formula"]
PSF_SOURCES: tuple[PsfSource, ...] = ("file", "beads", "microscope", "formula")

# Windows of psfs that are computed or distilled, slices by rows by columns.
_WINDOW = (15, 31, 31)


def methods(space: int) -> list[str]:
    """The methods for images of so many spatial axes."""
    return [name for name, method in METHODS.items() if space == 2 or method.volumes]


def find_psf(
    source: PsfSource,
    image: np.ndarray,
    *,
    file: Path | None = None,
    beads: np.ndarray | None = None,
    formula: str = "",
    aperture: float = 1.4,
    wavelength: float = 0.52,
    n_sample: float = 1.33,
    voxel: Sequence[float] = (),
) -> Tensor:
    """The psf that a person chose.

    Parameters
    ----------
    source : {"file", "beads", "microscope", "formula"}
        Which of the following counts.
    image : ndarray
        Without channels; the psf has as many axes, and is no larger.
    file : path, optional
        Of a psf.
    beads : ndarray, optional
        A stack or a picture of beads.
    formula : str
        Such as ``gaussian:2``, for pictures.
    aperture, wavelength, n_sample : float
        Of a widefield microscope; the wavelength in micrometres.
    voxel : sequence of float
        Size of the image's voxels in micrometres, along its axes.

    Returns
    -------
    Tensor
        Of sum 1.

    Raises
    ------
    ValueError
        Naming what is missing, or does not fit the image.
    """
    check_choice("psf", source, PSF_SOURCES)
    window = tuple(min(n, m - 1 + m % 2) for n, m in zip(_WINDOW[-image.ndim :], image.shape, strict=False))
    if source == "file":
        if file is None or not file.is_file():
            raise ValueError(f"psf: expected a file, given {'none' if file is None else file}")
        found, _ = psf.from_file(file)
    elif source == "beads":
        if beads is None:
            raise ValueError("psf: expected a layer with beads, given none")
        if beads.ndim != image.ndim:
            raise ValueError(f"psf: expected beads of {image.ndim} axes as the image has, given {beads.ndim}")
        found, _ = psf.from_beads(beads, window)
    elif source == "microscope":
        if image.ndim != 3 or len(voxel) != 3 or voxel[1] != voxel[2]:
            raise ValueError(
                "psf: a microscope's is for stacks of square pixels whose scale is told in micrometres, given "
                f"{image.ndim} axes of {' x '.join(f'{size:g}' for size in voxel)}"
            )
        found = psf.vectorial(
            (window[0], window[1], window[2]),
            wavelength=wavelength,
            aperture=aperture,
            pixel=voxel[2],
            step=voxel[0],
            n_sample=n_sample,
        )
    else:
        found = psf.parse(formula)
    if found.ndim != image.ndim:
        raise ValueError(f"psf: expected {image.ndim} axes as the image has, given {found.ndim}")
    return found


class Restoration:
    """A restoration that runs in a thread, tells how far it is, and can be stopped.

    Parameters
    ----------
    image : ndarray
        Of a layer; colours last.
    rgb : bool
        Whether its last axis counts colours.
    method : str
        Of `deconv.restore.METHODS`.
    options : mapping
        Keywords of the method beside image and psf.
    psf : mapping
        What `find_psf` takes beside the image.

    Attributes
    ----------
    share : float
        How much is done, 0 to 1.
    """

    def __init__(self, image: Any, *, rgb: bool, method: str, options: dict[str, Any], psf: dict[str, Any]) -> None:
        self._image, self._rgb, self._options, self._psf = image, rgb, options, psf
        self._name, self._method = method, as_method(method)
        self._stopped = Event()
        self.share = 0.0

    def stop(self) -> None:
        """Have it end after the iteration that is in work, without a result."""
        self._stopped.set()

    def run(self) -> np.ndarray | None:
        """The restored image, in the unit of the layer; None where it was stopped.

        Integers become 32-bit floats, as restored points are brighter than measured ones; colours stay what they are.
        """
        image = np.asarray(self._image)
        image = image if image.dtype.kind == "f" or self._rgb else image.astype(np.float32)
        h = find_psf(image=image[..., 0] if self._rgb else image, **self._psf)
        if image.ndim - self._rgb == 3 and not self._method.volumes:
            raise ValueError(f"method: {self._name} is for pictures, and this is a stack")
        taken = {name: value for name, value in self._options.items() if name in self._method.keywords}
        with heard_by(self._tell):
            restored = self._method(
                image,
                h,
                channel_axis=-1 if self._rgb else None,
                callback=lambda *_: self._stopped.is_set(),
                progress=False,
                **taken,
            )
        return None if self._stopped.is_set() else restored

    def _tell(self, _: str, share: float) -> None:
        self.share = share
