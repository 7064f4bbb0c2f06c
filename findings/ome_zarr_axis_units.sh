#!/usr/bin/env bash
# ome-zarr 0.18.0 (zarr 3.1.6): the units of axes that are given as OME-Zarr's own metadata has them are dropped.
#
# `write_image` takes axes as dictionaries with a name and a type, as they stand in a file; a unit beside these is not
# written, without a word, and what is a micrometre has no unit in the file. A psf of a known voxel size cannot be
# compared with such a stack. The units have to be given once more, as `axes_units`.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 zarr==3.1.6 ome-zarr==0.18.0 <<'PY'
import numpy as np
import zarr
from ome_zarr.writer import write_image

axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
image, scale = np.zeros((4, 64, 64), np.uint16), {"z": 0.3, "y": 0.1, "x": 0.1}


def units(name, **options):
    group = zarr.open_group(f"{name}.zarr", mode="w")
    write_image(image, group, scale_factors=[2], scale=scale, **options)
    return [axis.get("unit") for axis in group.attrs["ome"]["multiscales"][0]["axes"]]


for name, options in {
    "in axes": {"axes": axes},
    "in axes_units": {"axes": "zyx", "axes_units": dict.fromkeys("zyx", "micrometer")},
}.items():
    found = units(name.replace(" ", "-"), **options)
    print(f"units given {name}: {found}")
    assert found == [None if name == "in axes" else "micrometer"] * 3
PY
