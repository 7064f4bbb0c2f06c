"""The latent image as a distribution, and the psf that fits it: against closed forms and by their own equations."""

from __future__ import annotations

import math

import pytest
import torch

from deconv.bench.blind_cases import synthetic
from deconv.blind import kernel_similarity
from deconv.blind.anderson import fixed_point
from deconv.blind.evidence import Candidate, Hypothesis, restored
from deconv.blind.observation import Observation
from deconv.blind.polish import _maximised_expectation, likelier
from deconv.blind.posterior import LatentPosterior, prior_weights
from deconv.blind.pyramid import pyramid
from deconv.blind.support import centred, clean
from deconv.imaging import as_image_batch
from deconv.imaging.convolution import convolve, psf_to_otf
from deconv.imaging.psf import gaussian
from deconv.restore.derivatives import Gradient


@pytest.fixture(scope="module")
def case():
    return next(synthetic(noise=0.005, side=160))


@pytest.fixture(scope="module")
def piece(case) -> Observation:
    return Observation.of(as_image_batch(case.blurred)[0])


@pytest.fixture
def posterior(case, piece) -> LatentPosterior:
    latent = restored(piece.image, case.psf[None, None], piece.sigma)
    return LatentPosterior(piece, pyramid(piece, case.psf.shape)[-1], piece.smoothing, latent)


def test_weights_have_one_degree_of_freedom_for_each_pixel():
    energy = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(0)) ** 8
    weights = prior_weights(energy)
    assert float((weights * energy).mean()) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(prior_weights(9 * energy), weights / 9, rtol=1e-3, atol=0)


def test_of_a_normal_prior_it_is_the_wiener_filter(case, piece, posterior, monkeypatch):
    """With equal weights and no frame: the mean is the filtered image, the draw has the filter's error spectrum."""
    weight = 50.0
    monkeypatch.setattr("deconv.blind.posterior.prior_weights", lambda energy: torch.full_like(energy, weight))
    posterior.frame = torch.ones_like(posterior.frame)
    posterior.observed = posterior.scale.padded
    posterior.noise = torch.randn(posterior.noise.shape, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        posterior.update(case.psf)
    shape = posterior.scale.shape
    otf = psf_to_otf(case.psf, shape)
    precision = otf.abs().square() / piece.sigma**2 + weight * posterior.scale.laplacian
    wiener = torch.fft.irfft2(otf.conj() * posterior.scale.spectrum[0] / piece.sigma**2 / precision, s=shape)
    # The mean over the image is what no gradient tells.
    assert float((posterior.mean - wiener).std()) < 1e-3 * float(wiener.std())
    whitened = torch.fft.rfft2(posterior.draw).abs().square() * precision / math.prod(shape)
    for part in (whitened[:, :8], whitened[:, 20:]):
        assert float(part.mean()) == pytest.approx(1, abs=0.1)


def test_the_mean_solves_its_equation_within_the_frame(case, piece, posterior):
    gradient = Gradient()
    for _ in range(12):
        posterior.update(case.psf)
    mean, (rows, columns) = posterior.mean[None, None], posterior.scale.margins
    blurred = convolve(mean, case.psf, boundary="circular")[0]
    inside = torch.zeros_like(blurred)
    part = (..., slice(rows[0], -rows[1] or None), slice(columns[0], -columns[1] or None))
    inside[part] = piece.image[0] - blurred[part]
    told = convolve(inside[None], case.psf.flip(0, 1), boundary="circular")[0] / piece.sigma**2
    prior = gradient.adjoint(posterior.weights * gradient.analyse(mean[0]))
    assert float((told - prior).norm()) < 0.05 * float(prior.norm())


def test_the_psf_fitted_has_the_least_expected_misfit(case, posterior):
    """Of all psfs near it, over the mean with the draw added, and taken away."""
    posterior.update(case.psf)
    start = torch.full_like(case.psf, 1 / case.psf.numel())
    fitted = posterior.fitted(case.psf, 1e-3)
    latent = torch.stack([posterior.mean + posterior.draw, posterior.mean - posterior.draw])
    otf = psf_to_otf(case.psf, posterior.scale.shape)
    last = torch.fft.irfft2(otf * torch.fft.rfft2(latent), s=posterior.scale.shape)
    observed = posterior.observed + (1 - posterior.frame) * last

    def misfit(psf: torch.Tensor) -> float:
        blurred = torch.fft.irfft2(psf_to_otf(psf, posterior.scale.shape) * torch.fft.rfft2(latent), s=last.shape[1:])
        smooth = torch.fft.rfft2(blurred - observed) * posterior.smoothing
        return float(Gradient().analyse(torch.fft.irfft2(smooth, s=last.shape[1:])).square().sum())

    least = min(misfit(scale * fitted) for scale in torch.linspace(0.95, 1.08, 14))
    generator = torch.Generator().manual_seed(0)
    others = [case.psf, torch.lerp(fitted, start, 0.1)]
    others += [(fitted * (1 + 0.2 * torch.randn(fitted.shape, generator=generator))).clamp_min(0) for _ in range(4)]
    assert all(misfit(scale * psf) > least for psf in others for scale in (0.97, 1, 1.03))


def test_steps_hardly_lead_away_from_the_right_psf(case, piece, posterior):
    """Where those of one variance for all gradients do."""
    ours = theirs = case.psf
    for _ in range(6):
        posterior.update(ours)
        ours = posterior.fitted(ours, 160.0)
        found = Candidate.of(piece, Hypothesis(theirs, 0.04, ()))
        theirs = centred(clean(_maximised_expectation(piece, posterior.scale, found), cut=0.02))
    lost = [1 - kernel_similarity(psf, case.psf) for psf in (ours, theirs)]
    assert lost[0] < 0.5 * lost[1]


def test_a_soft_psf_becomes_liker_the_right_one_which_stays(case, piece, posterior):
    soft = convolve(case.psf[None, None], gaussian(0.7), boundary="zero")[0, 0]
    begun, right = Candidate.all_of(piece, [Hypothesis(centred(psf / psf.sum()), 0.04, ()) for psf in (soft, case.psf)])
    found = likelier(piece, posterior.scale, begun)
    assert 1 - kernel_similarity(found.psf, case.psf) < 0.8 * (1 - kernel_similarity(begun.psf, case.psf))
    assert found.ranking_score < begun.ranking_score
    assert likelier(piece, posterior.scale, right) is right


def test_fixed_points_of_linear_maps_are_exact():
    """After one evaluation more than there are dimensions, however slow the plain iteration is."""
    matrix = torch.diag(torch.tensor([0.99, 0.9, 0.5], dtype=torch.float64))
    shift = torch.ones(3, dtype=torch.float64)
    exact = torch.linalg.solve(torch.eye(3, dtype=torch.float64) - matrix, shift)
    plain, found = torch.zeros(3).double(), fixed_point(lambda x: matrix @ x + shift, torch.zeros(3).double(), 12)
    for _ in range(12):
        plain = matrix @ plain + shift
    assert float((found - exact).norm()) < 1e-2 * float((plain - exact).norm())
