#!/usr/bin/env bash
# OpenCV 5.0.0: Gaussian kernels of 3, 5, 7 and 9 taps without a sigma are not those of the sigma that is documented.
#
# `getGaussianKernel(k, 0)` is said to take sigma = 0.3 * ((k - 1) * 0.5 - 1) + 0.8. Up to nine taps it returns a table
# instead, for five taps (1, 4, 6, 4, 1) / 16, off the Gaussian of that sigma by a hundredth of the sum. So does
# `GaussianBlur(image, (k, k), 0)`. Whoever deblurs with the documented Gaussian has another psf than the blur.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 opencv-python-headless==5.0.0.93 <<'PY'
import cv2
import numpy as np

off = {}
for taps in (3, 5, 7, 9, 11):
    sigma = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8
    without = cv2.getGaussianKernel(taps, 0, cv2.CV_64F).ravel()
    documented = cv2.getGaussianKernel(taps, sigma, cv2.CV_64F).ravel()
    off[taps] = float(np.abs(without - documented).max())
    print(f"{taps:2} taps, sigma documented {sigma:.1f}: off by at most {off[taps]:.4f}")
assert np.array_equal(16 * cv2.getGaussianKernel(5, 0, cv2.CV_64F).ravel(), [1, 4, 6, 4, 1])
assert min(off[taps] for taps in (3, 5, 7, 9)) > 1e-3
assert off[11] < 1e-12
point = np.zeros((11, 11), np.float64)
point[5, 5] = 1
assert np.allclose(256 * cv2.GaussianBlur(point, (5, 5), 0)[5, 3:8], np.array([1, 4, 6, 4, 1]) * 6)
PY
