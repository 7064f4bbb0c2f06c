"""How the wavefront stores images: in strips, sheared so that a diagonal of tiles is evenly spaced.

The image is cut into strips as high as a tile. In a strip the pixels of one column lie together, channels innermost,
so a tile, and any horizontal piece of its window, is one contiguous run of memory. The images of the batch follow
each other, then comes the next strip, and each strip starts a little later than that alone would need (the shear):

    strip 0   |lead|tile tile tile|          image 0
              |lead|tile tile tile|          image 1
    strip 1         |lead|tile tile tile|    image 0
                    |lead|tile tile tile|    image 1

Thereby all tiles of one diagonal, over all images and strips, are rows of one matrix with a constant pitch, and a
matrix product can read and write them in place. The lead is zeros: the left margin of a row of pixels, and the right
margin of the one before.

Where tiles do not fit the image, they overhang at the top and, for quarter planes, at the left: there the data are
zero and so is the exact solution, so the overhang needs no care. Half planes look to the right, past the left edge of
the image from the row below; theirs overhangs at the right, and has to be cleared once solved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from deconv.solvers.geometry import Support, padding

from .tiling import Tiling

__all__ = ["Strips"]


@dataclass(frozen=True)
class Strips:
    """Addresses of a batch of images in the sheared layout, in elements; each channel group has a buffer like it."""

    batch: int
    groups: int
    inner: int  # channels of a group
    height: int
    width: int
    rows: int  # of a strip
    column: int  # elements of a column of a strip
    tile: int  # elements of a tile
    strips: int
    tiles: int  # of a strip
    slope: int  # a strip is this many tiles behind the strip above
    overhang: int  # columns by which the tiles exceed the image
    indent: int  # those of them that are on the left
    pitch: int  # from image to image
    stride: int  # from strip to strip
    origin: int  # of the first tile
    size: int

    @classmethod
    def of(cls, shape: tuple[int, ...], kernel: tuple[int, ...], tiling: Tiling, support: Support) -> Strips:
        """The layout of images `(B, C, H, W)` under a kernel `(C, C / groups, kh, kw)`."""
        batch, channels, height, width = shape
        _, inner, kh, kw = kernel
        left, right, _, _ = padding(kh, kw, support)
        column = tiling.height * inner
        tile = tiling.width * column
        strips, tiles = tiling.count(height, width)
        slope = tiling.slope(right)
        overhang = tiles * tiling.width - width
        lead = -(-max(left, right) // tiling.width) * tile
        pitch = lead + tiles * tile
        stride = batch * pitch + slope * tile
        # Windows that are copied must exist, so strips of zeros come first; products in place skip the missing ones.
        origin = (tiling.strips_above(kh) * stride if tiling.gather else 0) + lead
        end = origin + strips * stride + right * column
        return cls(
            batch=batch,
            groups=channels // inner,
            inner=inner,
            height=height,
            width=width,
            rows=tiling.height,
            column=column,
            tile=tile,
            strips=strips,
            tiles=tiles,
            slope=slope,
            overhang=overhang,
            indent=overhang if support == "quarter" else 0,
            pitch=pitch,
            stride=stride,
            origin=origin,
            size=-(-end // tile) * tile,  # whole tiles, so that the buffer is also a matrix of tiles
        )

    def load(self, images: Tensor) -> Tensor:
        """Images `(<= B, C, H, W)` in a new buffer with zeros around them: `(groups, size)`."""
        buffer = images.new_zeros((self.groups, self.size))
        for stored, pixels in self._pieces(buffer, images):
            stored.copy_(pixels)
        return buffer

    def unload(self, buffer: Tensor, images: Tensor) -> None:
        """The inverse of `load`, into `images`."""
        for stored, pixels in self._pieces(buffer, images):
            pixels.copy_(stored)

    def _pieces(self, buffer: Tensor, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Views `(groups, strips, B, W, inner)` of the same pixels in both places, one row of every strip at a time."""
        images = images.unflatten(1, (self.groups, self.inner))
        missing = self.strips * self.rows - self.height
        for row in range(min(self.rows, self.height)):
            pixels = images[:, :, :, row :: self.rows].permute(1, 3, 0, 4, 2)
            strip, place = divmod(missing + row, self.rows)
            address = self.origin + strip * self.stride + self.indent * self.column + place * self.inner
            strides = (self.size, self.stride, self.pitch, self.column, 1)
            yield buffer.as_strided(pixels.shape, strides, address), pixels

    @property
    def steps(self) -> int:
        """Diagonals."""
        return self.tiles + self.slope * (self.strips - 1)

    def diagonal(self, step: int) -> tuple[int, int, int]:
        """Of the tiles of a diagonal: the address of the first one, its strip, and their number (over all images)."""
        first = max(0, -(-(step - self.tiles + 1) // self.slope))
        last = min(step // self.slope, self.strips - 1)
        address = self.origin + first * self.batch * self.pitch + step * self.tile
        return address, first, (last + 1 - first) * self.batch

    def at(self, buffer: Tensor, address: int, count: int, run: int) -> Tensor:
        """Matrix view `(count, run)` of the runs that start at `address` and then every pitch."""
        if self.groups == 1:
            return buffer.as_strided((count, run), (self.pitch, 1), address)
        return buffer.as_strided((self.groups, count, run), (self.size, self.pitch, 1), address)

    def windows(self, buffer: Tensor, address: int, count: int, strips: int, run: int) -> Tensor:
        """View `(count, strips, run)` of runs in several strips, the first of them starting at `address`."""
        if self.groups == 1:
            return buffer.as_strided((count, strips, run), (self.pitch, self.stride, 1), address)
        return buffer.as_strided((self.groups, count, strips, run), (self.size, self.pitch, self.stride, 1), address)

    def clear_overhang(self, buffer: Tensor, step: int) -> None:
        """Zero what a diagonal put to the right of the image."""
        strip, ahead = divmod(step - self.tiles + 1, self.slope)
        if strip >= 0 and ahead == 0:
            address = self.origin + strip * self.stride + self.width * self.column
            self.at(buffer, address, self.batch, self.overhang * self.column).zero_()
