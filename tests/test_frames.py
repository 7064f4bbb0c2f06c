"""Several frames of one latent image: the stacked operator, closed forms, light, and what more frames are worth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, corner, latent_image, random

from deconv import restore
from deconv.imaging import convolve, degrade, psf_to_otf, psnr
from deconv.imaging.psf import gaussian, motion
from deconv.restore.derivatives import Gradient
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.problem import Problem

SHARP = latent_image()[:56, :48]
PSFS = [motion(9, 0).double(), motion(9, 90).double()]
QUICK = {
    "wiener": {"noise_to_signal": 1e-2},
    "tikhonov": {"weight": 1e-2},
    "total_variation": {"weight": 1e-3, "num_iter": 15},
    "richardson_lucy": {"tv": 0.01, "num_iter": 15},
    "hyper_laplacian": {"weight": 1e-3, "num_iter": 5},
    "l0_gradient": {"weight": 1e-3, "num_iter": 5},
    "plug_and_play": {"num_iter": 2},
}


def observed(noises: tuple[float, float], boundary: str = "circular", sharp: np.ndarray = SHARP) -> list[np.ndarray]:
    return [
        degrade(sharp, psf, noise=noise, seed=seed, boundary=boundary)
        for seed, (psf, noise) in enumerate(zip(PSFS, noises, strict=True))
    ]


@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
def test_the_stacked_blur_and_its_adjoint(boundary):
    shares = torch.tensor([0.2, 0.3, 0.5]).double().reshape(3, 1, 1, 1, 1)
    images, psfs = random(3, 2, 1, 7, 9), random(3, 1, 1, 3, 2, seed=4).abs()
    stacked = PaddedDomain(images, psfs, boundary=boundary, shares=shares)
    x, y = random(2, 1, *stacked.shape), random(3, 2, 1, *stacked.shape, seed=1)
    torch.testing.assert_close((shares * stacked.blur(x) * y).sum(), (x * stacked.blur_adjoint(y)).sum())
    for i, psf in enumerate(psfs):
        torch.testing.assert_close(stacked.blur(x)[i], convolve(x, psf[0, 0], boundary="circular"))
    normal = stacked.blur_adjoint(stacked.blur(x))
    torch.testing.assert_close(normal, stacked.ifft(stacked.forward.power * stacked.fft(x)))


@pytest.mark.parametrize("name", QUICK)
def test_frames_that_are_blurred_alike_count_like_their_mean(name):
    frames = [degrade(SHARP, PSF, noise=0.01, seed=seed) for seed in range(3)]
    method, options = getattr(restore, name), QUICK[name]
    together = method(frames, PSF, sigma=0.01, **options)
    alone = method(np.mean(frames, 0), PSF, sigma=0.01 / 3**0.5, **options)
    assert agreement(together, alone) > 60


def test_a_noisy_frame_counts_by_its_variance():
    """y1 of variance 1 and y2 of variance 4 are as good as (4 y1 + y2) / 5 of variance 4/5."""
    y1, y2 = (degrade(SHARP, PSF, noise=noise, seed=seed) for seed, noise in enumerate((0.01, 0.02)))
    together = restore.tikhonov([y1, y2], PSF, sigma=[0.01, 0.02])
    alone = restore.tikhonov((4 * y1 + y2) / 5, PSF, sigma=0.01 * 0.8**0.5)
    assert agreement(together, alone) > 60
    estimated = restore.tikhonov([y1, y2], PSF)
    assert agreement(together, estimated) > 40


def test_wiener_has_the_closed_form_of_several_frames():
    """sum conj(H_i) Y_i / s_i^2 over sum |H_i|^2 / s_i^2 + the inverse of the latent image's spectrum."""
    sigmas, ratio = (0.01, 0.03), 1e-3
    frames = [torch.from_numpy(frame) for frame in observed(sigmas)]
    otfs = [psf_to_otf(psf, SHARP.shape) for psf in PSFS]
    slope = Gradient(2).power(SHARP.shape, frames[0])
    noise = 1 / sum(s**-2 for s in sigmas)
    prior = ratio / noise * (slope + slope.square())
    mean = torch.stack([frame.mean() / s**2 for frame, s in zip(frames, sigmas, strict=True)]).sum() * noise
    above = sum(h.conj() * torch.fft.rfft2(y - mean) / s**2 for h, y, s in zip(otfs, frames, sigmas, strict=True))
    below = sum(h.abs().square() / s**2 for h, s in zip(otfs, sigmas, strict=True)) + prior
    expected = torch.fft.irfft2(above / below, s=SHARP.shape) + mean
    found = restore.wiener(frames, PSFS, sigma=sigmas, noise_to_signal=ratio, boundary="circular")
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backgrounds", [0.0, [0.05, 0.2]])
def test_richardson_lucy_climbs_the_likelihood_of_all_frames_and_keeps_their_light(backgrounds):
    frames = [torch.from_numpy(frame.clip(0))[None, None] for frame in observed((0.01, 0.02))]
    offsets = [0.0, 0.0] if backgrounds == 0.0 else backgrounds
    frames = torch.stack([frame + offset for frame, offset in zip(frames, offsets, strict=True)])
    weights = torch.tensor([4.0, 1.0]).double() / 5
    light = sum(w * (y - b).sum() for w, y, b in zip(weights, frames, offsets, strict=True))
    deviances = []

    def record(_, latent):
        blurred = [convolve(latent, h, boundary="circular") + b for h, b in zip(PSFS, offsets, strict=True)]
        each = [(u - y * u.log()).sum() for y, u in zip(frames, blurred, strict=True)]
        deviances.append(float(sum(w * d for w, d in zip(weights, each, strict=True))))
        torch.testing.assert_close(latent.sum(), light, rtol=1e-4, atol=0)
        assert float(latent.min()) >= 0

    options = {"boundary": "circular", "tv": 0, "accelerate": False, "num_iter": 12, "background": backgrounds}
    restore.richardson_lucy(frames, PSFS, frames=True, sigma=[0.01, 0.02], callback=record, **options)
    assert all(after < before for before, after in itertools.pairwise(deviances))


@pytest.mark.parametrize("name", ["wiener", "tikhonov", "total_variation", "richardson_lucy", "hyper_laplacian"])
def test_blurs_across_each_other_complete_each_other(name):
    method, sharp = getattr(restore, name), latent_image()
    frames = observed((0.01, 0.01), "reflect", sharp)
    alone = [psnr(method(frame, psf), sharp) for frame, psf in zip(frames, PSFS, strict=True)]
    assert psnr(method(frames, PSFS), sharp) > max(alone) + 3


def test_what_one_frame_misses_another_shows():
    frames = observed((0.01, 0.01), "reflect")
    masks = [np.ones(SHARP.shape, bool), np.ones(SHARP.shape, bool)]
    masks[0][10:30, 10:30] = False
    frames[0][10:30, 10:30] = np.nan
    frames[1][35:50, 20:40] = np.nan
    masks[1][35:50, 20:40] = False
    for method in (restore.wiener, restore.total_variation, restore.richardson_lucy):
        restored = method(frames, PSFS, mask=masks)
        found = restored[10:30, 10:30], restored[35:50, 20:40]
        truth = SHARP[10:30, 10:30], SHARP[35:50, 20:40]
        assert min(psnr(a, b) for a, b in zip(found, truth, strict=True)) > 22


def test_frames_come_in_every_layout():
    first = corner()
    second = np.roll(first, 0, 0) + 0.01 * random(*first.shape).numpy()
    options = {"num_iter": 3, "sigma": [0.01, 0.02], "weight": 0.01}
    expected = restore.total_variation([first, second], PSF, **options)
    assert expected.shape == first.shape
    batch = np.stack([first, second])
    np.testing.assert_allclose(restore.total_variation(batch, PSF, frames=True, **options), expected)
    colour = np.stack([batch] * 3, -1)
    found = restore.total_variation(colour, PSF, frames=True, **options)
    assert found.shape == (*first.shape, 3)
    np.testing.assert_allclose(found[..., 1], expected, atol=1e-9)
    tensors = torch.from_numpy(batch)[:, None, None]
    found = restore.total_variation(tensors, [PSF, PSF[None, None]], frames=True, **options)
    np.testing.assert_allclose(found[0, 0].numpy(), expected)
    bytes_ = (255 * batch.clip(0, 1)).round().astype(np.uint8)
    assert restore.wiener((*bytes_,), PSF).dtype == np.uint8
    volumes = np.stack([batch[:, :24, :20]] * 2)
    psf = torch.stack([gaussian(1.0, 5), gaussian(1.0, 5), gaussian(1.0, 5)]).double() / 3
    assert restore.richardson_lucy(volumes, [psf, PSF[None]], frames=True, num_iter=2).shape == volumes.shape[1:]


def test_psfs_of_any_sizes_keep_their_centres():
    sharp = latent_image()[:32, :32]
    frames = [sharp, convolve(torch.from_numpy(sharp)[None, None], PSF, boundary="circular")[0, 0].numpy()]
    restored = restore.tikhonov(frames, [torch.ones(1, 1).double(), PSF], boundary="circular", weight=1e-9)
    assert agreement(restored, sharp) > 60


def test_the_layer_learns_from_frames():
    frames = torch.from_numpy(np.stack(observed((0.01, 0.01)))).requires_grad_()
    psfs = [psf.clone().requires_grad_() for psf in PSFS]
    layer = restore.Restoration("total_variation", weight=0.01, learn=["weight"], num_iter=3, frames=True)
    layer(frames, psfs).square().sum().backward()
    assert all(bool(tensor.grad.abs().sum() > 0) for tensor in (frames, *psfs, *layer.parameters()))


def test_what_frames_are_not():
    y = corner()
    with pytest.raises(ValueError, match=r"register and crop them first; given the shapes \(48, 40\), \(47, 40\)"):
        restore.wiener([y, y[1:]], PSF)
    with pytest.raises(ValueError, match="psf: expected one for all frames, or a list of 2, given 3"):
        restore.wiener([y, y], [PSF] * 3)
    with pytest.raises(ValueError, match="sigma: expected one for all frames, or a list of 2, given 1"):
        restore.wiener([y, y], PSF, sigma=[0.1])
    with pytest.raises(ValueError, match="background: expected one for all frames, or a list of 2, given 3"):
        restore.richardson_lucy([y, y], PSF, background=[0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match="image: expected one frame at least"):
        restore.wiener([], PSF)
    with pytest.raises(ValueError, match=r"frames: expected a list of images, or a batch .* shape \(48, 40\)"):
        restore.wiener(y, PSF, frames=True)
    with pytest.raises(
        ValueError, match="unsupervised_wiener: takes one image and one psf; several frames are for wiener, tikh"
    ):
        restore.unsupervised_wiener([y, y], PSF)
    with pytest.raises(ValueError, match='"recursive" is for one image and psf'):
        restore.wiener([y, y], PSF, division="recursive")
    with pytest.raises(ValueError, match="psf: expected one for all frames, or a list of 2, given 3"):
        restore.tiled("wiener", [y, y], [PSF] * 3)
    with pytest.raises(ValueError, match="psf: expected as many axes for each frame, given some for images and some"):
        restore.tiled("wiener", [y, y], [PSF, PSF[None]])
    with pytest.raises(ValueError, match="out: must not be the image itself"):
        restore.tiled("wiener", [y, y], PSF, out=y)
    with pytest.raises(ValueError, match="flow_posterior takes one frame"):
        restore.flow_posterior([y, y], PSF)


@pytest.mark.parametrize("method", ["richardson_lucy", "total_variation"])
def test_tiles_of_frames_agree_with_the_whole(method):
    """Noise, masks and psfs of their own; a tile without any pixel of a frame is made of the others."""
    sharp = np.tile(SHARP, (4, 3))
    psfs = [motion(9, 0).double(), motion(7, 90).double()]
    frames = [
        degrade(sharp, psf, noise=noise, boundary="reflect", seed=seed)
        for psf, noise, seed in zip(psfs, (0.02, 0.015), (0, 1), strict=True)
    ]
    known = np.ones(sharp.shape, bool)
    known[20:100, 30:90] = False
    whole = getattr(restore, method)(frames, psfs, mask=[None, known], **QUICK[method])
    tiles = restore.tiled(method, frames, psfs, mask=[None, known], tile=100, **QUICK[method])
    assert tiles.shape == sharp.shape
    assert psnr(tiles, whole) > 50
    batch = restore.tiled(method, np.stack(frames), psfs, mask=[None, known], tile=100, frames=True, **QUICK[method])
    np.testing.assert_array_equal(batch, tiles)
    alone = restore.tiled(method, frames[0], psfs[0], tile=100, **QUICK[method])
    assert psnr(tiles, sharp) > psnr(alone, sharp) + 0.3


def test_statistics_of_frames_are_those_of_their_mean():
    arrays = [degrade(SHARP, PSF, noise=0.02, seed=seed)[None, None] for seed in range(4)]
    frames = torch.from_numpy(np.stack(arrays))
    many = Problem.of(frames, PSF.expand(4, 1, 1, *PSF.shape), num_iter=1, sigma=0.02, frames=True)
    one = Problem.of(frames.mean(0), PSF, num_iter=1, sigma=0.01)
    for name in ("sigma", "contrast", "brightness", "typical_contrast", "slopes"):
        a, b = (getattr(p.statistics, name) * p.unit for p in (many, one))
        torch.testing.assert_close(a, b, rtol=0.02, atol=0)
