#!/usr/bin/env bash
# Where a kernel of four taps has its centre depends on the library: scipy.signal, scipy.ndimage and astropy differ by a pixel
# in convolution, OpenCV and torch (and kornia) in correlation. Seen with scipy 1.17.1, opencv-python-headless 5.0.0.93,
# torch 2.13.0, kornia 0.9.0, astropy 8.0.2.
#
# A point in the middle of an image, filtered by a kernel that is 1 in its first tap: the place of the point afterwards tells
# which tap counts as the centre. Convolution: tap 1 (scipy.signal, mode "same") or 2 (scipy.ndimage, astropy's
# convolve_fft); astropy's convolve refuses even sizes. Correlation: tap 1 (torch padding="same", kornia) or 2 (OpenCV,
# scipy.ndimage, scipy.signal.correlate).
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 opencv-python-headless==5.0.0.93 astropy==8.0.2 torch==2.13.0 kornia==0.9.0 <<'PY'
import cv2
import kornia
import numpy as np
import torch
from astropy.convolution import convolve, convolve_fft
from scipy import ndimage, signal

point, kernel = np.zeros((11, 11), np.float32), np.zeros((4, 4), np.float32)
point[5, 5] = kernel[0, 0] = 1
image, taps = torch.from_numpy(point)[None, None], torch.from_numpy(kernel)[None]

convolved = {
    "scipy.signal.convolve, same": signal.convolve(point, kernel, mode="same"),
    "scipy.ndimage.convolve": ndimage.convolve(point, kernel),
    "astropy convolve_fft": convolve_fft(point, kernel),
}
correlated = {
    "torch conv2d, same": torch.nn.functional.conv2d(image, taps[None], padding="same")[0, 0].numpy(),
    "kornia filter2d": kornia.filters.filter2d(image, taps)[0, 0].numpy(),
    "cv2.filter2D": cv2.filter2D(point, -1, kernel),
    "scipy.ndimage.correlate": ndimage.correlate(point, kernel),
    "scipy.signal.correlate, same": signal.correlate(point, kernel, mode="same"),
}
# Convolution moves the point by (first tap - centre), correlation by (centre - first tap).
centres = {name: 5 - int(result.argmax()) // 11 for name, result in convolved.items()}
centres |= {name: int(result.argmax()) // 11 - 5 for name, result in correlated.items()}
for name, centre in centres.items():
    print(f"{name:30} tap {centre}")
assert list(centres.values()) == [1, 2, 2, 1, 1, 2, 2, 2]
try:
    convolve(point, kernel)
    raise SystemExit("astropy.convolution.convolve takes even kernels now")
except Exception as error:
    assert type(error).__name__ == "KernelSizeError", error
PY
