#!/usr/bin/env bash
# OpenCV 5.0.0 (opencv-python-headless 5.0.0.93) takes NumPy arrays of the other byte order for its own, without a word.
#
# FITS files are big-endian, and astropy hands their pixels out as they are (dtype >f4, >u2). NumPy, SciPy and
# scikit-image compute with them; torch refuses them by name. OpenCV reads the bytes the wrong way round: a Gaussian blur
# of a frame of values in [0, 1] gives values of any size, and a PNG that is written of such a frame holds other numbers.
# The remedy is `array.astype(array.dtype.newbyteorder("="))`.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 astropy==8.0.2 opencv-python-headless==5.0.0.93 <<'PY'
import cv2
import numpy as np
from astropy.io import fits

frame = np.random.default_rng(0).random((32, 32)).astype(np.float32)
fits.writeto("frame.fits", frame)
read = fits.getdata("frame.fits")
assert read.dtype == ">f4" and (read == frame).all()

native, swapped = (cv2.GaussianBlur(array, (0, 0), 2.0) for array in (frame, np.asarray(read)))
print("float32: range of the blurred frame", native.min(), native.max(), "as FITS gives it", swapped.min(), swapped.max())
assert 0 <= native.min() and native.max() <= 1
assert swapped.dtype == np.float32 and not np.allclose(swapped, native)

counts = (60000 * frame).astype(">u2")
_, encoded = cv2.imencode(".png", counts)
back = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
print("uint16: first pixel", counts[0, 0], "in the PNG", back[0, 0])
assert (back.byteswap() == counts).all() and not (back == counts).all()
PY
