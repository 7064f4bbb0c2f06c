"""A picture that is left as it is, since no psf of it is to be trusted."""

from __future__ import annotations

from pathlib import Path

from .source import Source

__all__ = ["leave", "wider_window"]


def leave(photograph: Source, output: Path, *, bits: int | None, on_doubt: str) -> str:
    """Copy the picture or not, and say so.

    Parameters
    ----------
    photograph : Source
        What was read.
    output : Path
        Where the restored picture would go.
    bits : int or None
        Its depth, if that was asked for.
    on_doubt : {"copy", "skip", "fail"}
        What to do; all but ``"copy"`` write nothing.

    Returns
    -------
    str
        The closing line.

    Raises
    ------
    ValueError
        For ``"fail"``.
    """
    from ..imaging.files import write_atomically

    if on_doubt == "fail":
        raise ValueError(f"{photograph.path}: no psf is to be trusted; nothing was written")
    if on_doubt == "copy":
        if bits is None and output.suffix.lower() == photograph.path.suffix.lower():
            write_atomically(output, photograph.path.read_bytes())
        else:
            photograph.write(output, photograph.batch, bits=bits)
    wider = wider_window(photograph)
    advice = f"to try: a crop of it, --kernel-size {wider}, --psf motion:LENGTH,ANGLE or --psf disk:RADIUS"
    written = f" -> {output}" if on_doubt == "copy" else ""
    return f"{photograph.path}{written}: left as it is; {advice}"


def wider_window(photograph: Source) -> int:
    """A side for ``--kernel-size``, half as much again as that of the window in which a psf is sought by default.

    Parameters
    ----------
    photograph : Source
        What was read.

    Returns
    -------
    int
        Odd, and at most half of the shorter side of the picture.
    """
    from ..blind.observation import widest_window

    height, width = photograph.batch.shape[-2:]
    side = min(3 * max(widest_window((height, width))) // 2, min(height, width) // 2)
    return max(side - 1 + side % 2, 3)
