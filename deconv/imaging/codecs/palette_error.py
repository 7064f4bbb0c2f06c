"""How far the pixels of a picture with a palette are from what they were: nearest colours and dithering leave an error
as JPEG does, which at the highest frequencies shows the less the fewer colours there are."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["palette_error"]

# A colour stands for those up to halfway to the next one. Root mean square distance of the colours of pixels from the
# next colour of the palette, over the error of a channel, in blurred photographs: 2.3 by median cut, 2.5 by octrees,
# dithered 1.6 and 2.4. But the error is no white noise: photographs are restored best if it counts as more.
_DISTANCE_PER_ERROR = 1.4


def palette_error(image: Image.Image) -> tuple[float, ...]:
    """Root mean square error of a channel of an image in mode ``"P"``, as a fraction of full scale, as one number; none
    where the palette is as fine as 8 bits are."""
    counts = np.array(image.histogram()[:256], float)
    palette = np.zeros((256, 3))
    listed = np.array(image.getpalette("RGB") or [], float).reshape(-1, 3)[:256]
    palette[: len(listed)] = listed
    colours, place = np.unique(palette[counts > 0], axis=0, return_inverse=True)
    shares = np.bincount(place.ravel(), counts[counts > 0]) / counts.sum()
    if len(colours) < 2:
        return ()
    distances = ((colours[:, None] - colours) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    # Of greys that are next to each other, each channel is one level apart, which is the grid of all 8-bit files.
    beyond = (distances.min(1) - 3).clip(min=0)
    error = float(np.sqrt(shares @ beyond)) / _DISTANCE_PER_ERROR / 255
    return (error,) if error > 0 else ()
