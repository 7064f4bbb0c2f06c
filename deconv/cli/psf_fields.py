"""Psfs that vary over the frame, as options and files: ``--field``, ``--psf FILE.npy`` and ``--save-psf``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AUTO", "field_option", "montage", "read_field", "write_field"]

AUTO: Literal["auto"] = "auto"

# Dark pixels between the psfs of a picture.
_GAP = 2


def field_option(text: str, flag: str) -> Literal["auto"] | tuple[int, int]:
    """``auto``, or a grid of tiles ``GYxGX``.

    Raises
    ------
    ValueError
        Anything else.
    """
    if text.lower() == AUTO:
        return AUTO
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and int(part) >= 1 for part in parts):
        return int(parts[0]), int(parts[1])
    raise ValueError(f"{flag}: expected auto, or a grid of tiles such as 3x4, given {text!r}")


def read_field(path: str | Path) -> Tensor | None:
    """The psfs `(gy, gx, kh, kw)` in a file of numbers, each of sum 1; None where it holds other axes.

    Raises
    ------
    ValueError
        Four axes, but not psfs; or a picture that `write_field` has made, which is to be looked at.
    """
    import numpy as np
    import torch

    from .outputs import is_our_psf

    path = Path(path)
    if path.suffix.lower() != ".npy":
        if path.is_file() and is_our_psf(path, field=True):
            raise ValueError(
                f"--psf: {path} is a picture of psfs from all over a frame; --save-psf FILE.npy keeps them as numbers"
            )
        return None
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # of any kind, from a damaged header: which the reader of psfs tells
        return None
    if values.ndim != 4:
        return None
    psfs = torch.from_numpy(np.array(values, np.float32))
    sums = psfs.sum((2, 3), keepdim=True)
    if not bool(psfs.isfinite().all() and (psfs >= 0).all() and (sums > 0).all()):
        raise ValueError(f"{path}: expected psfs (gy, gx, kh, kw), finite, not negative, none all zero")
    return psfs / sums


def montage(field: Tensor) -> Tensor:
    """The psfs `(gy, gx, kh, kw)` side by side, as their places are in the frame."""
    import torch.nn.functional as F

    rows, columns, height, width = field.shape
    framed = F.pad(field, (_GAP, 0, _GAP, 0))
    whole = framed.permute(0, 2, 1, 3).reshape(rows * (height + _GAP), columns * (width + _GAP))
    return F.pad(whole, (0, _GAP, 0, _GAP))


def write_field(path: Path, field: Tensor) -> None:
    """A field as numbers `(gy, gx, kh, kw)` where the file is a ``.npy``; else as a picture of all its psfs."""
    import numpy as np

    from ..imaging.files import write_atomically
    from .outputs import write_psf

    values = field.cpu().float()
    if path.suffix.lower() != ".npy":
        write_psf(path, montage(values), field=True)
        return
    from io import BytesIO

    data = BytesIO()
    np.save(data, values.numpy())
    write_atomically(path, data.getvalue())
