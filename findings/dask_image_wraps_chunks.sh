#!/usr/bin/env bash
# dask-image 2026.5.0: mode="wrap" continues each border chunk with itself, not with the other end of the image, in every filter
# of ndfilters but convolve and correlate. It is silent, and right only for an array of one chunk.
#
# convolve and correlate ask dask for periodic neighbours; the others leave the mode to SciPy, which sees one chunk (with its
# inner neighbours) at a time. reflect, mirror, nearest and constant need no other chunk, and are right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 "dask[array]==2026.8.0" dask-image==2026.5.0 <<'PY'
import dask.array as da
import numpy as np
import scipy.ndimage
from dask_image import ndfilters

image = np.random.default_rng(0).random((40, 40))
FILTERS = {
    "convolve": {"weights": np.arange(9.0).reshape(3, 3)},
    "correlate": {"weights": np.arange(9.0).reshape(3, 3)},
    "gaussian_filter": {"sigma": 2},
    "gaussian_laplace": {"sigma": 2},
    "gaussian_gradient_magnitude": {"sigma": 2},
    "laplace": {},
    "sobel": {},
    "prewitt": {},
    "uniform_filter": {"size": 5},
    "median_filter": {"size": 5},
}


def error(name, mode, chunk):
    """Largest difference to SciPy, over the image and three pixels and more from where the filter reaches the border."""
    chunked = getattr(ndfilters, name)(da.from_array(image, chunks=chunk), mode=mode, **FILTERS[name]).compute()
    difference = abs(chunked - getattr(scipy.ndimage, name)(image, mode=mode, **FILTERS[name]))
    return difference.max(), difference[9:-9, 9:-9].max()


for name in FILTERS:
    others = max(error(name, mode, 10)[0] for mode in ("reflect", "mirror", "nearest", "constant"))
    one, (many, inside) = error(name, "wrap", 40)[0], error(name, "wrap", 10)
    print(f"{name:28} wrap: one chunk {one:.0e}, 4 x 4 chunks {many:.0e} (inside {inside:.0e}); other modes {others:.0e}")
    assert max(others, one, inside) < 1e-12
    assert (many < 1e-12) == (name in ("convolve", "correlate"))
PY
