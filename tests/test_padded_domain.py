"""The periodic domain that images are restored on: what it blurs, sees, and keeps to itself."""

from __future__ import annotations

import math

import pytest
import torch
from restorations import PSF, SMALL_PSF, agreement, domain, observation, random

from deconv import restore
from deconv.imaging import convolve
from deconv.imaging.boundary import BOUNDARIES
from deconv.restore.padded_domain import PaddedDomain
from deconv.restore.statistics import Statistics


@pytest.mark.parametrize("boundary", BOUNDARIES[1:])
def test_the_domain_blurs_like_the_operator(boundary):
    """Started from an image, and looked at in the frame."""
    frame = random(1, 1, 7, 9)
    c = PaddedDomain(frame, SMALL_PSF, boundary=boundary)
    torch.testing.assert_close(c.crop(c.blur(c.start())), convolve(frame, SMALL_PSF, boundary=boundary))


def test_an_unknown_boundary_sees_the_valid_part():
    c = domain("unknown")
    whole = random(1, 1, *c.shape)
    rows, columns = (slice(0, n + s - 1) for n, s in zip((7, 9), SMALL_PSF.shape, strict=True))
    valid = convolve(whole[..., rows, columns], SMALL_PSF, boundary="valid")
    torch.testing.assert_close(c.crop(c.blur(whole)), valid)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_blur_and_its_adjoint(boundary):
    c = domain(boundary)
    x, y = random(1, 1, *c.shape), random(1, 1, *c.shape, seed=1)
    torch.testing.assert_close((c.blur(x) * y).sum(), (x * c.blur_adjoint(y)).sum())


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_projection_is_one(boundary):
    """Idempotent and symmetric, and what it keeps is what the boundary allows."""
    c = domain(boundary)
    x, y = random(2, 1, *c.shape), random(2, 1, *c.shape, seed=1)
    torch.testing.assert_close(c.project(c.project(x)), c.project(x))
    torch.testing.assert_close((c.project(x) * y).sum(), (x * c.project(y)).sum())
    start = PaddedDomain(random(1, 1, 7, 9), torch.ones(3, 3) / 9, boundary=boundary).start()
    allowed = PaddedDomain(random(1, 1, 7, 9), torch.ones(3, 3) / 9, boundary=boundary).project(start)
    torch.testing.assert_close(allowed, start)


def test_nothing_observed_is_blurred_from_across_the_border():
    for n in range(5, 40):
        c = PaddedDomain(torch.zeros(1, 1, n, n), torch.ones(5, 4) / 20)
        assert c.shape[0] >= n + 4
        assert c.shape[1] >= n + 3
        padded = PaddedDomain(torch.zeros(1, 1, n, n), torch.nn.functional.pad(torch.ones(5, 4) / 20, (2, 2, 4, 4)))
        assert padded.margins == c.margins  # an empty border of the psf sees nothing


def test_a_method_that_only_blurs_works_on_what_is_seen_and_no_more():
    """Up to a size that is quick to transform: 20 pixels under a psf of 5 see 24, 28 see 32."""
    psf = SMALL_PSF.new_ones(5, 5) / 25
    for n in (20, 28):
        c = PaddedDomain(torch.zeros(1, 1, n, n), psf, apart=False)
        assert c.shape == (n + 4, n + 4)
        whole = random(1, 1, *c.shape)
        torch.testing.assert_close(c.crop(c.blur(whole)), convolve(whole, psf, boundary="valid"))


@pytest.mark.parametrize(("name", "floor"), [("total_variation", 80), ("hyper_laplacian", 55)])
def test_opposite_borders_do_not_see_each_other(name, floor):
    """Whatever is at the bottom, the top comes out the same; up to rounding, where the prior is convex."""
    bright = observation()
    bright[-20:] = 1 - bright[-20:]
    statistics = Statistics.of(torch.from_numpy(observation())[None, None])
    tops = [getattr(restore, name)(image, PSF, statistics=statistics)[:20] for image in (observation(), bright)]
    assert agreement(*tops) > floor


def test_missing_pixels_are_filled_from_their_neighbours():
    image = torch.linspace(0, 1, 40, dtype=torch.float64).expand(1, 1, 30, 40)
    weight = torch.ones(1, 1, 30, 40)
    weight[..., 10:16, 17:23] = 0
    damaged = torch.where(weight > 0, image, 99.0)
    filled = PaddedDomain(damaged, SMALL_PSF, mask=weight).image
    torch.testing.assert_close(filled, image, atol=0.12, rtol=0)
    assert bool((PaddedDomain(damaged, SMALL_PSF, mask=torch.zeros(1, 1, 30, 40)).image == 0).all())


def test_a_psf_as_large_as_the_frame_takes_a_domain_little_larger_than_it_must():
    image = torch.zeros(1, 1, 64, 64)
    spread = torch.full((63, 63), 1 / 63**2)
    least = (64 + 62) ** 2
    assert math.prod(PaddedDomain(image, spread).shape) < 1.4 * least
    # Faint tails are not light.
    tail = torch.zeros(63, 63)
    tail[28:35, 28:35] = 1 / 49
    tail[0, 0] = tail[-1, 30] = 1e-9
    assert PaddedDomain(image, tail).shape == PaddedDomain(image, tail[28:35, 28:35]).shape
