r"""What the coder of a JPEG has changed, seen from the file.

JPEG cuts each plane, the luminance Y and the colour differences Cb and Cr, into blocks of 8 x 8 and rounds each of
their cosine coefficients to a multiple of a step :math:`s` that the file states. Where blocks have nothing left of a
coefficient that is not zero, it was small in the picture, too; otherwise it is taken for Laplacian with the scale

.. math:: b = \frac{-s}{2 \ln p}

that makes a share :math:`p` of the blocks keep it. With :math:`t = s / 2b`, rounding then errs by the mean square

.. math:: \frac{s^2}{4} \left( \frac{2 - p (t^2 + 2 t + 2)}{t^2} + p \Big( 1 + \frac{2}{t^2} - \frac{2}{t \tanh t}
    \Big) \right),

what becomes zero first, then what is kept.

References
----------
Reininger and Gibson, "Distributions of the two-dimensional DCT coefficients for images", IEEE Transactions on
Communications 31, 1983.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

__all__ = ["coding_error", "coding_quality", "plane_error"]

# No more blocks than these are looked at, evenly spread: their coefficients tell the shares p to a percent.
_BLOCKS = 1 << 14

# A coefficient that a smaller share of the blocks keeps belongs to a few places: elsewhere there was nothing of it.
_KEPT = 1 / 256

# Least ratio of half a step to the scale b: nearly uniform, and still no difference of nearly equal numbers.
_ALL_KEPT = 1e-3

# Variance, in grey levels, of rounding to bytes before the coder and after it.
_ROUNDING = 0.5

# ITU-R BT.601, as the file format has it: a row for each of R, G, B, a column for each of Y, Cb, Cr.
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])

# Mean step of the example table for luminance of the standard (ITU-T T.81, table K.1), which quality 50 stands for.
_QUALITY_50 = 57.6


def coding_error(image: JpegImageFile) -> tuple[float, ...]:
    """Root mean square difference between the picture that was coded and what is decoded, as a fraction of full scale.

    Parameters
    ----------
    image : JpegImageFile
        As it was opened by Pillow and decoded, in the orientation of the file.

    Returns
    -------
    tuple of float
        Of grey; or of red, green and blue; or one for all colours of a picture in inks.
    """
    pixels = np.asarray(image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    luminance = len(image.layer) == 3 and image.info.get("adobe_transform", 1) != 0
    to_samples = _TO_RGB if luminance else np.eye(pixels.shape[2])
    finest = max(across for _, across, _, _ in image.layer), max(down for _, _, down, _ in image.layer)
    variances = []
    for (_, across, down, table), weights in zip(image.layer, np.linalg.inv(to_samples), strict=True):
        coefficients = _coefficients(pixels, weights, (finest[1] // down, finest[0] // across))
        variances.append(plane_error(coefficients, np.asarray(image.quantization[table], float)))
    mixed = to_samples**2 @ variances + _ROUNDING
    mixed = mixed if len(mixed) in (1, 3) else mixed.mean(keepdims=True)
    return tuple(float(each) for each in np.sqrt(mixed) / 255)


def coding_quality(image: JpegImageFile) -> int:
    """The quality, 1 to 100, of the usual tables whose luminance has the same mean step as that of the file."""
    scale = 100 * float(np.mean(image.quantization[0])) / _QUALITY_50
    return round(min(max((200 - scale) / 2 if scale <= 100 else 5000 / scale, 1), 100))


def _coefficients(pixels: np.ndarray, weights: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    """Cosine coefficients, `(blocks, 64)`, of one plane of a decoded picture, `H x W x samples`, which has a value for
    so many rows and columns of it."""
    high, wide = 8 * factor[0], 8 * factor[1]
    # Blocks that reach over the border are left out, but for a picture that has no others.
    missing = max(0, high - pixels.shape[0]), max(0, wide - pixels.shape[1])
    if any(missing):
        pixels = np.pad(pixels, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")
    rows, columns = pixels.shape[0] // high, pixels.shape[1] // wide
    blocks = pixels[: rows * high, : columns * wide].reshape(rows, high, columns, wide, -1).swapaxes(1, 2)
    chosen = np.linspace(0, rows * columns - 1, min(rows * columns, _BLOCKS)).astype(int)
    plane = blocks[chosen // columns, chosen % columns] @ weights
    plane = plane.reshape(-1, 8, factor[0], 8, factor[1]).mean((2, 4))
    return np.asarray(dctn(plane, axes=(1, 2), norm="ortho")).reshape(-1, 64)


def plane_error(coefficients: np.ndarray, steps: np.ndarray) -> float:
    """Mean squared error of a plane that rounding to multiples of the steps, 64 in order of rows, has left."""
    kept = (np.abs(coefficients) > steps / 2).mean(0)
    kept[0] = 1.0  # the mean of a block is not centred on zero
    seen = kept > _KEPT
    limits = steps[seen] / 2
    ratio = np.maximum(-np.log(kept[seen]), _ALL_KEPT)  # of the limit to the scale b
    share = np.exp(-ratio)
    lost = (2 - share * (ratio**2 + 2 * ratio + 2)) / ratio**2
    moved = share * (1 + 2 / ratio**2 - 2 / (ratio * np.tanh(ratio)))
    return float((limits**2 * (lost + moved)).sum() / 64)
