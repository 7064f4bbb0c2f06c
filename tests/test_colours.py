"""Colours restored as what they have in common and two differences."""

import numpy as np
import pytest
import torch
from skimage import data

import deconv
from deconv import restore
from deconv.imaging.psf import disk, motion
from deconv.restore.colours import go_together, join, noise_of_opponents, split
from deconv.restore.data_term import DataTerm
from deconv.restore.methods import METHODS
from deconv.restore.padded_domain import PaddedDomain

PSF = motion(7, 30.0)
SIGMA = 0.01
QUICK = [name for name, row in METHODS.items() if row.opponents and name not in ("recursive", "epll", "flow")]


def photograph(size=96, gain=1.0):
    """A colour photograph, `H x W x 3`, and its blur with noise."""
    sharp = (
        torch.from_numpy(data.astronaut()[40 : 40 + size, 170 : 170 + size] / 255.0).permute(2, 0, 1)[:, None] * gain
    )
    blurred = torch.nn.functional.conv2d(sharp, PSF.double().flip(0, 1)[None, None])
    blurred = blurred + SIGMA * torch.randn(
        blurred.shape, dtype=blurred.dtype, generator=torch.Generator().manual_seed(0)
    )
    inside = tuple(slice((n - 1) // 2, size - n // 2) for n in PSF.shape)
    return sharp[:, 0].permute(1, 2, 0)[inside].numpy(), blurred[:, 0].permute(1, 2, 0).numpy()


def error(sharp, restored):
    return float(np.sqrt(np.mean((sharp - restored)[8:-8, 8:-8] ** 2)))


def test_opponent_colours_are_orthonormal():
    image = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(join(split(image)), image)
    other = torch.randn(6, 1, 5, 6, dtype=torch.float64)
    torch.testing.assert_close((split(image) * other).sum(), (image * join(other)).sum())
    grey = torch.full((1, 3, 1, 1), 2.0, dtype=torch.float64)
    torch.testing.assert_close(split(grey).flatten(), torch.tensor([2 * 3**0.5, 0, 0], dtype=torch.float64))


def test_noise_of_opponent_colours():
    sigma = torch.tensor([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])
    noise = sigma[..., None, None] * torch.randn(2, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(noise_of_opponents(sigma), split(noise).std((1, 2, 3)), rtol=0.02, atol=0)
    torch.testing.assert_close(noise_of_opponents(torch.tensor(0.2)), torch.full((3,), 0.2))


@pytest.mark.parametrize("name", QUICK)
def test_each_is_restored_as_a_grey_image(name):
    _, blurred = photograph(48)
    given = {"sigma": SIGMA, "num_iter": 5}
    restored = METHODS[name](blurred, PSF, colours=True, **given)
    opponents = split(torch.from_numpy(blurred).permute(2, 0, 1)[None])
    one_by_one = torch.stack([METHODS[name](each[0], PSF, **given) for each in opponents])
    np.testing.assert_allclose(restored, join(one_by_one[:, None])[0].permute(1, 2, 0), atol=2e-6)


@pytest.mark.parametrize("name", ["wiener", "total_variation", "hyper_laplacian", "network"])
def test_a_photograph_gains(name):
    sharp, blurred = photograph()
    together, apart = (error(sharp, METHODS[name](blurred, PSF, colours=colours)) for colours in (None, False))
    assert together < 0.93 * apart  # 0.6 dB


def test_a_batch_gives_what_its_photographs_give():
    pair = np.stack([photograph(48)[1], photograph(48)[1][::-1, ::-1]])
    batch = torch.from_numpy(pair.copy()).permute(0, 3, 1, 2)
    noise = torch.tensor([0.01, 0.02])
    restored = restore.hyper_laplacian(batch, PSF, sigma=noise, num_iter=5)
    for image, sigma, expected in zip(batch, noise, restored, strict=True):
        torch.testing.assert_close(restore.hyper_laplacian(image, PSF, sigma=sigma, num_iter=5), expected)


def test_bright_photographs_stay_apart():
    _, blurred = photograph(48, gain=4.0)
    image = np.round(255 * np.clip(blurred, 0, 1)).astype(np.uint8)
    known, apart = (restore.total_variation(image, PSF, num_iter=3, mask="auto", colours=c) for c in (None, False))
    np.testing.assert_array_equal(known, apart)


def scene(name: str) -> np.ndarray:
    sharp = data.coffee()[60:220, 120:300] / 255
    rows, columns = np.mgrid[: sharp.shape[0], : sharp.shape[1]]
    if name == "sky":
        return np.where((rows < 60)[..., None], 1.0, sharp)
    for row, column in ((30, 40), (70, 120), (110, 60), (130, 140)):
        sharp[np.hypot(rows - row, columns - column) < 4] = 5.0
    return 0.4 * sharp if name == "lamps" else sharp


@pytest.mark.parametrize(("name", "expected"), [("sky", True), ("lamps", False)])
def test_what_is_white_goes_together_where_it_is_no_brighter(name, expected):
    """Paper and sky are white in the noise, too; lamps, however few, are brighter than white in all colours."""
    sharp, psf = scene(name), disk(3.0)
    blurred = deconv.degrade(sharp, psf, noise=0.004, seed=0).clip(0, 1)
    image, truth = np.round(255 * blurred) / 255, sharp[3:-3, 3:-3].clip(0, 1)
    restored = {c: restore.hyper_laplacian(image, psf, white=1.0, colours=c).clip(0, 1) for c in (None, True, False)}
    np.testing.assert_array_equal(restored[None], restored[expected])
    assert error(truth, restored[expected]) < error(truth, restored[not expected])


def test_channels_that_have_nothing_in_common_stay_apart():
    images = [data.camera()[:99, :99], data.coins()[:99, :99], data.page()[:99, :99]]
    assert not go_together(torch.from_numpy(np.stack(images)[None] / 255.0), 5)
    assert not go_together(torch.rand(1, 1, 40, 40).expand(1, 3, 40, 40), 5)  # a grey picture
    assert not go_together(torch.stack([torch.ones(9, 9), *torch.rand(2, 9, 9)])[None], 5)
    assert go_together(torch.from_numpy(photograph()[1]).permute(2, 0, 1)[None], 5)
    together, apart = (restore.wiener(np.stack(images), PSF, channel_axis=0, colours=c) for c in (None, False))
    np.testing.assert_array_equal(together, apart)


def test_a_channel_that_is_missing_does_not_take_the_others_along():
    sharp, blurred = photograph(64)
    mask = np.ones(blurred.shape)
    mask[:, :24, 0] = 0
    restored = restore.total_variation(blurred, PSF, mask=mask, sigma=SIGMA)
    seen = [image[:, :24, 1:] for image in (sharp, restored, blurred)]
    assert error(seen[0], seen[1]) < 0.7 * error(seen[0], seen[2])
    mask[:] = 1
    mask[9, 9, 0] = 0  # one hot pixel is no reason
    together, apart = (restore.wiener(blurred, PSF, mask=mask, colours=c) for c in (None, False))
    assert np.abs(together - apart).max() > 1e-3


def test_what_is_known_of_one_colour_keeps_them_apart():
    _, blurred = photograph(48)
    psfs = torch.stack([disk(2), disk(2.2), disk(2.4)])[None]
    given = {"weight": torch.tensor([0.01, 0.02, 0.03]).view(1, 3, 1, 1)}
    together, apart = (restore.total_variation(blurred, PSF, num_iter=3, colours=c, **given) for c in (None, False))
    np.testing.assert_array_equal(together, apart)
    with pytest.raises(ValueError, match="colours: total_variation takes three channels"):
        restore.total_variation(blurred, PSF, colours=True, **given)
    together, apart = (restore.wiener(blurred, psfs, colours=c) for c in (None, False))
    np.testing.assert_array_equal(together, apart)
    with pytest.raises(ValueError, match="colours: wiener takes three channels"):
        restore.wiener(blurred[..., :2], PSF, channel_axis=2, colours=True)
    with pytest.raises(ValueError, match="colours: richardson_lucy"):
        restore.richardson_lucy(blurred, PSF, colours=True)


def clipped_domains(size=40, dtype=torch.float64):
    """One observation with clipped pixels, laid out by its colours and by their opponents."""
    image = torch.rand(2, 3, size, size, dtype=dtype, generator=torch.Generator().manual_seed(1))
    ends = (image > 0.8).to(dtype) - (image < 0.1).to(dtype)
    psf = PSF.to(dtype)
    return (
        PaddedDomain(image, psf, clipped=ends),
        PaddedDomain(split(image), psf, clipped=ends, colours=True),
    )


def test_clipped_pixels_are_of_single_colours():
    domain, opponents = clipped_domains()
    latent = 3 * torch.rand(2, 3, *domain.shape, dtype=torch.float64) - 1
    torch.testing.assert_close(join(opponents.target(split(latent))), domain.target(latent))
    misfit = opponents.misfit(split(latent)).view(2, 3).sum(1)
    torch.testing.assert_close(misfit, domain.misfit(latent))
    shifted = opponents.minus(split(torch.full((2, 3, 1, 1), 0.3, dtype=torch.float64)))
    torch.testing.assert_close(shifted.misfit(split(latent - 0.3)).sum(), domain.misfit(latent).sum())
    left_out = domain.active(latent).mask == 0
    assert bool((opponents.active(split(latent)).mask.view(2, 3, *domain.shape) == 0)[left_out].all())


@pytest.mark.parametrize("size", [40, 300])  # as it is, and compiled
def test_the_data_term_is_that_of_the_colours(size):
    domain, opponents = clipped_domains(size)
    start = domain.start()
    terms = DataTerm(domain, start), DataTerm(opponents, split(start))
    for _ in range(3):
        spectra = [term.solve(1e-2) for term in terms]
        latents = [each.domain.ifft(spectrum) for each, spectrum in zip(terms, spectra, strict=True)]
        torch.testing.assert_close(join(latents[1]), latents[0])
        for term, spectrum, latent in zip(terms, spectra, latents, strict=True):
            term.update(spectrum, latent)


def test_tiles_give_what_the_whole_gives():
    _, blurred = photograph(160)
    image = np.round(255 * np.clip(0.9 * blurred, 0, 1)).astype(np.uint8)
    whole = restore.hyper_laplacian(image, PSF, mask="auto").astype(float)
    tiles = restore.tiled("hyper_laplacian", image, PSF, tile=90, mask="auto").astype(float)
    apart = restore.tiled("hyper_laplacian", image, PSF, tile=90, mask="auto", colours=False).astype(float)
    assert error(whole, tiles) < 0.2 * error(whole, apart)


def test_chunks_of_dask_arrays_do_if_asked():
    da = pytest.importorskip("dask.array")
    _, blurred = photograph(120)
    whole = restore.wiener(blurred, PSF)
    lazy = da.from_array(blurred, chunks=(60, 60, 3))
    errors = [error(whole, restore.tiled("wiener", lazy, PSF, colours=colours).compute()) for colours in (True, None)]
    assert errors[0] < 0.2 * errors[1]
