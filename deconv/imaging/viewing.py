"""Looking at results in a notebook: before, after, and the psf."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .arrays import as_image_batch, as_psf

__all__ = ["as_png_address", "psf_close_up", "view"]

# What is dark in a psf whose greatest value is 1, and how many dark pixels are shown around the rest.
_DARK, _AROUND = 0.02, 2

# Where values lie beyond 0 and 1, these quantiles of the blurred image are shown as black and white.
_BLACK, _WHITE = 0.001, 0.999

# Inches of a picture's width in a figure, and of the psf's.
_WIDTH, _PSF_WIDTH = 4.5, 1.5

_MISSING = 'slider: needs ipywidgets; install the extra: pip install "deconv-toolkit[notebooks]"'


def view(
    image: Any,
    restored: Any,
    psf: Any = None,
    *,
    slider: bool | None = None,
    channel_axis: int | None = None,
) -> Any:
    """Show an image before and after its restoration, and the psf.

    Values from 0 to 1 are shown from black to white. Where the image has others, its quantiles of 0.1 % and 99.9 % are
    black and white, of both pictures.

    Parameters
    ----------
    image : array or Tensor
        The blurred image, grey or colour, see `deconv.imaging.arrays`.
    restored : array or Tensor
        The same restored, of the same size.
    psf : array or Tensor, optional
        `(kh, kw)`.
    slider : bool, optional
        Both in one place, before on the left of a slider and after on its right, a pixel of the image as one of the
        page; needs a notebook with ipywidgets. Otherwise side by side, by matplotlib. By default a slider where there
        can be one.
    channel_axis : int, optional
        Which axis counts the channels; by default as `deconv.imaging.arrays` lists.

    Returns
    -------
    ipywidgets.Box or matplotlib.figure.Figure
        What a notebook shows.

    Raises
    ------
    ValueError
        More than one image, other channels than one or three, two sizes.
    ImportError
        A slider was asked for, and ipywidgets is not installed.
    """
    before = _one(image, "image", channel_axis)
    after = _one(restored, "restored", channel_axis)
    if before.shape != after.shape:
        sizes = [" x ".join(map(str, each.shape)) for each in (before, after)]
        raise ValueError(f"restored: expected {sizes[0]}, like the image, given {sizes[1]}")
    black, white = _range(before)
    pixels = _as_pixels(before, black, white), _as_pixels(after, black, white)
    close_up = None if psf is None else psf_close_up(as_psf(psf))
    if slider or (slider is None and _in_notebook()):
        return _with_slider(*pixels, close_up)
    return _side_by_side(*pixels, close_up)


def psf_close_up(psf: Tensor) -> np.ndarray:
    """A psf without most of the dark around it, its centre in the centre, its greatest value white.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)`, something of it positive.

    Returns
    -------
    ndarray
        uint8, of odd sizes.
    """
    values = (psf.detach() / psf.detach().max()).clamp(0, 1).cpu()
    middle = [(n - 1) // 2 for n in values.shape]
    places = (values > _DARK).nonzero() - torch.tensor(middle)
    reach = int(places.abs().max()) + _AROUND
    rows, columns = (slice(max(0, m - reach), m + reach + 1) for m in middle)
    return (255 * values[rows, columns]).round().byte().numpy()


def as_png_address(pixels: np.ndarray) -> str:
    """A picture of uint8 as the address of an image that HTML holds itself."""
    return f"data:image/png;base64,{base64.b64encode(_as_png(pixels)).decode()}"


def _one(image: Any, name: str, channel_axis: int | None) -> Tensor:
    """One image as `(C, H, W)`."""
    batch, _ = as_image_batch(image, name=name, channel_axis=channel_axis)
    if batch.shape[0] != 1 or batch.shape[1] not in (1, 3):
        raise ValueError(f"{name}: expected one grey or colour image, given the shape {tuple(image.shape)}")
    return batch[0].detach().cpu()


def _range(image: Tensor) -> tuple[float, float]:
    """What is shown as black and as white."""
    if float(image.min()) >= 0 and float(image.max()) <= 1:
        return 0.0, 1.0
    black, white = np.quantile(image.numpy(), (_BLACK, _WHITE))
    return float(black), float(white if white > black else black + 1)


def _as_pixels(image: Tensor, black: float, white: float) -> np.ndarray:
    """uint8, `H x W` or `H x W x 3`."""
    values = ((image - black) / (white - black)).clamp(0, 1)
    pixels = (255 * values).round().byte().movedim(0, -1).numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _as_png(pixels: np.ndarray) -> bytes:
    from .codecs.png import encode
    from .picture import Picture

    return encode(Picture(np.ascontiguousarray(pixels)))


def _in_notebook() -> bool:
    """Whether widgets can be shown: there is ipywidgets, and a kernel that talks to a page."""
    try:
        import ipywidgets  # noqa: F401
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _side_by_side(before: np.ndarray, after: np.ndarray, psf: np.ndarray | None) -> Any:
    from matplotlib.figure import Figure

    pictures = {"before": before, "after": after} | ({} if psf is None else {"psf": psf})
    widths = [_WIDTH, _WIDTH, _PSF_WIDTH][: len(pictures)]
    height = max(_PSF_WIDTH, _WIDTH * before.shape[0] / before.shape[1])
    figure = Figure(figsize=(sum(widths), height + 0.3), layout="constrained")
    axes = figure.subplots(1, len(pictures), width_ratios=widths)
    for axis, (title, pixels) in zip(axes, pictures.items(), strict=True):
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if title == "psf" else "antialiased")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    return figure


def _with_slider(before: np.ndarray, after: np.ndarray, psf: np.ndarray | None) -> Any:
    try:
        import ipywidgets
    except ImportError:
        raise ImportError(_MISSING) from None

    width = before.shape[1]
    picture = ipywidgets.Image(format="png", layout={"width": f"{width}px", "max_width": "none"})
    bar = ipywidgets.IntSlider(width // 2, 0, width, readout=False, layout={"width": f"{max(width, 200)}px"})

    def show(_: Any = None) -> None:
        both = after.copy()
        both[:, : bar.value] = before[:, : bar.value]
        picture.value = _as_png(both)

    bar.observe(show, "value")
    show()
    column = ipywidgets.VBox([ipywidgets.HTML("before, and on the right of the slider after"), picture, bar])
    if psf is None:
        return column
    side = ipywidgets.HTML(
        f'psf<br><img alt="psf" width="120" style="image-rendering:pixelated" src="{as_png_address(psf)}">'
    )
    return ipywidgets.HBox([column, side])
