"""Noise with what a psf gets wrong: on Gaussian fields of a known spectrum, where all of it is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from deconv.cli import main as command
from deconv.imaging import write_image
from deconv.imaging.convolution import convolve
from deconv.imaging.psf import camera_shake, gaussian
from deconv.restore import network, tiled
from deconv.restore.derivatives import Gradient
from deconv.restore.methods import Method
from deconv.restore.psf_error import _fit, with_psf_error
from deconv.restore.statistics import Statistics

SIDE, PSF = 160, camera_shake(15, seed=1).double()


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def observed(psf: Tensor = PSF, sigma: float = 0.002, seed: int = 0, slope: float = 1.4) -> Tensor:
    """A field of contrast 0.2 and spectrum :math:`(|\\omega|^2 + 0.001)^{-slope}`, blurred, with noise."""
    shape = (SIDE + psf.shape[0] - 1, SIDE + psf.shape[1] - 1)
    law = (Gradient(2).power(shape, PSF) + 0.001) ** (-slope / 2)
    latent = torch.fft.irfft2(torch.fft.rfft2(normal(1, 1, *shape, seed=seed)) * law, s=shape)
    latent = 0.5 + 0.2 * (latent - latent.mean()) / latent.std()
    blurred = convolve(latent, psf)
    return blurred + sigma * normal(*blurred.shape, seed=seed + 100)


def mismeasured(size: float, seed: int = 7) -> Tensor:
    """The psf with white noise of so much of its peak, as the sensor of whoever measured it had."""
    return PSF + size * PSF.max() * normal(*PSF.shape, seed=seed)


def counted(image: Tensor, psf: Tensor, sigma: float = 0.002, **options: Tensor) -> float:
    return float(with_psf_error(Statistics.of(image, sigma), image, psf, **options).sigma) / sigma


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slope", [1.0, 1.4, 1.8])
def test_an_exact_psf_leaves_the_noise_as_it_is(seed: int, slope: float):
    assert counted(observed(seed=seed, slope=slope), PSF) == pytest.approx(1)


def test_the_noise_grows_with_the_error_of_the_psf():
    image = observed()
    ratios = [counted(image, mismeasured(size)) for size in (0.0, 0.02, 0.05, 0.1)]
    assert ratios == sorted(ratios)
    assert ratios[2] > 1.5
    turned = PSF.rot90(1, (0, 1))
    assert counted(image, turned) > ratios[2]


@pytest.mark.parametrize("seed", range(3))
def test_the_variance_of_the_transfer_function_is_found(seed: int):
    r"""White noise of standard deviation s in N taps of a psf has the power :math:`N s^2` at every frequency."""
    size = 0.05
    spectra = _fit(observed()[0, 0], mismeasured(size, seed=seed), 0.002**2)
    assert spectra is not None
    signal, _, error, _ = spectra
    expected = PSF.numel() * float(size * PSF.max()) ** 2
    assert float((error / signal).mean()) == pytest.approx(expected, rel=0.4)


def test_noise_alone_is_noise():
    image = 0.5 + 0.01 * normal(1, 1, SIDE, SIDE, seed=3)
    for psf in (PSF, gaussian(1.5), torch.ones(1, 1)):
        assert counted(image, psf, 0.01) == pytest.approx(1)


def test_an_error_that_leaves_no_signal_is_none(monkeypatch):
    """Found by chance in small crops: noise of twenty times what it is, beyond the contrast."""
    for ratio in (2.0, 1e4):
        monkeypatch.setattr("deconv.restore.psf_error._ratio", lambda *given, ratio=ratio: ratio)
        assert counted(observed(), PSF) == pytest.approx(2.0 if ratio == 2.0 else 1.0)


def test_each_channel_has_its_own_psf_and_the_unit_makes_no_difference():
    image = torch.cat([observed(), observed(seed=1)], 1)
    psfs = torch.stack([mismeasured(0.1), PSF])[None]
    found = with_psf_error(Statistics.of(image, 0.002), image, psfs).sigma.flatten() / 0.002
    assert float(found[0]) == pytest.approx(counted(observed(), mismeasured(0.1)))
    assert float(found[1]) == pytest.approx(1)
    again = with_psf_error(Statistics.of(255 * image, 255 * 0.002), 255 * image, psfs).sigma.flatten() / (255 * 0.002)
    torch.testing.assert_close(again, found)


def test_nothing_is_counted_where_much_is_missing_or_nothing_varies():
    image, mask = observed(), torch.ones(1, 1, SIDE, SIDE)
    assert counted(image, mismeasured(0.1), mask=mask) > 1.5
    mask[..., :20, :20] = 0
    assert counted(image, mismeasured(0.1), mask=mask) == 1
    assert counted(image, mismeasured(0.1), clipped=1 - mask) == 1
    flat = torch.full((1, 1, SIDE, SIDE), 0.5)
    assert with_psf_error(Statistics.of(flat), flat, PSF).sigma.isfinite().all()
    assert counted(image[..., :20, :20], mismeasured(0.1)) == 1


def test_a_restoration_says_which_noise_it_took():
    image, psf = observed()[0, 0].numpy(), mismeasured(0.1).numpy()
    assert network(image, psf, sigma=0.002, info=True)[1].sigma == pytest.approx(0.002)
    alone = float(Statistics.of(observed()).sigma)
    counts, exact = (network(image, h, num_iter=2, info=True)[1].sigma for h in (psf, PSF.numpy()))
    assert exact == pytest.approx(alone, rel=1e-3)
    assert counts > 1.5 * alone


def test_tiles_count_it_from_the_middle_of_the_whole():
    told = []

    def method(image, psf, *, sigma, statistics, progress, mask):
        told.append(float(statistics.sigma))
        return image

    image, psf = observed()[0, 0].numpy(), mismeasured(0.1)
    for counts in (False, True):
        tiled(Method(method, psf_error=counts), image, psf, tile=80, overlap=0, progress=False)
    assert told[:4] == 4 * told[:1]
    assert told[4:] == 4 * told[4:5]
    assert told[4] / told[0] == pytest.approx(counted(observed(), psf, told[0]), rel=0.1)


def test_the_command_says_what_the_noise_counts_as(tmp_path, capsys):
    source, psf = tmp_path / "in.png", tmp_path / "psf.npy"
    write_image(source, observed()[0, 0].clip(0, 1).float().numpy(), bits=16)

    np.save(psf, mismeasured(0.1).clamp_min(0).numpy())
    run = ["deblur", str(source), "--psf", str(psf), "--no-linear", "-o"]
    assert command([*run, str(tmp_path / "a.png"), "--method", "network"]) == 0
    assert "with the psf's error" in capsys.readouterr().out
    assert command([*run, str(tmp_path / "b.png")]) == 0
    assert "with the psf's error" not in capsys.readouterr().out
