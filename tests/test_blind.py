"""Blind estimation: psfs that were put in are found, whatever cannot be found is said to be so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from deconv import degrade, hyper_laplacian
from deconv.bench.blind_cases import synthetic
from deconv.blind import (
    NoImprovement,
    UncertainBlur,
    aligned_psnr,
    api,
    deblur,
    error_ratio,
    estimate,
    kernel_similarity,
)
from deconv.blind.evidence import restored
from deconv.blind.pyramid import pyramid
from deconv.imaging.psf import camera_shake, gaussian

SIDE = 160


@pytest.fixture(scope="module")
def cases():
    return {case.name: case for case in synthetic(noise=0.005, side=SIDE)}


@pytest.fixture(scope="module")
def case(cases):
    return cases["camera_shake13"]


@pytest.fixture(scope="module")
def found(case):
    return estimate(case.blurred, case.window)


@pytest.fixture(scope="module")
def quick(case):
    """With one start, and what each scale was reported with."""
    reports = []
    return estimate(case.blurred, case.window, starts=1, callback=lambda *report: reports.append(report)), reports


@pytest.fixture(scope="module")
def corner(case):
    """A small picture."""
    return case.blurred[:64, :64]


@pytest.fixture(scope="module")
def small(corner):
    return estimate(corner, 7, starts=1)


def test_it_finds_camera_shakes(cases, case, found):
    other = cases["astronaut_shake15"]
    for each, psf in ((case, found.psf), (other, estimate(other.blurred, other.window, starts=4).psf)):
        images = (hyper_laplacian(each.blurred, h) for h in (psf, each.psf))
        assert error_ratio(*images, each.sharp) < 4
        assert kernel_similarity(psf, each.psf) > 0.85


def test_the_psf_is_a_psf(found, case):
    assert found.psf.shape == (case.window, case.window)
    assert found.psf.dtype == torch.float32
    assert float(found.psf.min()) >= 0
    assert float(found.psf.sum()) == pytest.approx(1, abs=1e-5)
    assert found.found
    assert found.warnings == ()
    middle = torch.arange(case.window) - case.window // 2
    for axis in (0, 1):
        assert abs(float((found.psf.sum(axis) * middle).sum())) <= 0.75


def test_the_image_is_nearer_to_the_latent_image(found, case):
    assert found.image.shape == case.blurred.shape
    gain = aligned_psnr(found.image, case.sharp) - aligned_psnr(case.blurred, case.sharp)
    assert gain > 2


def test_deblurring_brings_the_image_nearer(found, case):
    restored = deblur(case.blurred, estimated=found)
    assert aligned_psnr(restored, case.sharp) > aligned_psnr(case.blurred, case.sharp) + 3


def test_it_is_deterministic_and_knows_no_layout(corner, small):
    colour = np.repeat((corner * 65535).round().astype(np.uint16)[..., None], 3, axis=2)
    assert torch.equal(estimate(torch.from_numpy(corner), 7, starts=1).psf, small.psf)
    deep = estimate(colour, 7, starts=1)
    assert kernel_similarity(deep.psf, small.psf) > 0.9  # rounding may take another hypothesis to much the same
    assert (deep.image.shape, deep.image.dtype) == (colour.shape, colour.dtype)


@pytest.mark.parametrize(("unit", "dtype"), [(2.0**-50, "float32"), (2.0**70, "float32"), (2.0**-333, "float64")])
def test_the_unit_of_the_image_does_not_matter(corner, small, unit, dtype):
    """A power of two changes no digit."""
    again = estimate(corner.astype(dtype) * np.dtype(dtype).type(unit), 7, starts=1)
    assert torch.equal(again.psf, small.psf)
    np.testing.assert_allclose(again.image / unit, small.image, rtol=1e-5)


def test_a_few_cosmic_rays_do_not_hide_the_blur(case, quick):
    hit = case.blurred.copy()
    for row, column in ((0, 60), (45, 25), (66, 90), (67, 91), (100, 159)):
        hit[row, column] += 100
    found = estimate(hit, case.window, starts=1)
    assert found.found
    assert kernel_similarity(found.psf, quick[0].psf) > 0.96


def test_white_is_seen_or_told(case, found):
    """Highlights clipped at 255 are left out of the fit as those at 1 are, and no darker pixel is."""
    clipped = (2 * case.blurred).clip(0, 1)
    here, told, seen = (
        deblur(unit * clipped, estimated=found, white=white) / unit
        for unit, white in ((1.0, None), (255.0, 255.0), (255.0, None))
    )
    assert here.std() > 0.1
    for there in (told, seen):
        assert np.abs(there - here).mean() < 3e-3
    with pytest.raises(ValueError, match="white"):
        deblur(clipped, estimated=found, white=0)


def test_integers_say_where_they_end(case, found):
    """A plateau below full scale, such as paper in a scan, is no clipped highlight there."""
    paper = (255 * (2 * case.blurred).clip(0, 0.8)).astype(np.uint8)
    with pytest.warns(NoImprovement, match="the restored picture"):  # no blur leaves a plateau
        as_floats = deblur(paper / np.float32(255), estimated=found, white=1.0)
    with pytest.warns(NoImprovement, match="the restored picture"):
        as_integers = deblur(paper, estimated=found)
    assert np.abs(as_integers / 255 - as_floats.clip(0, 1)).max() < 0.003


def test_each_scale_is_reported_and_may_be_the_last(case, quick):
    full, seen = quick
    assert [scale for scale, _ in seen] == list(range(len(seen)))
    sides = [max(psf.shape) for _, psf in seen]
    assert sides == sorted(sides)
    assert sides[-1] == case.window
    assert len(full.trace) >= len(seen)
    stopped = estimate(case.blurred, 13, starts=1, callback=lambda scale, psf: scale == 1)
    assert stopped.warnings


def test_lamps_in_the_night_are_no_matter_of_the_search(recwarn):
    """What a restoration warns of is said when it was asked for, not for every psf that is tried."""
    night = 0.01 * torch.randn(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    night[..., 20, 20] = 50.0
    restored(night, gaussian(1.0)[None, None], 0.01)
    assert not recwarn.list
    hyper_laplacian(night, gaussian(1.0), sigma=0.01)
    assert "cosmic rays" in str(recwarn.pop().message)


def test_the_window_follows_the_blur():
    """A blur wider than the automatic window is found in a larger one."""
    photograph = next(synthetic(noise=0.0, side=150)).sharp
    psf = camera_shake(25, seed=3)
    assert estimate(degrade(photograph, psf, noise=0.002, seed=0), starts=1).psf.shape[0] > 15


def test_what_may_be_wrong_comes_with_a_caution(case, found):
    assert 0 <= found.confidence <= 1
    sure, unsure = (dataclasses.replace(found, confidence=confidence) for confidence in (0.9, 0.2))
    assert not sure.cautions
    assert "0.20" in unsure.cautions[0]
    with pytest.warns(UncertainBlur, match="wrong"):
        deblur(case.blurred, estimated=unsure)


def test_a_program_can_tell_what_deblur_did(case, found):
    restored, used = deblur(case.blurred, estimated=found, info=True)
    assert used is found
    np.testing.assert_array_equal(restored, deblur(case.blurred, estimated=found))


@pytest.mark.filterwarnings("ignore::deconv.blind.UncertainBlur")  # one start, on a small picture
def test_the_noise_may_differ_between_channels(case, found):
    """Each channel is restored with its own level, as grey pictures of that level are."""
    levels = (0.005, 0.01, 0.02)
    colour = np.repeat(case.blurred[..., None], 3, axis=2)
    together = deblur(colour, estimated=found, sigma=levels)
    for index, level in enumerate(levels):
        alone = deblur(case.blurred, estimated=found, sigma=level)
        others = [np.abs(together[..., other] - alone).mean() for other in range(3) if other != index]
        assert np.abs(together[..., index] - alone).mean() < 0.1 * min(others)
    image, used = deblur(colour[:64, :64], 7, sigma=np.array(levels), starts=1, info=True)
    assert used.found
    assert image.shape == (64, 64, 3)
    for wrong in ((0.1, 0.2), (0.1, 0.2, -0.1), np.ones((1, 1, 3))):
        with pytest.raises(ValueError, match="sigma"):
            deblur(colour, case.window, sigma=wrong)


def test_a_piece_of_a_large_image_is_enough(case, monkeypatch):
    monkeypatch.setattr("deconv.blind.observation._ENOUGH", 112)
    looked_at = []
    monkeypatch.setattr(api, "pyramid", lambda piece, size: looked_at.append(piece.image.shape) or pyramid(piece, size))
    found = estimate(case.blurred, case.window, starts=1)
    assert looked_at == [(1, 1, 112, 112)]
    assert found.image.shape == case.blurred.shape
    assert kernel_similarity(found.psf, case.psf) > 0.8
