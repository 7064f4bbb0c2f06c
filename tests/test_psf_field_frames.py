"""Several frames of one latent image, each with a psf that varies over the field in its own way."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from restorations import PSF, agreement, corner, latent_image, random
from test_psf_field import METHODS, comets, dense, random_field

from deconv import restore
from deconv.imaging import psnr
from deconv.imaging.psf import gaussian, motion
from deconv.restore.derivatives import Gradient
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.psf_components import PsfComponents
from deconv.restore.varying_blur import VaryingBlur

SHARES = torch.tensor([0.2, 0.8]).double().reshape(2, 1, 1, 1, 1)


def components(image: torch.Tensor, *grids: tuple[int, ...]) -> list[PsfComponents]:
    return [PsfComponents.of(random_field(*grid)).to(image) for grid in grids]


@pytest.mark.parametrize(
    "grids", [((2, 3, 3, 5), (1, 2, 5, 3)), ((3, 1, 1, 2, 3, 3), (1, 2, 2, 3, 2, 2))], ids=["images", "volumes"]
)
@pytest.mark.parametrize("boundary", ["unknown", "circular", "reflect"])
def test_the_stacked_blur_and_its_adjoint(grids, boundary):
    """Of psfs and grids of two sizes."""
    space = len(grids[0]) // 2
    image = random(2, 2, 3, *(5, 8, 9)[-space:])
    fields = components(image, *grids)
    domain = PaddedDomain(image, fields, boundary=boundary, shares=SHARES)
    x, y = random(2, 3, *domain.shape), random(2, 2, 3, *domain.shape, seed=1)
    torch.testing.assert_close((domain.shares * domain.blur(x) * y).sum(), (x * domain.blur_adjoint(y)).sum())
    for seen, field in zip(domain.blur(x), fields, strict=True):
        alone = VaryingBlur(field.components, field.weights(image.shape[-space:], domain.margins), domain.shape)
        torch.testing.assert_close(seen, alone.blur(x))
    forward = domain.forward
    torch.testing.assert_close(forward.blur_of_spectrum(domain.fft(x)), domain.blur(x))
    torch.testing.assert_close(forward.spectrum_of_adjoint(y), domain.fft(domain.blur_adjoint(y)))
    ones = domain.blur(torch.ones_like(x)).mean((1, 2, *domain.axes), keepdim=True)
    torch.testing.assert_close(ones, forward.gain.expand_as(ones))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("boundary", ["unknown", "reflect"])
def test_frames_of_constant_fields_are_frames_of_psfs(name, boundary):
    psfs = [motion(7, 0).double(), PSF]
    frames = [corner(), corner() + 0.01 * random(48, 40).numpy()]
    options = {"boundary": boundary, "num_iter": 2 if name == "plug_and_play" else 5, "sigma": [0.01, 0.02]}
    method = getattr(restore, name)
    fields = [psfs[0].expand(2, 3, *psfs[0].shape), psfs[1][None, None]]
    uniform = method(frames, psf_field=fields, **options)
    assert agreement(uniform, method(frames, psfs, **options)) > (45 if name == "wiener" else 70)


@pytest.mark.parametrize("name", METHODS)
def test_frames_that_are_blurred_alike_count_like_their_mean(name):
    """One field for all, also as a function of the place."""
    sharp, seen, grid = comets_across()
    sharp, seen = sharp[:48, :40], seen[0][:48, :40]
    frames = np.stack([seen + 0.01 * random(*seen.shape, seed=seed).numpy() for seed in range(2)])
    method, options = getattr(restore, name), {"num_iter": 2 if name == "plug_and_play" else 5}
    options |= {"richardson_lucy": {"tv": 0.01}, "wiener": {"noise_to_signal": 0.01}}.get(name, {})
    together = method(frames, psf_field=grid[0], frames=True, sigma=0.01, **options)
    alone = method(frames.mean(0), psf_field=grid[0], sigma=0.01 / 2**0.5, **options)
    assert together.shape == seen.shape
    assert agreement(together, alone) > 60


@functools.cache
def comets_across() -> tuple[np.ndarray, list[np.ndarray], list[torch.Tensor]]:
    """A photograph, seen twice by comets on a grid: with their tails along the rows, and along the columns."""
    sharp, margin = latent_image(), 8
    rows, columns = np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 3), indexing="ij")
    along = torch.from_numpy(comets(0 * rows, np.where(columns < 0, columns - 0.5, columns + 0.5)))
    grids = [along, along.transpose(-1, -2).transpose(0, 1).contiguous()]
    inside = (slice(margin, -margin), slice(margin, -margin))
    whole = torch.from_numpy(sharp)[None, None]
    frame = sharp[inside].shape
    seen = []
    for number, grid in enumerate(grids):
        parts = PsfComponents.of(grid, tolerance=0)
        blur = VaryingBlur(parts.components, parts.weights(frame, [(margin, margin)] * 2), whole.shape[2:])
        noise = 0.01 * random(*frame, seed=number)
        seen.append((blur.blur(whole)[0, 0][inside] + noise).numpy())
    return sharp[inside], seen, grids


@pytest.mark.parametrize("name", ["wiener", "total_variation", "richardson_lucy"])
def test_fields_that_complete_each_other(name):
    sharp, seen, grids = comets_across()
    method = getattr(restore, name)
    together = psnr(method(seen, psf_field=grids), sharp)
    alone = [psnr(method(frame, psf_field=grid), sharp) for frame, grid in zip(seen, grids, strict=True)]
    means = [grid.mean((0, 1)) for grid in grids]
    assert together > max(alone) + 1
    assert together > psnr(method(seen, means), sharp) + 1.5
    assert together > psnr(method(seen, psf_field=grids[::-1]), sharp) + 1.5


def test_wiener_and_tikhonov_solve_their_equations():
    image, fields = random(2, 1, 1, 10, 9), [random_field(2, 2, 3, 3), random_field(1, 2, 3, 5)]
    masks = (random(2, 1, 1, 10, 9, seed=5) > -1).double()
    sigmas = [0.2, 0.1]
    every = [PsfComponents.of(field).to(image) for field in fields]
    domain = PaddedDomain(image, every, boundary="circular", mask=masks, shares=SHARES)
    blurs = [dense(domain, lambda x, i=i: domain.blur(x)[i]) for i in range(2)]

    def sums(data):
        """Of the blurs' squares, and of the data's correlations with them, by what each frame's variance says."""
        normal = sum(s * b.T @ (w.reshape(-1, 1) * b) for s, b, w in zip(SHARES.flatten(), blurs, masks, strict=True))
        pull = sum(s * b.T @ (w * y).flatten() for s, b, w, y in zip(SHARES.flatten(), blurs, masks, data, strict=True))
        return normal, pull

    def penalty(power):
        return dense(domain, lambda x: domain.ifft(power * domain.fft(x)))

    slope = Gradient(2).power(domain.shape, image)
    normal, pull = sums(image)
    options = {"psf_field": fields, "boundary": "circular", "mask": list(masks), "sigma": sigmas, "frames": True}
    expected = torch.linalg.solve(normal + penalty(0.1 * slope), pull).reshape(1, 1, 10, 9)
    found = restore.tikhonov(image, weight=0.1, order=1, num_iter=400, **options)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    means = domain.image.mean((-2, -1), keepdim=True)
    offset = (SHARES * means).sum()
    _, pull = sums(domain.image - offset)
    expected = torch.linalg.solve(normal + penalty(0.1 * (slope + slope.square())), pull).reshape(1, 1, 10, 9) + offset
    found = restore.wiener(image, noise_to_signal=0.1, num_iter=60, **options)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_function_and_a_grid_side_by_side():
    wide, narrow = gaussian(2.0, 9).double(), gaussian(1.0, 7).double()
    frames, options = [corner(), corner()], {"num_iter": 3, "sigma": 0.01}
    mixed = restore.total_variation(frames, psf_field=[lambda y, x: wide, narrow[None, None]], **options)
    assert agreement(mixed, restore.total_variation(frames, [wide, narrow], **options)) > 70
