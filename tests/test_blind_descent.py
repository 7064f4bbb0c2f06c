"""Descent along gradients through the recursive Wiener filter, by the output error and by the evidence."""

from __future__ import annotations

import pytest
import torch

from deconv.bench.blind_cases import synthetic
from deconv.blind import estimate
from deconv.blind.descent import maximum_evidence, negative_log_evidence
from deconv.blind.observation import Observation
from deconv.imaging.psf import gaussian, motion
from deconv.nn.recursive_filter import wiener_factor
from deconv.prior import load_prior


@pytest.fixture(scope="module")
def corner():
    """A small picture."""
    return next(case.blurred[:64, :64] for case in synthetic(noise=0.005, side=160) if case.name == "camera_shake13")


@pytest.fixture(scope="module")
def small(corner):
    return estimate(corner, 7, starts=1)


def test_descending_through_the_filter_never_lowers_the_evidence(corner, small):
    assert estimate(corner, 7, starts=1, refine="gradient").score <= small.score
    with pytest.raises(ValueError, match="refine"):
        estimate(corner, 7, refine="luck")


def test_a_prior_of_photographs_never_lowers_the_evidence(corner, small):
    assert estimate(corner, 7, starts=1, prior="gmm").score <= small.score
    with pytest.raises(FileNotFoundError, match="prior"):
        estimate(corner, 7, prior="nothing")
    with pytest.raises(TypeError, match="prior"):
        estimate(corner, 7, prior=3)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_evidence_has_the_determinant_of_the_causal_solve(transposed):
    """With a prior that says nothing, what is left beside the misfit is half the mean logarithm of R."""
    psf = motion(7, 20)
    psf = psf.mT if transposed else psf
    piece = Observation.of(torch.rand(1, 1, 40, 48, generator=torch.Generator().manual_seed(0)), 0.05)

    class Ignorant:
        def log_prob(self, image, sigma=None):
            return image.new_zeros(len(image))

    def denominator(psf):
        grid = (256, 256)
        waves = [2 - 2 * (2 * torch.pi * torch.fft.fftfreq(n, dtype=torch.float64)).cos() for n in grid]
        slopes = waves[0][:, None] + waves[1]
        return torch.fft.fft2(psf.double(), s=grid).abs().square() + piece.sigma**2 * (slopes + slopes.square())

    found = [float(negative_log_evidence(piece, each, Ignorant())) for each in (psf, psf.flip(0, 1))]
    volume = float(denominator(psf).log().mean() / 2)
    factor, _ = wiener_factor(psf, piece.sigma**2)
    assert float(factor[-1, factor.shape[-1] // 2].abs().log()) == pytest.approx(volume, abs=2e-3)
    assert all(value > volume - 1e-3 for value in found)


def test_descending_the_negative_log_evidence_brings_it_down(corner):
    piece = Observation.of(torch.from_numpy(corner)[None, None], None)
    prior = load_prior("gmm")
    start = torch.nn.functional.pad(gaussian(2.0, 13), (1, 1, 1, 1))
    with torch.no_grad():
        before, after = (
            float(negative_log_evidence(piece, h, prior))
            for h in (start, maximum_evidence(piece, start, prior, num_iter=3))
        )
    assert after < before
