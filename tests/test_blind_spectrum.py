"""What the power spectrum says about a psf, and the random paths that it is compared with."""

from __future__ import annotations

import pytest
import torch

from deconv.bench.blind_cases import synthetic
from deconv.blind import api, power_spectrum, problem
from deconv.blind.evidence import Candidate, Hypothesis
from deconv.blind.observation import Observation
from deconv.blind.power_spectrum import PowerSpectrum, excess
from deconv.blind.pyramid import pyramid
from deconv.blind.random_paths import RandomPaths
from deconv.imaging.convolution import convolve
from deconv.imaging.psf import camera_shake, motion
from deconv.imaging.psf.moments import centroid

SIZE = 41


def _falling(shape, seed):
    """An image whose power falls as the square of the frequency."""
    down, right = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.fft.irfft2(torch.fft.rfft2(noise) / torch.hypot(down, right).clamp_min(1 / shape[0]), s=shape)


@pytest.fixture(scope="module")
def blurred():
    return convolve(_falling((240, 240), 0)[None, None], camera_shake(SIZE, seed=3))


@pytest.fixture(scope="module")
def paths():
    return RandomPaths.drawn(200, torch.Generator().manual_seed(0))


def test_the_right_psf_explains_the_spectrum_as_well_as_any_path_and_a_wrong_one_does_not(blurred):
    scales = pyramid(Observation.of(blurred, sigma=0.0), (SIZE, SIZE))
    right = camera_shake(SIZE, seed=3)
    assert excess(scales, right) < 20
    assert excess(scales, right.T) > 100


def test_a_spectrum_does_not_tell_half_a_turn_nor_the_place(blurred):
    psf = camera_shake(19, seed=3)
    moved = torch.nn.functional.pad(psf, (4, 0, 2, 3)).flip((0, 1))
    spectrum = PowerSpectrum(blurred[..., ::2, ::2], 0.0)
    torch.testing.assert_close(spectrum.misfit(psf[None]), spectrum.misfit(moved[None]), rtol=1e-4, atol=0.01)


def test_a_spectrum_does_not_tell_how_strong_the_contrast_is(blurred):
    psfs = torch.stack([camera_shake(19, seed=seed) for seed in (1, 2)])
    once, thrice = (PowerSpectrum(factor * blurred, factor * 0.01).misfit(psfs).diff() for factor in (1, 3))
    torch.testing.assert_close(once, thrice, rtol=0.01, atol=0.1)


def test_a_spectrum_of_noise_tells_psfs_apart_the_less_the_more_noise_is_told(blurred, paths):
    psfs = paths.psfs(19)
    spread = [float(PowerSpectrum(blurred, sigma * float(blurred.std())).misfit(psfs).std()) for sigma in (0, 0.3, 100)]
    assert spread[0] > 2 * spread[1]
    assert spread[2] < 0.5


@pytest.mark.parametrize("better", [True, False])
def test_a_shape_comes_in_the_place_of_what_is_not_believed_if_it_explains_the_spectrum_better(better, monkeypatch):
    case, shape = next(synthetic(noise=0.005, side=72)), motion(13, 90)
    monkeypatch.setattr(api, "confidence", lambda signs: 0.1)
    monkeypatch.setattr(api, "misfit", lambda scales, psf: (-1 if better else 1) * torch.equal(psf, shape))
    monkeypatch.setattr(problem, "find_shapes", lambda *_: [])
    monkeypatch.setattr(problem, "fit_shape", lambda piece, *_: Candidate.of(piece, Hypothesis(shape, 0.0, ())))
    found = api.estimate(case.blurred, 15, starts=1)
    assert found.found == better
    assert better or "0.10" in found.warnings[0]


def test_relatives_lead_nearer_to_the_best_path(blurred, monkeypatch):
    spectrum = PowerSpectrum(blurred[..., ::2, ::2], 0.0)
    found = power_spectrum._least_misfit(spectrum, 21)
    monkeypatch.setattr(power_spectrum, "_STEPS", ())
    assert found < power_spectrum._least_misfit(spectrum, 21) - 5


def test_paths_are_psfs_about_their_centre(paths):
    psfs = paths.psfs(15)
    assert psfs.shape == (200, 15, 15)
    assert bool((psfs >= 0).all())
    torch.testing.assert_close(psfs.sum((1, 2)), torch.ones(200))
    middle = torch.stack([centroid(psf) for psf in psfs])
    torch.testing.assert_close(middle, torch.zeros_like(middle), rtol=0, atol=1e-3)


def test_relatives_are_the_nearer_the_smaller_the_step(paths):
    def distance(step):
        relatives = paths.varied(torch.arange(200), step, torch.Generator().manual_seed(1))
        return float((relatives.psfs(15) - paths.psfs(15)).abs().sum((1, 2)).mean())

    assert distance(0.0) == 0
    assert 0 < distance(0.05) < distance(0.2) < distance(1.0)


def test_a_path_of_two_corners_without_rounding_is_a_line():
    corners = torch.tensor([[[0.0, -1.0], [0.0, 1.0], [5.0, 5.0]]])
    times = torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]])
    line = RandomPaths(corners, times, torch.zeros(1, 1, 1), torch.ones(1, 1, 1)).psfs(9)[0]
    assert float(line[4].sum()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(line[4, 1:-1], torch.full((7,), 1 / 8), rtol=0, atol=0.01)
