"""Psfs as arrays: their values and dtype are kept, and what is none is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deconv.imaging.arrays import as_psf


def test_a_psf_keeps_its_values_and_takes_the_images_dtype():
    weights = np.array([[0.2, 0.3], [0.1, 0.2]])
    like = torch.zeros(1, dtype=torch.float32)
    assert as_psf(weights).dtype == torch.float64
    assert as_psf(weights, like=like).dtype == torch.float32
    np.testing.assert_allclose(as_psf(weights, like=like), weights, rtol=1e-6)
    assert as_psf(torch.tensor(weights, dtype=torch.float16)).dtype == torch.float32
    assert as_psf(np.eye(1, dtype=int)).dtype == torch.float32
    learnt = torch.tensor(weights, requires_grad=True)
    assert as_psf(learnt, like=like).requires_grad


@pytest.mark.parametrize(
    ("psf", "error", "words"),
    [
        ("motion:15", TypeError, "psf: expected a NumPy"),
        (np.ones((3, 3, 3)), ValueError, r"psf: expected \(kh, kw\), given the shape \(3, 3, 3\)"),
        (np.ones((0, 3)), ValueError, "psf: expected"),
        (np.full((2, 2), np.nan), ValueError, "psf: 4 of its 4 values are NaN"),
        (np.full((2, 2), 100, np.uint8), ValueError, "psf: integers that sum to 400"),
        (np.zeros((2, 2)), ValueError, "psf: its sum is 0, expected about 1; psf / psf.sum"),
        (-np.ones((2, 2)), ValueError, "psf: its sum is -4"),
        (np.full((2, 2), 100.0), ValueError, "psf: its sum is 400, expected about 1"),
        (np.full((2, 2), 1e-6), ValueError, "psf: its sum is 4e-06, expected about 1"),
        (np.ones((2, 2), complex), TypeError, "psf: expected real numbers, given dtype complex128"),
    ],
)
def test_what_is_no_psf_is_refused_by_name(psf, error, words):
    with pytest.raises(error, match=words):
        as_psf(psf)


def test_psfs_for_each_channel_without_the_axis_of_samples_are_told_their_shape():
    with pytest.raises(ValueError, match=r"psf: its sum is 3, .* 3 channels have the shape \(1, 3, kh, kw\)"):
        as_psf(np.full((3, 5, 5), 1 / 25), space=3)
