#!/usr/bin/env bash
# sigpy 0.1.27: the normal operator of ArrayToBlocks is the identity, also where blocks overlap or leave gaps; then the image of
# which the blocks were cut is not found again by least squares, but multiplied by how many blocks cover each pixel.
#
# A.H * A, multiplied out, is right, and A.N is what LinearLeastSquares solves with.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 numba==0.68.1 PyWavelets==1.9.0 tqdm sigpy==0.1.27 <<'PY'
import numpy as np
from sigpy.app import LinearLeastSquares
from sigpy.linop import ArrayToBlocks

image = np.arange(1.0, 37.0).reshape(6, 6)


def measured(size, stride):
    """Error of A.N, and the least-squares image over the image, along the second row."""
    blocks = ArrayToBlocks(image.shape, (size, size), (stride, stride))
    found = LinearLeastSquares(blocks, blocks * image, max_iter=200, show_pbar=False).run()
    return abs(blocks.H(blocks(image)) - blocks.N(image)).max(), (found / image)[1].round(6).tolist()


for size, stride, error, ratios in [
    (3, 3, 0, [1, 1, 1, 1, 1, 1]),
    (2, 1, 87, [2, 4, 4, 4, 4, 2]),
    (3, 2, 45, [1, 1, 2, 1, 1, 0]),
]:
    print(f"blocks of {size}, stride {stride}: error of A.N {measured(size, stride)[0]:g}, found / true", measured(size, stride)[1])
    assert measured(size, stride) == (error, ratios)
PY
