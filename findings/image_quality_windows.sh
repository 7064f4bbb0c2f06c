#!/usr/bin/env bash
# Sums over a window and means over it are mixed up in two measures of image quality. sewar 0.4.10: the universal quality
# index (Wang & Bovik, 2002) of images that have nothing in common but their mean is .99 in place of 0. torchmetrics 1.9.0:
# the relative average spectral error is too large by the number of pixels in the window, 64 times by default.
# The index of torchmetrics and the error of sewar are right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 sewar==0.4.10 torch==2.13.0 torchmetrics==1.9.0 <<'PY'
import numpy as np
import sewar
import torch
import torchmetrics.functional.image as measures
from numpy.lib.stride_tricks import sliding_window_view


def universal_quality_index(x, y, window=8):
    x, y = (sliding_window_view(each, (window, window)).reshape(-1, window**2) for each in (x, y))
    mean_x, mean_y = x.mean(1), y.mean(1)
    covariance = (x * y).mean(1) - mean_x * mean_y
    return np.mean(4 * covariance * mean_x * mean_y / ((x.var(1) + y.var(1)) * (mean_x**2 + mean_y**2)))


def torch_image(image):
    return torch.from_numpy(image).reshape(*image.shape[:2], -1).permute(2, 0, 1)[None]


rng = np.random.default_rng(0)
x, y = 100 + 10 * rng.standard_normal((2, 64, 64))
defined = universal_quality_index(x, y)
found = sewar.uqi(x, y), float(measures.universal_image_quality_index(torch_image(y), torch_image(x)))
print(f"universal quality index of independent noise: {defined:.3f}; sewar {found[0]:.3f}, torchmetrics {found[1]:.3f}")
assert abs(defined) < 0.02 and found[0] > 0.98 and abs(found[1]) < 0.02

x = 100 + 10 * rng.standard_normal((64, 64, 4))
y = x + 5 * rng.standard_normal(x.shape)
defined = 100 * np.sqrt(np.mean((x - y) ** 2)) / x.mean()
for window in (4, 8, 16):
    pair = torch_image(y), torch_image(x)
    found = sewar.rase(x, y, ws=window), float(measures.relative_average_spectral_error(*pair, window_size=window))
    print(f"relative average spectral error {defined:.2f} %, window {window}: sewar {found[0]:.2f}, torchmetrics {found[1]:.2f}")
    assert np.isclose(found[0], defined, rtol=0.02) and np.isclose(found[1], window**2 * defined, rtol=0.02)
PY
