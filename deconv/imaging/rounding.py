r"""How coarse the levels of a picture are: what rounding to few of them has done to its values.

Pages that a scanner stores in 1, 2 or 4 bits, and drawings of few greys, have no noise left in flat places; between the
levels they are wrong by much more than that. A level stands for all values from halfway to the one below up to halfway
to the one above, and if these are equally likely, the mean squared error is

.. math:: e^2 = \frac{1}{12} \sum_i p_i w_i^2

with p the share of the pixels at a level, and w the width of what it stands for, at most the median distance between
levels: one far from all others, as of hot pixels in a dark picture, tells nothing of how the others were rounded.
"""

from __future__ import annotations

import numpy as np

__all__ = ["rounding_error"]

# With so many levels or more, noise is seen beside them: at 6 bits it is as strong as the rounding.
_FINE = 64

# So many pixels show at once that there are more.
_SAMPLE = 2**16


def rounding_error(values: np.ndarray) -> tuple[int, float]:
    """The number of levels of an image, and the root mean square error that they leave.

    Parameters
    ----------
    values : ndarray
        Of one channel, uint8 or uint16.

    Returns
    -------
    count : int
        0 where there are too many to matter, or only one.
    error : float
        As a fraction of full scale.

    Examples
    --------
    >>> import numpy as np
    >>> rounding_error(np.array([[0, 255], [255, 0]], np.uint8))
    (2, 0.28867513459481287)
    """
    sample = values.reshape(-1)[:: max(1, values.size // _SAMPLE)]
    if len(np.unique(sample)) >= _FINE:
        return 0, 0.0
    full = np.iinfo(values.dtype).max
    counts = np.bincount(values.ravel(), minlength=full + 1)
    (levels,) = counts.nonzero()
    if not 2 <= len(levels) < _FINE:
        return 0, 0.0
    gaps = np.diff(levels)
    widths = (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2
    widths = np.minimum(widths, np.median(gaps))
    return len(levels), float(np.sqrt(np.average(widths**2, weights=counts[levels]) / 12)) / full
