"""Values below zero, which a likelihood of counts knows nothing of."""

from __future__ import annotations

import warnings

from .problem import Problem
from .run import RestorationWarning

__all__ = ["warn_of_negative_values"]

# Light below zero that is worth a word, relative to that above.
_NEGATIVE = 0.01


def warn_of_negative_values(problem: Problem) -> None:
    """Say it where values that count as zero would have had much of the light."""
    image = (problem.domain.crop(problem.domain.mask) * problem.image).detach()
    negative = -float(image.clamp_max(0).double().sum())
    total = float(image.clamp_min(0).double().sum())
    if negative > _NEGATIVE * total:
        share = float((image < 0).double().mean())
        warnings.warn(
            f"image: {share:.0%} of its values are negative and count as zero, {negative / (negative + total):.1%} of "
            "the sum of all magnitudes; add a constant to the image, and give the same as background=",
            RestorationWarning,
            stacklevel=7,
        )
