#!/usr/bin/env bash
# imagedegrade 0.2.3: np.blur_noise_jpeg returns the original as JPEG, neither blurred nor noisy.
#
# The three steps one after the other degrade it.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 pillow==12.3.0 imagedegrade==0.2.3 <<'PY'
import imagedegrade.np as degrade
import numpy as np
from scipy.ndimage import gaussian_filter

np.random.seed(0)
sharp = gaussian_filter(np.random.default_rng(0).random((96, 96, 3)), (1, 1, 0))
sharp = (sharp - sharp.min()) / np.ptp(sharp)


def error(image):
    return float(((image - sharp) ** 2).mean() ** 0.5)


together = degrade.blur_noise_jpeg(sharp, blur_sigma=5.0, noise_sigma=0.1, jpeg_quality=90)
coded = degrade.jpeg(sharp, 90)
steps = degrade.jpeg(degrade.noise(degrade.blur(sharp, 5.0), 0.1).clip(0, 1), 90)
print(f"error: all in one {error(together):.4f}, JPEG alone {error(coded):.4f}, step by step {error(steps):.4f}")
assert np.array_equal(together, coded) and error(coded) < 0.08 and error(steps) > 0.1
PY
