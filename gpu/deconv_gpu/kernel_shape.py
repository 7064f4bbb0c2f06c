"""What kernels are compiled for: the arguments of a C++ template, and what they see."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["KernelShape"]


class KernelShape:
    """The arguments of the C++ template of the same name, as the fields of a dataclass in its order."""

    FILES: ClassVar[tuple[str, ...]]
    KERNELS: ClassVar[tuple[str, ...]]

    channels: int
    above: int  # what a pixel sees: rows,
    left: int  # columns to the left,
    right: int  # and, in rows above, to the right

    def __str__(self) -> str:
        arguments = (str(value).lower() if isinstance(value, bool) else str(value) for value in vars(self).values())
        return f"{type(self).__name__}<{', '.join(arguments)}>"

    @property
    def slope(self) -> int:
        """Columns by which a row must lag behind the one above it."""
        return self.right + 1

    @property
    def across(self) -> int:
        return self.left + 1 + self.right

    @property
    def taps(self) -> int:
        """Apart from the anchor."""
        return self.left + self.above * self.across
