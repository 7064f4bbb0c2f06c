"""The total variation that `richardson_lucy` chooses: little where structures are points, as before for photographs."""

from __future__ import annotations

import pytest
import torch

from deconv import degrade, psnr, restore
from deconv.imaging import convolve, psf
from deconv.restore.contour_weight import coarseness, contour_weight
from deconv.restore.problem import Problem

PSF = torch.einsum("i,jk->ijk", psf.gaussian(1.2, 7)[3] / psf.gaussian(1.2, 7)[3].sum(), psf.gaussian(1.6, 9))


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int = 40, size: tuple[int, ...] = (22, 48, 48)) -> torch.Tensor:
    latent = torch.zeros(1, 1, *size)
    places = torch.randperm(latent.numel(), generator=random(0))[:count]
    latent.view(-1)[places] = 0.3 + 0.7 * torch.rand(count, generator=random(1))
    return latent


def counts(latent: torch.Tensor, peak: float, background: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Photons of the blurred latent image, and the part of the latent image in the frame in the same unit."""
    blurred = degrade(latent, PSF).clamp_min(0)
    unit = peak / blurred.max()
    seen = torch.poisson(unit * blurred + background, generator=random(2))
    return seen, unit * latent[..., 3:-3, 4:-4, 4:-4]


@pytest.mark.parametrize(
    ("latent", "expected"),
    [(points(), 0.0), (torch.randn(1, 1, 22, 48, 48, generator=random(3)), 0.0)],
    ids=["points", "white noise"],
)
def test_points_and_white_noise_have_no_coarseness(latent, expected):
    domain = Problem.of(degrade(latent, PSF), PSF, num_iter=1, sigma=0.0).domain
    assert float(coarseness(domain, torch.zeros(1, 1, 1, 1, 1))) == pytest.approx(expected, abs=0.1)


def test_what_a_second_blur_leaves_as_it_is_has_all_of_it():
    wave = torch.sin(torch.arange(96) / 15).expand(1, 1, 22, 96, 96)
    domain = Problem.of(degrade(wave, PSF), PSF, num_iter=1, sigma=0.0).domain
    assert float(coarseness(domain, torch.zeros(1, 1, 1, 1, 1))) > 0.95


@pytest.mark.parametrize("image", [torch.full((1, 1, 8, 8), 0.5), torch.rand(1, 1, 8, 8, generator=random(7))])
def test_where_nothing_can_be_told_structures_count_as_coarse(image):
    """Of a flat image, and under a psf that does not blur."""
    domain = Problem.of(image, torch.ones(1, 1), num_iter=1, sigma=0.0).domain
    assert float(coarseness(domain, torch.zeros(1, 1, 1, 1))) == 1


def test_noise_does_not_count_as_structure():
    blobs = convolve(torch.randn(1, 1, 22, 64, 64, generator=random(4)), psf_of_blobs(), boundary="reflect")
    seen = degrade(blobs / blobs.std(), PSF)
    noisy = seen + 0.3 * seen.std() * torch.randn(seen.shape, generator=random(5))
    clean, told, ignored = (
        float(coarseness(Problem.of(image, PSF, num_iter=1, sigma=0.0).domain, variance.view(1, 1, 1, 1, 1)))
        for image, variance in (
            (seen, torch.zeros(1)),
            (noisy, 0.09 * seen.var()),
            (noisy, torch.zeros(1)),
        )
    )
    assert told == pytest.approx(clean, abs=0.05)
    assert ignored < clean - 0.05


def psf_of_blobs() -> torch.Tensor:
    line = psf.gaussian(3.0, 13)[6]
    blob = torch.einsum("i,j,k->ijk", line[3:-3], line, line)
    return blob / blob.sum()


@pytest.mark.parametrize(("peak", "background"), [(30.0, 0.0), (30.0, 6.0), (300.0, 0.0), (300.0, 60.0)])
def test_the_default_does_not_cost_beads_their_light(peak, background):
    """It took 5 dB and more: chosen by the noise and the mean brightness alone."""
    seen, truth = counts(points(), peak, background)
    quality = {
        tv: float(
            psnr((restore.richardson_lucy(seen, PSF, tv=tv, background=background) / peak)[0, 0], (truth / peak)[0, 0])
        )
        for tv in (None, 1e-4, 1e-3, 1e-1)
    }
    assert quality[None] > max(quality.values()) - 1.5
    assert quality[None] > quality[1e-1] + 2


def test_the_weight_depends_on_no_unit_and_falls_with_the_photons():
    few, many = (counts(points(400), peak)[0] for peak in (20.0, 2000.0))

    def weight(seen: torch.Tensor) -> float:
        return float(contour_weight(Problem.of(seen, PSF, num_iter=1), torch.zeros(())))

    assert weight(1e-6 * few) == pytest.approx(weight(few), rel=1e-4)
    assert weight(many) < 0.3 * weight(few)


def test_a_photograph_has_the_weight_of_its_relative_noise():
    """Light everywhere, and no structure as small as the psf: the noise over the brightness to the power 1.5."""
    row, column = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    photograph = 0.5 + 0.2 * torch.sin(row / 9) * torch.cos(column / 11)
    seen = photograph + 0.01 * torch.randn(96, 96, generator=random(6))
    problem = Problem.of(seen[None, None], psf.gaussian(1.5), num_iter=1)
    assert float(contour_weight(problem, torch.zeros(()))) == pytest.approx(1.3 * 0.019**1.5, rel=0.15)
