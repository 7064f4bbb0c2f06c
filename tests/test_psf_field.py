"""A psf that varies over the field: its components, the operator, dense solutions, and what it gains over tiles."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, corner, latent_image, random

from deconv import restore
from deconv.imaging import psnr
from deconv.imaging.psf import gaussian
from deconv.restore.derivatives import Gradient
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.psf_components import PsfComponents
from deconv.restore.psf_field import PsfField
from deconv.restore.sampled_field import sampled

METHODS = ["wiener", "tikhonov", "total_variation", "richardson_lucy", "hyper_laplacian", "plug_and_play"]


def random_field(*shape: int) -> torch.Tensor:
    """A grid of psfs, `(gy, gx, kh, kw)` or with one more axis each, that have nothing in common."""
    psfs = random(*shape, seed=3).abs()
    axes = tuple(range(len(shape) // 2, len(shape)))
    return psfs / psfs.sum(axes, keepdim=True)


def comets(rows: np.ndarray, columns: np.ndarray, size: int = 11) -> np.ndarray:
    """Psfs with tails that point away from the middle and grow with the distance from it, for places in [-1, 1]."""
    y, x = np.mgrid[:size, :size] - size // 2
    fy, fx = rows[..., None, None], columns[..., None, None]
    psfs = 0
    for t in np.linspace(0, 1, 7):
        width = 0.7 + 0.8 * t * np.hypot(fy, fx)
        psfs = psfs + (1 - 0.8 * t) * np.exp(-((y - 4 * t * fy) ** 2 + (x - 4 * t * fx) ** 2) / (2 * width**2))
    return psfs / psfs.sum((-2, -1), keepdims=True)


@functools.cache
def coma() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph, what is seen of it with a comet for each point of light, and comets on a grid of 3 x 3."""
    sharp, margin, size = latent_image(), 8, 11
    rows, columns = np.meshgrid(*(2 * (np.arange(n) + 0.5) / n - 1 for n in sharp.shape), indexing="ij")
    psfs = comets(rows, columns, size)
    spread = np.zeros((sharp.shape[0] + size - 1, sharp.shape[1] + size - 1))
    for i, j in itertools.product(range(size), repeat=2):
        spread[i : i + sharp.shape[0], j : j + sharp.shape[1]] += sharp * psfs[:, :, i, j]
    half = size // 2
    seen = spread[half:-half, half:-half] + 0.01 * random(*sharp.shape).numpy()
    inside = (slice(margin, -margin), slice(margin, -margin))
    centres = [
        2 * (margin + (np.arange(3) + 0.5) * (n - 2 * margin) / 3) / n - 1 for n in sharp.shape
    ]  # of the patches of what is seen, in the whole
    grid = comets(*np.meshgrid(*centres, indexing="ij"), size)
    return sharp[inside], seen[inside], grid


def dense(domain: PaddedDomain, operation) -> torch.Tensor:
    """The matrix of a linear map of images on the domain."""
    count = int(np.prod(domain.shape))
    units = torch.eye(count, dtype=torch.float64).reshape(count, 1, *domain.shape)
    return operation(units).reshape(count, count).T


@pytest.mark.parametrize("shape", [(2, 3, 3, 5), (1, 1, 2, 3), (3, 1, 2, 2, 3, 3)])
@pytest.mark.parametrize("boundary", ["unknown", "circular", "reflect"])
def test_the_blur_and_its_adjoint(shape, boundary):
    space = len(shape) // 2
    image = random(2, 3, *(5, 8, 9)[-space:])
    domain = PaddedDomain(image, PsfComponents.of(random_field(*shape)).to(image), boundary=boundary)
    x, y = random(2, 3, *domain.shape), random(2, 3, *domain.shape, seed=1)
    torch.testing.assert_close((domain.blur(x) * y).sum(), (x * domain.blur_adjoint(y)).sum())
    forward = domain.forward
    torch.testing.assert_close(forward.blur_of_spectrum(domain.fft(x)), domain.blur(x))
    torch.testing.assert_close(forward.spectrum_of_adjoint(y), domain.fft(domain.blur_adjoint(y)))
    torch.testing.assert_close(domain.blur(x).sum(), x.sum())  # all light is kept
    torch.testing.assert_close(domain.blur(torch.ones_like(x)).mean(), torch.ones_like(x).mean() * forward.gain.mean())


def test_every_point_of_light_is_seen_as_the_psf_of_its_place():
    image, psfs = random(1, 1, 9, 12), random_field(3, 4, 3, 3)
    domain = PaddedDomain(image, PsfComponents.of(psfs, tolerance=0).to(image))
    matrix = dense(domain, domain.blur)
    field = PsfField(psfs)
    for y, x in itertools.product(range(1, 8), range(1, 11)):
        place = (y + domain.margins[0][0]) * domain.shape[1] + x + domain.margins[1][0]
        spread = domain.crop(matrix[:, place].reshape(domain.shape))
        torch.testing.assert_close(spread[y - 1 : y + 2, x - 1 : x + 2], field((y, x), (9, 12)))
        torch.testing.assert_close(spread.sum(), torch.ones(()).double())


def test_the_power_is_the_diagonal_among_frequencies():
    image = random(1, 1, 6, 8)
    domain = PaddedDomain(image, PsfComponents.of(random_field(2, 2, 3, 3)).to(image), boundary="circular")
    matrix = dense(domain, lambda y: domain.blur(domain.blur_adjoint(y)))
    waves = torch.fft.fft2(torch.eye(48, dtype=torch.complex128).reshape(48, 6, 8), norm="ortho").reshape(48, 48)
    diagonal = torch.diagonal(waves @ matrix.to(waves) @ waves.mH).real.reshape(6, 8)
    torch.testing.assert_close(domain.forward.power, diagonal[:, :5])


def test_the_fewest_components_keep_the_light_in_its_place():
    psfs = torch.from_numpy(comets(*np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), indexing="ij")))
    rank = []
    for tolerance in (0.2, 0.03, 1e-6):
        parts = PsfComponents.of(psfs, tolerance=tolerance)
        back = torch.einsum("kyx,kab->yxab", parts.coefficients, parts.components)
        wrong = (back - psfs).abs().sum((-2, -1))
        assert float(wrong.max()) <= tolerance + 1e-12
        torch.testing.assert_close(parts.components[1:].sum((1, 2)), torch.zeros(len(parts.components) - 1).double())
        fewer = back - parts.coefficients[-1, ..., None, None] * parts.components[-1]
        assert float((fewer - psfs).abs().sum((-2, -1)).max()) > tolerance
        rank.append(len(parts.components) - 1)
    assert rank[0] < rank[1] < rank[2] < 25
    assert len(PsfComponents.of(PSF.expand(3, 3, *PSF.shape)).components) == 1


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
def test_a_constant_field_is_a_psf(name, boundary):
    options = {"boundary": boundary, "num_iter": 2 if name == "plug_and_play" else 5, "sigma": 0.01}
    method = getattr(restore, name)
    uniform = method(corner(), psf_field=PSF.expand(2, 3, *PSF.shape), **options)
    assert agreement(uniform, method(corner(), PSF, **options)) > (45 if name == "wiener" else 70)


def test_wiener_and_tikhonov_solve_their_equations():
    image, psfs = random(1, 1, 10, 9), random_field(2, 2, 3, 3)
    weight = (random(1, 1, 10, 9, seed=5) > -1).double()
    domain = PaddedDomain(image, PsfComponents.of(psfs).to(image), boundary="circular", mask=weight)
    blur = dense(domain, domain.blur)
    normal = blur.T @ (weight.reshape(-1, 1) * blur)
    pull = blur.T @ (weight * image).reshape(-1)

    def penalty(power):
        return dense(domain, lambda x: domain.ifft(power * domain.fft(x)))

    slope = Gradient(2).power(domain.shape, image)
    options = {"psf_field": psfs, "boundary": "circular", "mask": weight, "sigma": 0.1}
    expected = torch.linalg.solve(normal + penalty(0.1 * slope), pull).reshape(image.shape)
    found = restore.tikhonov(image, weight=0.1, order=1, num_iter=400, **options)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    mean = domain.image.mean()
    pull = blur.T @ (weight * (domain.image - mean)).reshape(-1)
    expected = torch.linalg.solve(normal + penalty(0.1 * (slope + slope.square())), pull).reshape(image.shape) + mean
    found = restore.wiener(image, noise_to_signal=0.1, num_iter=60, **options)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["wiener", "total_variation", "richardson_lucy"])
def test_one_solve_beats_tiles_and_the_mean_psf(name):
    sharp, seen, grid = coma()
    method = getattr(restore, name)
    restored = psnr(method(seen, psf_field=grid), sharp)
    assert restored > psnr(seen, sharp) + 2
    assert restored > psnr(method(seen, grid.mean((0, 1))), sharp) + 1.5
    assert restored > psnr(restore.tiled(name, seen, grid, progress=False), sharp)


def test_richardson_lucy_keeps_the_light_and_climbs_the_likelihood():
    _, seen, grid = coma()
    seen, deviances = torch.from_numpy(seen.clip(0)), []
    domain = PaddedDomain(seen[None, None], PsfComponents.of(grid).to(seen[None, None]), boundary="circular")

    def record(_, latent):
        blurred = domain.blur(latent[None, None])[0, 0]
        deviances.append(float((blurred - seen * blurred.log()).sum()))
        torch.testing.assert_close(latent.sum(), seen.sum(), rtol=1e-4, atol=0)

    options = {"psf_field": grid, "boundary": "circular", "tv": 0, "accelerate": False, "num_iter": 10}
    restore.richardson_lucy(seen, callback=record, **options)
    assert all(after < before for before, after in itertools.pairwise(deviances))


def test_a_volume_whose_psf_grows_along_z():
    """Slices that are the more blurred the deeper they are: one solve against the psf of the middle."""
    sharp = np.stack([latent_image()[k : k + 32, k : k + 28] for k in range(0, 24, 3)])
    psfs = torch.stack([gaussian(s, 9).double() for s in np.linspace(0.9, 2.1, 4)])[:, None, None, None]
    slices = torch.stack([gaussian(s, 9).double() for s in np.linspace(0.75, 2.25, 8)])
    seen = np.stack(
        [
            PaddedDomain(torch.from_numpy(layer)[None, None], h, boundary="circular")
            .blur(torch.from_numpy(layer)[None, None])[0, 0]
            .numpy()
            for layer, h in zip(sharp, slices, strict=True)
        ]
    )
    seen = seen + 0.005 * random(*seen.shape).numpy()
    for name in ("richardson_lucy", "total_variation"):
        method = getattr(restore, name)
        inside = (slice(None), slice(4, -4), slice(4, -4))
        gain = psnr(method(seen, psf_field=psfs)[inside], sharp[inside])
        gain -= psnr(method(seen, psfs[2, 0, 0])[inside], sharp[inside])
        assert gain > 0.5


def everywhere(function, frame: tuple[int, int]) -> torch.Tensor:
    """The psfs that a function of the place is taken for, at each pixel of a frame."""
    parts = PsfComponents.of(sampled(PsfField(function), frame), tolerance=0, to_border=True)
    weights = parts.weights(frame, [(0, 0), (0, 0)]).expand(-1, *frame)
    return torch.einsum("kyx,kab->yxab", weights, parts.components)


def test_a_function_of_the_place_is_taken_on_a_grid_that_is_fine_enough():
    wide, narrow, frame = gaussian(2.0, 9), gaussian(1.0, 9), (60, 48)

    def linear(y: float, x: float) -> torch.Tensor:
        return torch.lerp(narrow, wide, y / 59)

    assert sampled(PsfField(linear), frame).shape == (3, 3, 9, 9)
    shares = torch.arange(60).reshape(60, 1, 1, 1) / 59
    expected = torch.lerp(narrow.double(), wide.double(), shares.double()).expand(60, 48, 9, 9)
    torch.testing.assert_close(everywhere(linear, frame), expected, atol=1e-7, rtol=1e-5)  # up to the border

    def bent(y: float, x: float) -> torch.Tensor:
        return torch.lerp(narrow, wide, 0.5 + 0.5 * float(np.cos(x / 6)))

    assert 3 < sampled(PsfField(bent), frame).shape[1] <= 33
    missing = everywhere(bent, frame)[0] - torch.stack([bent(0.0, float(x)) for x in range(48)])
    assert float(missing.abs().sum((1, 2)).max()) < 0.03

    image = latent_image()[:60, :48].astype(np.float32)
    fine = torch.stack([linear(y, 0.0) for y in range(60)])[:, None]  # a psf for each row
    options = {"noise_to_signal": 0.01}
    restored = restore.wiener(image, psf_field=linear, **options)
    assert agreement(restored, restore.wiener(image, psf_field=fine, **options)) > 90
    with pytest.raises(ValueError, match="psf_field: the psf changes too fast along axis 1 for 33 of them; restore"):
        sampled(PsfField(lambda y, x: wide if x > 400 else narrow), (600, 600))
    with pytest.raises(
        ValueError, match="psf_field: expected a function that gives psfs of 2 axes and one size, given"
    ):
        sampled(PsfField(lambda y, x: gaussian(1.0, 9 if x < 20 else 11)), frame)


def test_the_layer_takes_a_field():
    seen = torch.from_numpy(corner()).requires_grad_()
    layer = restore.Restoration("total_variation", weight=0.01, learn=["weight"], num_iter=3)
    layer(seen, psf_field=random_field(2, 2, 3, 3)).square().sum().backward()
    assert all(bool(t.grad.isfinite().all() and t.grad.abs().sum() > 0) for t in (seen, *layer.parameters()))


def test_what_a_field_is_not():
    y, field = corner(), random_field(2, 2, 3, 3)
    with pytest.raises(ValueError, match=r"psf_field: expected psfs on a grid .* given the shape \(5, 7\)"):
        restore.wiener(y, psf_field=PSF)
    with pytest.raises(TypeError, match="psf: expected one of psf and psf_field, given both"):
        restore.wiener(y, PSF, psf_field=field)
    with pytest.raises(TypeError, match="psf: expected one of psf and psf_field, given none"):
        restore.wiener(y)
    with pytest.raises(ValueError, match="psf_field: psfs of 3 x 51 do not fit into an image of 48 x 40"):
        restore.wiener(y, psf_field=random_field(2, 2, 3, 51))
    with pytest.raises(ValueError, match="psf_field: a grid of 2 x 41 do not fit into an image of 48 x 40"):
        restore.wiener(y, psf_field=random_field(2, 41, 3, 3))
    with pytest.raises(ValueError, match=r"psf_field: its psfs sum to 1 to 1.2; divide each by its sum"):
        restore.wiener(y, psf_field=field * torch.tensor([1, 1.2])[:, None, None, None])
    with pytest.raises(
        ValueError, match="unsupervised_wiener: takes one image and one psf; psf_field is for wiener, tik"
    ):
        restore.unsupervised_wiener(y, psf_field=field)
    with pytest.raises(ValueError, match='"recursive" is for one image and psf'):
        restore.wiener(y, psf_field=field, division="recursive")
    with pytest.raises(ValueError, match="psf_field: expected one for all frames, or a list of 2, given 3"):
        restore.wiener([y, y], psf_field=[field] * 3)
    with pytest.raises(ValueError, match=r"psf_field: expected psfs on a grid .* given the shape \(2, 2, 2, 3, 3\)"):
        restore.wiener([y, y], psf_field=torch.stack([field, field]))  # which axis counts what is for the list to say
    with pytest.raises(ValueError, match="psf_field: tiles take None only"):
        restore.tiled("wiener", y, PSF, psf_field=field)
