#!/usr/bin/env bash
# Which floats in a TIFF are read by whom: float16 by tifffile alone, float64 by tifffile and OpenCV, float32 by all.
# Seen with tifffile 2026.3.3, opencv-python-headless 5.0.0.93, Pillow 13.0.0.
#
# All three depths are valid TIFF (SampleFormat 3). Pillow calls float16 and float64 no image at all ("cannot identify image
# file"); OpenCV returns None for float16, with a message on standard error and no exception, so that the next line of the
# caller fails, and not this one.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 tifffile==2026.3.3 Pillow==13.0.0 opencv-python-headless==5.0.0.93 <<'PY'
import cv2
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError


def by_pillow(path):
    try:
        return np.asarray(Image.open(path))
    except UnidentifiedImageError:
        return None


readers = {"tifffile": tifffile.imread, "OpenCV": lambda path: cv2.imread(path, -1), "Pillow": by_pillow}
able = {}
for dtype in ("float16", "float32", "float64"):
    tifffile.imwrite("page.tif", np.full((4, 4), 0.5, dtype))
    able[dtype] = [name for name, read in readers.items() if (page := read("page.tif")) is not None and page[0, 0] == 0.5]
    print(dtype, "is read by", ", ".join(able[dtype]))
assert able == {
    "float16": ["tifffile"],
    "float32": ["tifffile", "OpenCV", "Pillow"],
    "float64": ["tifffile", "OpenCV"],
}
PY
