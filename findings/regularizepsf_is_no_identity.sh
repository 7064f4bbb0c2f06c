#!/usr/bin/env bash
# regularizepsf 1.2.1: an image transformed from a psf to the same psf does not come back. With the default covering its
# brightness follows the grid of the patches, from a quarter to one; with twice as many patches it is 2.25 times as bright
# everywhere; and what is negative becomes positive, as half the sky of a frame whose background was subtracted.
#
# The window of a patch is laid on before and after the transform, so patches that overlap by half sum to a ripple (the scalar
# normalization_coefficient cannot mend it; sample_rate=4 does, up to a scalar), and each patch's modulus is taken.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 regularizepsf==1.2.1 <<'PY'
import numpy as np
from regularizepsf import ArrayPSF, ArrayPSFTransform
from regularizepsf.util import IndexedCube, calculate_covering

SIDE = 32
inner = slice(SIDE, -SIDE), slice(SIDE, -SIDE)
y, x = np.mgrid[:SIDE, :SIDE] - SIDE // 2
narrow = np.exp(-(x**2 + y**2) / (2 * 0.4**2))
narrow /= narrow.sum()


def identity(image, sample_rate):
    corners = [tuple(map(int, corner)) for corner in calculate_covering(image.shape, SIDE, sample_rate)]
    psfs = ArrayPSF(IndexedCube(corners, np.stack([narrow] * len(corners))))
    return ArrayPSFTransform.construct(psfs, psfs, alpha=1.0, epsilon=1e-6).apply(image)


ones = np.ones((128, 128))
ripple, flat = identity(ones, 2)[inner], identity(ones, 4)[inner]
print(f"an image of ones: {ripple.min():.2f} to {ripple.max():.2f} by default, {flat.min():.2f} to {flat.max():.2f} with sample_rate=4")
assert ripple.min() < 0.3 < 0.95 < ripple.max()
assert np.allclose(flat, 2.25)

sky = np.random.default_rng(0).standard_normal((128, 128))
back, raised = identity(sky, 4)[inner] / 2.25, identity(sky + 100, 4)[inner] / 2.25 - 100
print(f"sky of mean {sky[inner].mean():.3f}: mean {back.mean():.3f}; on a background of 100: {raised.mean():.3f}")
assert back.min() >= 0 and np.allclose(back, abs(sky[inner]), atol=1e-6)
assert np.allclose(raised, sky[inner], atol=1e-6)
PY
