#!/usr/bin/env bash
# TIFF with photometric interpretation 0 (zero is white): Pillow 13.0.0 and OpenCV 5.0.0 turn it round in files of 8 bits,
# and hand out 16 bits as they are stored, a negative. tifffile 2026.3.3 and imageio 2.38.1 never turn it round.
#
# Scanners and some microscopes write such files. A program that was tried on the 8-bit files of an instrument inverts the
# contrast of its 16-bit ones, or, with tifffile, of all. The tag has to be asked for (PhotometricInterpretation, 262).
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 tifffile==2026.3.3 imageio==2.38.1 Pillow==13.0.0 opencv-python-headless==5.0.0.93 <<'PY'
import cv2
import imageio.v3 as imageio
import numpy as np
import tifffile
from PIL import Image

seen = {}
for dtype, value in (("uint8", 100), ("uint16", 1000)):
    tifffile.imwrite("page.tif", np.full((4, 4), value, dtype), photometric="miniswhite")
    seen[dtype] = {
        "tifffile": int(tifffile.imread("page.tif")[0, 0]),
        "imageio": int(imageio.imread("page.tif")[0, 0]),
        "Pillow": int(np.asarray(Image.open("page.tif"))[0, 0]),
        "OpenCV": int(cv2.imread("page.tif", cv2.IMREAD_UNCHANGED)[0, 0]),
    }
    print(dtype, "stored", value, "read", seen[dtype])
assert seen["uint8"] == {"tifffile": 100, "imageio": 100, "Pillow": 155, "OpenCV": 155}
assert set(seen["uint16"].values()) == {1000}
PY
