#!/usr/bin/env bash
# dask 2026.8.0: "reflect" repeats the edge pixel in `overlap` and `map_overlap`, and does not in `pad`.
#
# The same word stands for two continuations of an image beyond its frame, 3 2 | 1 2 3 and 2 1 | 1 2 3. NumPy, torch and
# dask's `pad` mean the first, scipy.ndimage, OpenCV's BORDER_REFLECT and dask's overlaps the second: blocks that are
# filtered with dask's overlaps are not those of the array padded by dask.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 "dask[array]==2026.8.0" scipy==1.17.1 opencv-python-headless==5.0.0.93 torch==2.13.0 <<'PY'
import cv2
import dask.array as da
import numpy as np
import torch
from scipy import ndimage

row = np.arange(1.0, 7.0)
chunks = da.from_array(row, chunks=6)


def by_ndimage(mode: str) -> np.ndarray:
    """Two pixels on each side: what a filter of one tap, shifted by two, takes from there."""
    taps = np.array([1.0, 0, 0, 0, 0])
    before, after = (ndimage.correlate1d(row, each, mode=mode) for each in (taps, taps[::-1]))
    return np.concatenate([before[:2], row, after[-2:]])


def by_opencv(mode: int) -> np.ndarray:
    return cv2.copyMakeBorder(row[None], 0, 0, 2, 2, mode)[0]


once, twice = np.pad(row, 2, mode="reflect"), np.pad(row, 2, mode="symmetric")
expected = {
    "numpy.pad, reflect": (once, once),
    "torch.nn.functional.pad, reflect": (
        torch.nn.functional.pad(torch.from_numpy(row)[None], (2, 2), mode="reflect")[0].numpy(), once
    ),
    "dask.array.pad, reflect": (da.pad(chunks, 2, mode="reflect").compute(), once),
    "scipy.ndimage, mirror": (by_ndimage("mirror"), once),
    "OpenCV, BORDER_REFLECT_101": (by_opencv(cv2.BORDER_REFLECT_101), once),
    "dask.array.overlap.overlap, reflect": (da.overlap.overlap(chunks, depth=2, boundary="reflect").compute(), twice),
    "scipy.ndimage, reflect": (by_ndimage("reflect"), twice),
    "OpenCV, BORDER_REFLECT": (by_opencv(cv2.BORDER_REFLECT), twice),
}
for name, (seen, means) in expected.items():
    print(f"{name:36} {seen[:4].astype(int)} ...")
    assert np.array_equal(seen, means), name
PY
