"""Everything is computed where the image is, and comes back there."""

from __future__ import annotations

import pytest
import skimage.data
import torch
from simulated_device import simulated_device

from deconv.blind import (
    NoBlurFound,
    causal_to_psf,
    deblur,
    estimate,
    estimate_field,
    fit,
    fit_causal,
    kernel_similarity,
    sparse_gradients,
)
from deconv.blind.descent import descend, negative_log_evidence
from deconv.blind.observation import Observation
from deconv.imaging import crop, degrade, valid_margins
from deconv.imaging.psf import motion


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    sharp = torch.from_numpy(skimage.data.camera()[120:168, 200:248] / 255).float()
    psf = motion(5, 30)
    return degrade(sharp, psf, noise=0.003, seed=0), crop(sharp, valid_margins(psf.shape))


def test_what_is_simulated():
    there = torch.arange(3.0)
    with simulated_device() as device:
        moved = there.to(device)
        assert moved.device == device
        assert (2 * moved).cpu().tolist() == [0, 2, 4]
        for other in (there, torch.zeros(3)):
            with pytest.raises(RuntimeError, match="same device"):
                moved + other


@pytest.mark.filterwarnings("ignore::deconv.blind.UncertainBlur")  # one start, on a small picture
def test_estimation_and_deblurring(pair, monkeypatch):
    """With fewer steps than by default, as each operation there takes its time."""
    for name, fewer in (("psf_step._ITERATIONS", 15), ("pyramid._ITERATIONS", 2), ("polish._CUTS", (0.05,))):
        monkeypatch.setattr(f"deconv.blind.{name}", fewer)
    blurred, _ = pair
    here = estimate(blurred, 7, starts=1)
    with simulated_device() as device:
        there, found = deblur(blurred.to(device), 7, starts=1, info=True)
        assert found.found
        assert {each.device for each in (there, found.psf, found.image, *found.trace)} == {device}
        # Rounding differs, as other devices convolve by FFT, and may take a psf to much the same.
        assert kernel_similarity(found.psf, here.psf) > 0.98
        with pytest.warns(NoBlurFound):
            assert estimate_field(torch.full((64, 64), 0.5, device=device), (1, 1), 5).device == device


class SparseGradients:
    def log_prob(self, image: torch.Tensor, sigma: float | None = None) -> torch.Tensor:
        return sparse_gradients(image)


def test_descent_under_a_density(pair):
    psf = torch.full((5, 5), 0.04)
    with simulated_device() as device:
        observation = Observation.of(pair[0][None, None, :24, :24].to(device))
        prior = SparseGradients()
        found = descend(lambda h: negative_log_evidence(observation, h, prior), psf.to(device), num_iter=2)
        assert found.device == device


def test_fits(pair):
    blurred, sharp = pair
    here = fit(blurred, sharp, 5, num_iter=2), fit_causal(blurred, 3, num_iter=2)
    with simulated_device() as device:
        there = (
            fit(blurred.to(device), sharp.to(device), 5, num_iter=2),
            fit_causal(blurred.to(device), 3, num_iter=2),
        )
        assert there[0].device == there[1].device == causal_to_psf(there[1]).device == device
        torch.testing.assert_close([each.cpu() for each in there], list(here), rtol=1e-3, atol=1e-4)
