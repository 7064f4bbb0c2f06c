"""Richardson-Lucy: its likelihood, its light, its background, and when it stops."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, field_of_view, latent_image, observation, random

from deconv import restore
from deconv.imaging import convolve, degrade, psnr
from deconv.imaging.psf import gaussian, moffat
from deconv.restore.algorithms import richardson_lucy
from deconv.restore.problem import Problem


def poisson_deviance(latent, observed, boundary):
    blurred = convolve(latent, PSF, boundary=boundary)
    return float((blurred - observed * blurred.log()).sum())


def test_richardson_lucy_climbs_the_likelihood_and_keeps_the_light():
    observed = torch.from_numpy(observation("circular").clip(0))[None, None]
    deviances = []

    def record(_, latent):
        deviances.append(poisson_deviance(latent, observed, "circular"))
        torch.testing.assert_close(latent.sum(), observed.sum())
        assert float(latent.min()) >= 0

    restore.richardson_lucy(observed, PSF, boundary="circular", tv=0, accelerate=False, num_iter=20, callback=record)
    assert all(after < before for before, after in itertools.pairwise(deviances))
    plain = deviances[-1]
    deviances.clear()
    restore.richardson_lucy(
        observed,
        PSF,
        boundary="circular",
        tv=0,
        num_iter=20,
        callback=lambda _, latent: deviances.append(poisson_deviance(latent, observed, "circular")),
    )
    reached = next(i for i, deviance in enumerate(deviances) if deviance <= plain)
    assert reached < 12  # of 20


def stars_on_sky() -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Stars, and what is seen of them, the sky taken off, so that half of its noise is below zero."""
    generator = np.random.default_rng(0)
    stars = np.zeros((100, 100))
    for _ in range(25):
        stars[generator.integers(8, 92), generator.integers(8, 92)] += generator.uniform(50, 800)
    psf = moffat(3.0, beta=3.0, size=17).double()
    return stars, degrade(stars, psf, boundary="zero") + generator.normal(0, 1, stars.shape), psf


def test_richardson_lucy_keeps_the_light_above_a_background():
    stars, seen, psf = stars_on_sky()
    with pytest.warns(restore.RestorationWarning, match=r"41% of its values are negative.*background="):
        restored = restore.richardson_lucy(seen, psf)
    assert restored.sum() > 1.15 * stars.sum()
    for background in (5.0, 20.0, 100.0):
        restored = restore.richardson_lucy(seen + background, psf, background=background)
        assert restored.min() >= 0
        assert restored.sum() == pytest.approx(seen.sum(), rel=0.005)
        assert restored.sum() == pytest.approx(stars.sum(), rel=0.02)
    in_another_unit = restore.richardson_lucy(1e-20 * (seen + 20), psf, background=2e-19)
    np.testing.assert_allclose(
        in_another_unit / 1e-20, restore.richardson_lucy(seen + 20, psf, background=20.0), rtol=1e-6
    )
    with pytest.raises(ValueError, match="background: must be finite and not negative, given -1"):
        restore.richardson_lucy(seen, psf, background=-1)


def test_an_offset_is_taken_off():
    offset = 0.2
    restored = restore.richardson_lucy(observation() + offset, PSF, background=offset)
    assert agreement(restored, restore.richardson_lucy(observation(), PSF)) > 30
    gain = psnr(restored, field_of_view()) - psnr(observation(), field_of_view())
    assert gain > 4


@pytest.mark.parametrize(("photons", "blur"), [(200, gaussian(1.2)), (3000, gaussian(2.0)), (3000, PSF)])
@pytest.mark.parametrize("stop", ["consensus", "discrepancy"])
def test_richardson_lucy_stops_before_it_fits_the_noise(photons, blur, stop):
    truth = torch.from_numpy(latent_image())[None, None]
    seen = degrade(truth, blur, boundary="circular", photons=photons, seed=0)
    noise = float((seen - convolve(truth, blur.to(truth), boundary="circular")).std())
    qualities = []
    options = {"boundary": "circular", "num_iter": 50}
    restore.richardson_lucy(seen, blur, tv=0, callback=lambda _, x: qualities.append(float(psnr(x, truth))), **options)
    restored, info = restore.richardson_lucy(seen, blur, stop=stop, sigma=noise, info=True, **options)
    assert info.converged
    assert info.iterations < 50
    assert float(psnr(restored, truth)) > max(qualities) - 1
    assert float(psnr(restored, truth)) > float(psnr(seen, truth)) - 0.1
    with pytest.raises(ValueError, match="stop: unknown 'noise', allowed are None, consensus, discrepancy"):
        restore.richardson_lucy(seen, blur, stop="noise")


@pytest.mark.parametrize("options", [{}, {"tv": 0}, {"background": 0.05}])
def test_richardson_lucy_keeps_the_light_that_is_seen(options):
    """What the restored image sends into the field of view is what was measured there."""
    observed = torch.from_numpy(observation().clip(0))[None, None] + options.get("background", 0)
    latents = []
    problem = Problem.of(observed, PSF.to(observed), num_iter=10)
    for _, latent in zip(range(10), richardson_lucy.iterates(problem, **options), strict=False):
        latents.append(problem.domain.crop(problem.domain.blur(latent)).sum() * problem.unit)
    expected = (observed - options.get("background", 0)).sum()
    assert float(abs(torch.stack(latents) / expected - 1).max()) < 1e-4


def test_richardson_lucy_agrees_with_scikit_image():
    from skimage.restoration import richardson_lucy

    sharp = np.zeros((40, 44))
    sharp[12:28, 12:30] = latent_image()[12:28, 12:30] + 0.1
    psf = gaussian(1.2, 9).double()
    blurred = degrade(sharp, psf, boundary="zero")
    ours = restore.richardson_lucy(blurred, psf, boundary="circular", tv=0, accelerate=False, num_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = richardson_lucy(blurred, psf.numpy(), num_iter=200, clip=False)
    inside = (slice(12, 28), slice(12, 30))
    assert agreement(ours[inside], theirs[inside]) > 40


def test_damping_spares_the_noise():
    """Richardson-Lucy grows the noise of a flat image with every iteration; damped, it leaves it alone."""
    flat = 0.5 + 0.01 * random(1, 1, 48, 48)
    psf = gaussian(1.5, 9).double()
    rough, damped, loose = (
        restore.richardson_lucy(flat, psf, sigma=0.01, tv=0, num_iter=30, damping=d).std() for d in (0, 4, 0.01)
    )
    assert float(rough) > 4 * float(damped)
    torch.testing.assert_close(loose, rough, atol=0, rtol=0.1)
    with pytest.raises(ValueError, match="damping: expected 0 or more"):
        restore.richardson_lucy(flat, psf, damping=-1)
