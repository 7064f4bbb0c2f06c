"""How well the confidence of estimated psfs is calibrated, and the weights that make it so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..blind.reject import THRESHOLDS

__all__ = ["RIGHT", "WRONG", "fit_weights", "verdicts"]

# Up to this error ratio a psf counts as right, from the other one on as wrong.
RIGHT, WRONG = 2.0, 3.0
# A sign that hardly differs between the cases says nothing.
_LEAST_SCALE = 0.01
_RIDGE = 30.0
_STEPS = 50


def fit_weights(signs: np.ndarray, right: np.ndarray) -> tuple[float, ...]:
    """The constant and the weights of the logistic regression with a ridge on standardised signs, by Newton's steps.

    signs: `(cases, signs)`; right: `(cases,)`, 0 or 1.
    """
    mean, scale = signs.mean(0), signs.std(0).clip(_LEAST_SCALE)
    design = np.column_stack([np.ones(len(signs)), (signs - mean) / scale])
    ridge = np.diag([1e-6, *[_RIDGE] * signs.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (expected - right) + ridge @ weights
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + ridge
        weights -= np.linalg.solve(curvature, slope)
    slopes = weights[1:] / scale
    return (float(weights[0] - slopes @ mean), *map(float, slopes))


def verdicts(ratios: Sequence[float], found: Sequence[bool], confidences: Sequence[float]) -> str:
    """The two rates of error in words: wrong psfs that come without a warning, and right ones refused or warned of."""
    outcomes = list(zip(ratios, found, confidences, strict=True))
    wrong = [confident for ratio, there, confident in outcomes if there and ratio > WRONG]
    silent = sum(confident >= THRESHOLDS.confidence for confident in wrong)
    right = [confident for ratio, there, confident in outcomes if there and ratio <= RIGHT]
    warned = sum(confident < THRESHOLDS.confidence for confident in right)
    return (
        f"error ratio above {WRONG:g}: {len(wrong)}, {silent} of them without a warning; "
        f"at most {RIGHT:g}: {len(right)}, {warned} of them with one; refused: {found.count(False)}"
    )
