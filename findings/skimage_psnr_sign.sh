#!/usr/bin/env bash
# scikit-image 0.26.0: one negative pixel in the reference, be it -1e-12, raises the PSNR of floats by 6.02 dB.
#
# `peak_signal_noise_ratio(image_true, image_test)` of floats takes 1 for the range of the data where `image_true` has no
# value below zero, and 2 where it has one. References that were restored, resampled or filtered often dip below zero by
# rounding. It is the reference alone that counts: exchanging the two images changes the result. With `data_range=1` both
# agree.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 <<'PY'
import numpy as np
from skimage.metrics import peak_signal_noise_ratio as psnr

rng = np.random.default_rng(0)
reference = rng.uniform(0, 1, (64, 64))
reference[0, 0] = 0
noisy = reference + 0.05 * rng.standard_normal(reference.shape)
rounded = reference.copy()
rounded[0, 0] = -1e-12

plain, dipped = psnr(reference, noisy), psnr(rounded, noisy)
print(f"PSNR {plain:.2f} dB; with one pixel of the reference at -1e-12: {dipped:.2f} dB")
print(f"with data_range=1: {psnr(reference, noisy, data_range=1):.2f} and {psnr(rounded, noisy, data_range=1):.2f} dB")
assert 6.0 < dipped - plain < 6.05
assert abs(psnr(reference, noisy, data_range=1) - psnr(rounded, noisy, data_range=1)) < 0.01
PY
