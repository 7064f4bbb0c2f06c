"""The Wiener filter: against dense algebra, by FFT against by recursion, and on photographs."""

import numpy as np
import pytest
import torch

from deconv.imaging.boundary import crop
from deconv.imaging.convolution import convolve, valid_margins
from deconv.imaging.degradation import degrade
from deconv.imaging.metrics import psnr
from deconv.imaging.psf import box, camera_shake, disk, gaussian, motion
from deconv.restore import wiener
from deconv.restore.algorithms.wiener import iterates
from deconv.restore.problem import Problem


def photograph(name="camera"):
    from skimage import data

    return (getattr(data, name)() / 255).astype(np.float32)


def observe(sharp, psf, *, noise=0.01, seed=0):
    """The observation of a latent image `H x W`, and the part of it in the frame."""
    observed = degrade(sharp, psf, noise=noise, seed=seed)
    return observed, crop(torch.from_numpy(sharp), valid_margins(psf.shape)).numpy()


def squares(n):
    """Spectrum of the squared gradient on one axis."""
    return 2 - 2 * np.cos(2 * np.pi * np.arange(n) / n)


def random(*shape, seed=0):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 16), (15, 21), (1, 12), (6, 7, 8)], ids=str)
def test_on_a_torus_it_is_the_quotient_of_spectra(shape):
    y, psf = random(*shape).numpy(), random(*[min(3, n) for n in shape], seed=1).numpy()
    psf /= psf.sum()
    ratio = 0.03
    placed = np.zeros(shape)
    placed[tuple(slice(0, s) for s in psf.shape)] = psf
    h = np.fft.fftn(np.roll(placed, [-((s - 1) // 2) for s in psf.shape], range(len(shape))))
    g = sum(np.ix_(*map(squares, shape)))
    expected = np.fft.ifftn(h.conj() / (abs(h) ** 2 + ratio * (g + g**2)) * np.fft.fftn(y)).real
    found = wiener(y[None, None], psf, noise_to_signal=ratio, boundary="circular")[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("mask", [False, True])
def test_with_an_unknown_boundary_it_solves_the_normal_equations(mask):
    y, psf = random(1, 1, 9, 10), random(3, 4, seed=1)
    weight = (random(1, 1, 9, 10, seed=2) > 0.2).double() if mask else None
    ratio = 0.05
    problem = Problem.of(y, psf, num_iter=2000, sigma=0.1, mask=weight)
    latents = iterates(problem, noise_to_signal=ratio)
    for _ in range(2000):
        latent = next(latents)

    shape = problem.domain.shape
    count = shape[0] * shape[1]
    identity = torch.eye(count, dtype=torch.float64).reshape(count, 1, *shape)
    blur = convolve(identity, psf, boundary="circular").reshape(count, count).T.numpy()
    seen = problem.domain.mask.flatten().numpy()
    g = squares(shape[0])[:, None] + squares(shape[1])
    penalty = np.fft.ifft2((g + g * g) * np.fft.fft2(identity[:, 0].numpy())).real.reshape(count, count)
    expected = np.linalg.solve(
        blur.T @ (seen[:, None] * blur) + ratio * penalty,
        blur.T @ problem.domain.observed.flatten().numpy(),
    )
    np.testing.assert_allclose(latent.flatten(), expected, atol=1e-6)
    residual = seen * (problem.domain.observed.flatten().numpy() - blur @ expected)
    roughness = ratio * expected @ penalty @ expected
    np.testing.assert_allclose(latents.objective(latent), (residual**2).sum() + roughness)


PSFS = {
    "motion": motion(15, 30),
    "straight motion": motion(15, 0),
    "gaussian": gaussian(2.0),
    "shake": camera_shake(19, seed=1),
    "disk": disk(4.0),
    "even sizes": box((4, 6)),
}


@pytest.mark.parametrize("name", PSFS)
def test_both_divisions_are_the_same_filter(name):
    observed, _ = observe(photograph(), PSFS[name])
    by_fft = wiener(observed, PSFS[name])
    by_recursion = wiener(observed, PSFS[name], division="recursive")
    assert psnr(by_recursion, by_fft, border=20) > 45
    assert psnr(by_recursion, by_fft) > 42


def test_both_divisions_agree_after_refinement():
    psf = PSFS["motion"]
    observed, latent = observe(photograph()[:256, :256], psf)
    by_fft, by_recursion = (wiener(observed, psf, division=d, num_iter=6) for d in ("fft", "recursive"))
    assert psnr(by_recursion, by_fft, border=20) > 42
    assert abs(psnr(by_fft, latent) - psnr(by_recursion, latent)) < 0.5


# What the default parameters reach, a tenth of a decibel below.
@pytest.mark.parametrize(
    ("name", "noise", "least"),
    [
        ("shake", 0.01, 28.0),
        ("shake", 0.003, 30.5),
        ("motion", 0.01, 27.2),
        ("straight motion", 0.003, 30.0),
        ("gaussian", 0.01, 27.8),
        ("disk", 0.01, 27.2),
    ],
)
def test_a_photograph_comes_out_well_by_default(name, noise, least):
    observed, latent = observe(photograph(), PSFS[name], noise=noise)
    assert psnr(wiener(observed, PSFS[name]), latent) > least


def test_the_border_is_about_as_good_as_the_inside():
    observed, latent = observe(photograph(), PSFS["motion"])
    restored = wiener(observed, PSFS["motion"])
    assert psnr(restored, latent) > psnr(restored, latent, border=20) - 0.3
    torn = wiener(observed, PSFS["motion"], boundary="circular")
    assert psnr(restored, latent) > psnr(torn, latent) + 3


def test_iterations_improve_the_border():
    observed, latent = observe(photograph(), PSFS["shake"])
    assert psnr(wiener(observed, PSFS["shake"], num_iter=10), latent) >= psnr(wiener(observed, PSFS["shake"]), latent)


@pytest.mark.parametrize("division", ["fft", "recursive"])
@pytest.mark.parametrize("psf", [gaussian(1.5), camera_shake(9, seed=0)], ids=["gaussian", "shake"])
def test_one_colour_stays(psf, division):
    image = np.full((40, 50), 0.4)
    np.testing.assert_allclose(wiener(image, psf, division=division), image, atol=1e-6)
    np.testing.assert_allclose(wiener(image, psf, division=division, noise_to_signal=0.01), image, atol=1e-6)


def test_a_point_without_noise_returns_the_image():
    image = photograph()[:64, :70]
    point = torch.zeros(3, 3)
    point[1, 1] = 1
    np.testing.assert_allclose(wiener(image, point, sigma=0.0), image, atol=1e-4)
    np.testing.assert_allclose(wiener(image, torch.ones(1, 1), sigma=0.0), image, atol=1e-4)


def test_a_moved_psf_moves_the_result():
    psf = camera_shake(7, seed=0)
    moved = torch.zeros(11, 11)
    moved[4:11, 3:10] = psf  # the centre of 11 is 5, of 7 it is 3: down by 2, right by 1
    still = torch.zeros(11, 11)
    still[2:9, 2:9] = psf
    image = photograph()[:100, :100]
    arguments = {"noise_to_signal": 0.01, "boundary": "circular"}
    expected = np.roll(wiener(image, still, **arguments), (-2, -1), (0, 1))
    np.testing.assert_allclose(wiener(image, moved, **arguments), expected, atol=1e-4)


@pytest.mark.parametrize("scale", [0.01, 300.0])
def test_the_unit_of_the_image_does_not_matter(scale):
    psf = gaussian(1.5)
    observed, _ = observe(photograph()[:128, :128], psf)
    expected = wiener(observed, psf)
    np.testing.assert_allclose(wiener(observed * scale, psf) / scale, expected, atol=2e-4)


def test_kinds_and_layouts_agree():
    psf = gaussian(1.2)
    colour = photograph("astronaut")[100:180, 100:190]
    as_tensor = torch.from_numpy(colour).permute(2, 0, 1)
    expected = wiener(colour, psf)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(wiener(as_tensor, psf).permute(1, 2, 0), expected, atol=1e-5)
    np.testing.assert_allclose(wiener(as_tensor[None], psf.numpy())[0].permute(1, 2, 0), expected, atol=1e-5)
    np.testing.assert_allclose(wiener(colour.astype(np.float64), psf), expected, atol=1e-4)
    for dtype, full, step in ((np.uint8, 255, 1 / 255), (np.uint16, 65535, 2e-3)):
        coded = wiener((colour * full).round().astype(dtype), psf, noise_to_signal=0.01)
        plain = wiener(colour, psf, noise_to_signal=0.01)
        assert coded.dtype == dtype
        np.testing.assert_allclose(coded / full, plain.clip(0, 1), atol=2 * step)


@pytest.mark.parametrize("division", ["fft", "recursive"])
def test_a_batch_gives_what_its_samples_give(division):
    # The second sample is refined and the first is not, as one is noisy and the other is not.
    psf = camera_shake(9, seed=1).double()
    noise = (0.05, 0.002)
    samples = [degrade(torch.from_numpy(photograph()[None, None, 150:230, i : i + 90]).double(), psf, noise=n, seed=1)
               for i, n in zip((100, 200), noise, strict=True)]  # fmt: skip
    for n in (1, 3):
        together = wiener(torch.cat(samples), psf, sigma=torch.tensor(noise), num_iter=n, division=division)
        for i, sample in enumerate(samples):
            alone = wiener(sample, psf, sigma=noise[i], num_iter=n, division=division)
            # Spectral factors of a batch have one size, which suits the worst of them.
            assert psnr(together[i : i + 1], alone) > (100 if division == "fft" else 45)


def test_each_sample_has_its_own_ratio():
    image = random(2, 1, 30, 30)
    psf = gaussian(1.0).double()
    ratio = torch.tensor([0.003, 0.2], dtype=torch.float64)
    together = wiener(image, psf, noise_to_signal=ratio)
    for i in range(2):
        alone = wiener(image[i : i + 1], psf, noise_to_signal=float(ratio[i]))
        torch.testing.assert_close(together[i : i + 1], alone)


@pytest.mark.parametrize("division", ["fft", "recursive"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_extreme_images_stay_finite(division, value):
    for shape in ((1, 20), (20, 1), (7, 7)):
        restored = wiener(np.full(shape, value, np.float32), camera_shake(7, seed=0), division=division)
        assert restored.shape == shape
        np.testing.assert_allclose(restored, value, atol=1e-3)


def test_the_former_name_of_division_is_still_taken():
    image = photograph()[:40, :40]
    with pytest.warns(DeprecationWarning, match="is now division="):
        former = wiener(image, gaussian(1.0), method="recursive")
    np.testing.assert_array_equal(former, wiener(image, gaussian(1.0), division="recursive"))


def test_results_are_the_same_from_run_to_run():
    observed, _ = observe(photograph()[:100, :100], PSFS["shake"])
    for division in ("fft", "recursive"):
        first, second = (wiener(observed, PSFS["shake"], division=division) for _ in range(2))
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("division", ["fft", "recursive"])
def test_gradients_reach_the_image(division):
    image = random(1, 1, 8, 9).requires_grad_()
    psf = gaussian(0.7, size=3).double()
    assert torch.autograd.gradcheck(lambda x: wiener(x, psf, noise_to_signal=0.1, division=division), image)


def test_volumes():
    psf = torch.ones(3, 3, 3, dtype=torch.float64) / 27
    volume = random(12, 13, 14)
    blurred = convolve(volume[None, None], psf, boundary="circular")[0, 0]
    restored = wiener(blurred, psf, noise_to_signal=1e-6, boundary="circular")
    assert psnr(restored, volume) > psnr(blurred, volume) + 5
    with pytest.raises(ValueError, match=r"^division: "):
        wiener(blurred, psf, division="recursive")


@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (ValueError, "division", {"division": "dct"}),
        (ValueError, "noise_to_signal", {"noise_to_signal": 0.0}),
        (ValueError, "noise_to_signal", {"noise_to_signal": float("inf")}),
        (ValueError, "noise_to_signal", {"noise_to_signal": torch.ones(1, 1)}),
        (ValueError, "boundary", {"boundary": "open"}),
        (ValueError, "image", {"image": np.full((8, 8), np.nan)}),
        (TypeError, "image", {"image": "photo.png"}),
    ],
)
def test_what_is_refused(error, name, arguments):
    with pytest.raises(error, match=f"^{name}: "):
        wiener(**{"image": np.ones((8, 8)), "psf": gaussian(1.0)} | arguments)
