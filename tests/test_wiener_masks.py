"""The Wiener filter where pixels are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from test_wiener import observe, photograph

from deconv.imaging.degradation import degrade
from deconv.imaging.metrics import psnr
from deconv.imaging.psf import gaussian
from deconv.restore import wiener


def test_missing_pixels_are_filled_in():
    psf = gaussian(1.0)
    observed, latent = observe(photograph()[:160, :160], psf)
    mask = np.ones_like(observed)
    mask[60:66, 40:46] = 0
    damaged = np.where(mask > 0, observed, 5.0).astype(np.float32)
    restored = wiener(damaged, psf, mask=mask, num_iter=8)
    assert psnr(restored, latent) > psnr(wiener(observed, psf), latent) - 0.5


@pytest.mark.parametrize(("missing", "least"), [(0.3, 40), (0.6, 33)])
def test_where_a_mask_leaves_large_gaps_the_first_result_has_settled(missing, least):
    """With sample by sample the same as in a batch, of which one has no gaps."""
    psf = gaussian(1.5)
    observed, _ = observe(photograph()[150:280, 150:290], psf)
    blocks = np.random.default_rng(0).random((20, 20)) >= missing
    mask = np.kron(blocks, np.ones((7, 7), bool))[: observed.shape[0], : observed.shape[1]]
    found = wiener(observed, psf, mask=mask)
    assert psnr(found, wiener(observed, psf, mask=mask, num_iter=150)) > least
    both = torch.from_numpy(np.stack([observed, observed]))[:, None]
    masks = torch.from_numpy(np.stack([mask, np.ones_like(mask)]))[:, None]
    together = wiener(both, psf, mask=masks)
    torch.testing.assert_close(together[0, 0].numpy(), found, atol=1e-4, rtol=0)
    torch.testing.assert_close(together[1, 0].numpy(), wiener(observed, psf), atol=1e-4, rtol=0)


def test_the_first_result_of_a_volume_with_gaps_is_as_near_to_the_truth_as_later_ones():
    random = np.random.default_rng(0)
    latent = gaussian_filter(random.standard_normal((20, 44, 44)), 2).astype(np.float32)
    latent = 0.5 + 0.1 * latent / latent.std()
    taps = np.einsum("i,j,k", *[np.exp(-0.5 * np.linspace(-2.5, 2.5, n) ** 2) for n in (5, 7, 7)])
    observed = np.asarray(degrade(latent, taps / taps.sum(), noise=0.003, seed=0))
    mask = np.kron(random.random((6, 7, 7)) >= 0.4, np.ones((3, 6, 6), bool))[:16, :38, :38]
    truth = latent[2:-2, 3:-3, 3:-3]
    first, later = (psnr(wiener(observed, taps / taps.sum(), mask=mask, num_iter=n), truth) for n in (1, 60))
    assert first > psnr(np.where(mask, observed, 0.5), truth) + 3
    assert first > later - 0.05
