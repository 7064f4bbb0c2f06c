#!/usr/bin/env bash
# ome-zarr 0.18.0 (zarr 3.1.6): the smaller scales of an image of integers are rounded down, not to the nearest.
#
# `write_image` makes a pyramid by interpolation and casts it to the dtype of the image, which cuts the fraction off: photon
# counts with a mean of ten are half a count too low at the first smaller scale, and a mask of zeros and ones is empty
# there. Who measures on a smaller scale to save time, a background, a threshold or a noise level, is off by that. Floats
# are right.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 zarr==3.1.6 ome-zarr==0.18.0 <<'PY'
import numpy as np
import zarr
from ome_zarr.writer import write_image

random = np.random.default_rng(0)
counts = random.poisson(10.0, (128, 128)).astype(np.uint16)
mask = (random.random((128, 128)) < 0.5).astype(np.uint8)


def means(image, name):
    group = zarr.open_group(f"{name}.zarr", mode="w")
    write_image(image, group, axes="yx")
    scales = sorted((array for _, array in group.arrays()), key=lambda array: -array.size)
    return [float(array[:].mean()) for array in scales[:2]]


for name, image in (("counts", counts), ("counts as floats", counts.astype(np.float32)), ("mask", mask)):
    whole, smaller = means(image, name.replace(" ", "-"))
    print(f"{name}: mean {whole:.2f}, at the next scale {smaller:.2f}")
    if name == "counts":
        assert 0.4 < whole - smaller < 0.6
    elif name == "mask":
        assert smaller < 0.05
    else:
        assert abs(whole - smaller) < 0.1
PY
