"""The part of its total variation that `richardson_lucy` takes of volumes: what predicts voxels that are not shown."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_contour_weight import PSF, counts, random

from deconv import psnr, restore
from deconv.restore.contour_weight import contour_weight
from deconv.restore.held_out_weight import held_out_part, liveliest, piece_sides
from deconv.restore.problem import Problem
from deconv.restore.psf_components import PsfComponents
from deconv.restore.statistics import Statistics


def shells(*size: int) -> torch.Tensor:
    """Thin spheres, three times as far apart along z."""
    places = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij"), -1)
    latent = torch.zeros(size)
    for centre in ((6, 14, 14), (14, 30, 18), (9, 22, 36), (16, 38, 38)):
        offset = (places - torch.tensor(centre)) * torch.tensor([2.5, 1.0, 1.0])
        latent = torch.maximum(latent, torch.exp(-0.5 * ((offset.norm(dim=-1) - 9) / 1.2).square()))
    return latent[None, None]


def lines(*size: int) -> torch.Tensor:
    """Thin crosses in every seventh plane."""
    latent = torch.zeros(1, 1, *size)
    for plane in range(5, size[0], 6):
        row = (plane * 11) % (size[1] - 16) + 8
        latent[0, 0, plane, row, :] = latent[0, 0, plane, :, row] = 1
    return latent


def weight_of(seen: torch.Tensor) -> float:
    """On the domain of `richardson_lucy`."""
    return float(contour_weight(Problem.of(seen, PSF, num_iter=1, apart=False), torch.zeros(())))


def quality(restored: torch.Tensor, truth: torch.Tensor) -> float:
    return float(psnr(restored[0, 0] / truth.max(), truth[0, 0] / truth.max()))


def qualities(seen: torch.Tensor, truth: torch.Tensor, *parts: float) -> tuple[float, list[float]]:
    """By default, and with parts of the weight."""
    weights = [part * weight_of(seen) for part in parts]
    each = [quality(restore.richardson_lucy(seen, PSF, tv=tv), truth) for tv in (None, *weights)]
    return each[0], each[1:]


@pytest.mark.parametrize("peak", [60.0, 300.0])
def test_the_default_does_not_cost_shells_their_light(peak):
    seen, truth = counts(shells(22, 48, 48), peak)
    default, (full, tenth, none) = qualities(seen, truth, 1, 0.1, 0)
    assert default > full + 0.8
    assert default > max(tenth, none) - 0.5


def test_few_photons_of_thin_lines_do_not_take_it_off():
    """Less of it predicts better there, and restores worse: 0.6 dB."""
    latent = torch.zeros(1, 1, 22, 48, 48)
    for plane, row in ((5, 12), (11, 24), (16, 35)):
        latent[0, 0, plane, row, :] = latent[0, 0, plane, :, row] = 1
    default, (full, tenth) = qualities(*counts(latent, 60.0), 1, 0.1)
    assert default > full - 0.1
    assert full > tenth + 0.4


@pytest.mark.parametrize(("best", "expected"), [(1.0, 1.0), (0.3, 0.3), (0.1, 0.1), (0.0, 0.03)])
def test_what_predicts_the_held_out_voxels_is_taken(best, expected):
    """Of latent images that are the farther from the truth the farther the part is from the best."""
    truth = 50 * (1 + torch.sin(torch.arange(40) / 4).expand(1, 1, 20, 40, 40))
    problem = Problem.of(torch.poisson(truth, generator=random(8)), torch.ones(1, 1, 1), num_iter=2, sigma=7.0)

    def restored(piece, part):
        latent = torch.zeros(1, 1, *piece.domain.shape)
        latent[..., :20, :40, :40] = truth / problem.unit / piece.unit * (1 + 0.2 * (part - best).abs())
        yield from (latent, latent)

    nothing = torch.zeros(1, 1, 1, 1, 1)
    assert float(held_out_part(problem, nothing, nothing, restored)) == pytest.approx(expected)
    least = torch.full_like(nothing, 0.5)
    assert float(held_out_part(problem, nothing, least, restored)) == pytest.approx(max(expected, 0.5))


def test_the_voxels_that_a_restoration_is_not_shown_are_those_that_count():
    """One that repeats what it is shown, noise and all, is no good, however well it fits that."""
    truth = torch.full((1, 1, 20, 40, 40), 50.0)
    seen = torch.poisson(truth, generator=random(9))
    problem = Problem.of(seen, torch.ones(1, 1, 1), num_iter=2, sigma=7.0)

    def restored(piece, part):
        smooth, noisy = truth / problem.unit, piece.domain.crop(piece.domain.observed)
        latent = torch.zeros(1, 1, *piece.domain.shape)
        shown = torch.where(noisy > 0, noisy, piece.image)
        latent[..., :20, :40, :40] = smooth if part == 1 else shown
        yield latent

    nothing = torch.zeros(1, 1, 1, 1, 1)
    assert float(held_out_part(problem, nothing, nothing, restored)) == 1


def test_the_result_has_the_unit_of_the_volume_and_each_sample_decides_by_itself():
    size = 16, 40, 40
    several = torch.cat([counts(shells(*size), 300.0)[0], counts(lines(*size), 300.0)[0]])
    together = restore.richardson_lucy(several, PSF, num_iter=5)
    for alone, both in zip(several, together, strict=True):
        torch.testing.assert_close(restore.richardson_lucy(alone[None], PSF, num_iter=5)[0], both, rtol=1e-3, atol=0.1)
    small = restore.richardson_lucy(1e-6 * several, PSF, num_iter=5)
    torch.testing.assert_close(small * 1e6, together, rtol=1e-3, atol=0.1)


def test_what_is_decided_already_is_taken():
    seen, _ = counts(shells(22, 48, 48), 300.0)
    for limit, tv in ((math.inf, weight_of(seen)), (0.003, 0.003)):
        statistics = replace(Statistics.of(seen), contour_limit=torch.full((1, 1, 1, 1, 1), limit))
        decided = restore.richardson_lucy(seen, PSF, statistics=statistics, num_iter=5)
        told = restore.richardson_lucy(seen, PSF, tv=tv, num_iter=5)
        assert psnr((decided / seen.max())[0, 0], (told / seen.max())[0, 0]) > 100


@pytest.mark.parametrize("frame", [(20, 96, 96), (7, 200, 200), (64, 20, 300), (10, 16, 18), (1, 30, 40)])
def test_pieces_are_as_large_as_asked_where_the_volume_is(frame):
    sides = piece_sides(frame, PSF.shape)
    assert all(side <= n for side, n in zip(sides, frame, strict=True))
    voxels = min(2**15, math.prod(frame) / 2)
    assert voxels <= math.prod(sides) < 1.5 * voxels


def test_the_liveliest_piece_of_each_channel():
    """Found by single planes as by many."""
    volume = 100 + 0.1 * torch.randn(2, 1, 25, 33, 30, generator=random(5))
    volume[0, 0, 3:7, 22:28, 2:8] += torch.randn(4, 6, 6, generator=random(6))
    volume[1, 0, 18:22, 4:9, 22:27] += torch.randn(4, 5, 5, generator=random(7))
    looked_at = []

    def rows(start: int, stop: int) -> torch.Tensor:
        looked_at.append((start, stop))
        return volume[:, :, start:stop]

    spans = liveliest(rows, (25, 33, 30), (8, 16, 15))
    assert spans == [((0, 8), (16, 32), (0, 15)), ((16, 24), (0, 16), (15, 30))]
    assert sorted(looked_at) == [(0, 8), (8, 16), (16, 24)]


@functools.cache
def shells_beside_the_dark() -> list[np.ndarray]:
    """The volume as it is seen and as it is, and restored in one piece, by default and with all of the weight."""
    latent = torch.zeros(1, 1, 22, 84, 48)
    latent[..., :48, :] = shells(22, 48, 48)
    seen, truth = counts(latent, 300.0)
    whole = [restore.richardson_lucy(seen, PSF, tv=tv, num_iter=6) for tv in (None, weight_of(seen))]
    return [volume[0, 0].numpy() for volume in (seen, truth, *whole)]


@pytest.mark.parametrize("kind", ["tiled", "dask"])
def test_tiles_agree_on_what_the_whole_takes(kind):
    """Also those in the dark, which could not tell."""
    seen, truth, whole, full = shells_beside_the_dark()
    image = seen
    if kind == "dask":
        image = pytest.importorskip("dask.array").from_array(seen, chunks=(16, 38, 40))
    tiles = restore.tiled("richardson_lucy", image, PSF, tile=(16, 38, 40), num_iter=6)
    tiles = tiles.compute(scheduler="synchronous") if kind == "dask" else tiles
    agreements = [float(psnr(tiles / truth.max(), each / truth.max())) for each in (whole, full)]
    assert agreements[0] > 45
    assert agreements[0] > agreements[1] + 10


def test_what_is_missing_or_varies_over_the_field():
    seen, truth = counts(shells(22, 48, 48), 300.0)
    field = PSF.expand(2, 1, 1, *PSF.shape)
    options = {"num_iter": 10}
    expected = quality(restore.richardson_lucy(seen, PSF, **options), truth)
    assert quality(restore.richardson_lucy(seen, psf_field=field, **options), truth) == pytest.approx(expected, abs=0.1)
    mask = (torch.rand(seen.shape[2:], generator=random(1)) > 0.1).float()
    missing = torch.where(mask > 0, seen, torch.nan)
    assert quality(restore.richardson_lucy(missing, PSF, mask=mask, **options), truth) > expected - 1


def test_the_psf_of_a_place_of_the_domain():
    psfs = torch.stack([PSF, PSF.roll(1, 2), PSF.roll(1, 1)]).double()[:, None, None]
    image = torch.rand(1, 1, 12, 16, 16, generator=random(3)).double()
    problem = Problem.of(image, PsfComponents.of(psfs, tolerance=0).to(image), num_iter=1)
    middle = [n // 2 + before for n, (before, _) in zip((12, 16, 16), problem.domain.margins, strict=True)]
    expected = torch.lerp(psfs[1, 0, 0], psfs[2, 0, 0], 0.125)
    torch.testing.assert_close(problem.domain.forward.at(middle), expected)
