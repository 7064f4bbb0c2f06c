"""Solve by tiles, with nothing but tensor operations: any device, any size.

The operator does not change from pixel to pixel, so neither does its inverse on a tile. That inverse is computed once;
then whole diagonals of tiles are solved at a time, each by a few matrix products. `tile_matrix` builds the
inverse, `strips` lays the image out so that the products read it where it is, `tiling` chooses the size of a tile
and `wavefront` runs over the diagonals.

On CUDA devices the products are as exact as `torch.backends.cuda.matmul` is told to be: full float32 by default.
"""

from .wavefront import solve

__all__ = ["solve"]
