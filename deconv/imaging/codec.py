"""What the modules of `deconv.imaging.codecs` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from .picture import Picture, Volume

__all__ = ["Codec"]


class Codec(Protocol):
    """What a module of `deconv.imaging.codecs` has; all but `decode` only where its row says so, and of a folder only
    the last two."""

    def decode(self, data: bytes, max_pixels: int, part: int | None = None) -> Picture:
        """The one picture in a file's bytes, or the one of that number, where the row has `parts`; ValueError says what
        else is in there.

        `deconv.imaging.decoding.check_size` refuses more pixels than `max_pixels` before they are allocated. Whatever
        else is raised counts as damage.
        """
        ...

    def encode(self, picture: Picture) -> bytes:
        """The bytes of a file; the dtype is one of the row's `dtypes`."""
        ...

    def holds_volume(self, data: bytes) -> bool:
        """Whether these bytes are to be read as slices where both will do, for a psf."""
        ...

    def decode_volume(self, data: bytes, max_pixels: int, part: int | None = None) -> Volume:
        """The slices in a file's bytes, with as many axes as there are; `part` as for `decode`."""
        ...

    def encode_volume(self, volume: Volume) -> bytes:
        """The bytes of a file of slices."""
        ...

    def locate_volume(self, path: Any, part: int | None) -> tuple[Volume, Iterator[np.ndarray] | None] | None:
        """Where a file has its values, a `StoredArray`, and their pages if they are to be decoded first; None where it
        has no stack in one piece."""
        ...

    def write_slices(
        self, path: Any, slices: Iterator[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, like: Volume
    ) -> None:
        """Write a file of slices one by one."""
        ...
