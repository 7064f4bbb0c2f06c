"""What became of one picture."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAILED", "LEFT", "Outcome"]

LEFT, FAILED = "left as it is", "failed"


@dataclass(frozen=True)
class Outcome:
    """What a command has done with one picture.

    Attributes
    ----------
    what : str
        ``"restored"``, ``"blurred"``, ``"estimated"``, `LEFT`, ``"skipped"`` or `FAILED`.
    words : str
        The closing line; for `FAILED` and `LEFT` why.
    psf : tuple of int or None
        Height and width of the psf, where there is one.
    confidence : float or None
        That of an estimated psf.
    seconds : float
        How long it took.
    """

    what: str
    words: str
    psf: tuple[int, ...] | None = None
    confidence: float | None = None
    seconds: float = 0.0
