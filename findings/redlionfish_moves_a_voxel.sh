#!/usr/bin/env bash
# RedLionfish 0.10 on the CPU: a psf of odd size moves a stack of even size by one voxel along each axis, and a stack of odd
# width comes back one column wider.
#
# The psf is laid into an array of the stack's size "keeping data centralized", with the number of planes in front rounded
# down, and its centre then taken for voxel n/2; of an odd psf in an even array it is voxel n/2 - 1. The last axis is made
# even first, so every odd psf moves along it. One plane of zeros in front of the psf along such an axis puts it right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 RedLionfish==0.10 <<'PY'
import numpy as np
from scipy.ndimage import gaussian_filter
from RedLionfishDeconv import doRLDeconvolutionFromNpArrays

taps = np.exp(-((np.arange(9) - 4) ** 2) / (2 * 1.5**2))
psf = (taps[:, None, None] * taps[:, None] * taps).astype(np.float32)


def found(n, psf):
    """Where the brightest voxel of a point in the middle is after restoration, from where it was, and the shape."""
    stack = np.zeros((n, n, n), np.float32)
    stack[n // 2, n // 2, n // 2] = 1000
    blurred = gaussian_filter(stack, 1.5) + np.float32(0.1)
    restored = doRLDeconvolutionFromNpArrays(blurred, psf, niter=30, method="cpu")
    place = np.unravel_index(restored.argmax(), restored.shape)
    return tuple(int(i) - n // 2 for i in place), restored.shape


even, odd, padded = found(24, psf), found(23, psf), found(24, np.pad(psf, ((1, 0),) * 3))
for name, (moved, shape) in {"24 voxels": even, "23 voxels": odd, "24, psf padded in front": padded}.items():
    print(f"{name}: moved by {moved}, shape {shape}")
assert even == ((1, 1, 1), (24, 24, 24))
assert odd == ((0, 0, 1), (23, 23, 24))
assert padded == ((0, 0, 0), (24, 24, 24))
PY
