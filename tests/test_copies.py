"""Psfs that hold several copies of one, which pictures that repeat bring about."""

from __future__ import annotations

import pytest
import skimage
import torch
from torch import Tensor

from deconv.blind import kernel_similarity
from deconv.blind.copies import Copies, repeats, without_copies
from deconv.blind.evidence import Candidate, Hypothesis
from deconv.blind.observation import Observation
from deconv.imaging import degrade
from deconv.imaging.psf import camera_shake, disk, gaussian, inertial_shake, motion, polyline_shake


def repeated(psf: Tensor, places: list[tuple[int, int]], shares: list[float], side: int = 71) -> Tensor:
    """Copies of a psf about some places from the middle of a window."""
    window = torch.zeros(side, side)
    height, width = psf.shape
    for (row, column), share in zip(places, shares, strict=True):
        top, left = side // 2 + row - height // 2, side // 2 + column - width // 2
        window[top : top + height, left : left + width] += share * psf
    return window / window.sum()


@pytest.mark.parametrize("psf", [disk(2.3), motion(7, 20), camera_shake(9, seed=1)], ids=range(3))
@pytest.mark.parametrize(
    ("places", "shares"),
    [([(-18, 0), (18, 0)], [1, 0.9]), ([(-27, 3), (0, 0), (27, -3)], [0.7, 1, 0.8]), ([(0, -20), (0, 20)], [0.5, 1])],
    ids=range(3),
)
def test_of_several_copies_one_is_left(psf, places, shares):
    found = Copies.of(repeated(psf, places, shares))
    assert found is not None
    assert found.count == len(places)
    assert found.one.shape == (71, 71)
    assert found.one.sum() == pytest.approx(1, abs=1e-5)
    assert kernel_similarity(found.one, psf) > 0.99


def test_psfs_of_cameras_are_not_copies():
    shakes = [make(25, seed=seed) for make in (camera_shake, inertial_shake, polyline_shake) for seed in range(20)]
    assert not any(Copies.of(psf) is not None for psf in [disk(4), motion(15, 30), gaussian(2), *shakes])


@pytest.mark.parametrize(
    "psf",
    [
        repeated(disk(4), [(-7, 0), (7, 0)], [1, 1]),  # as a camera that rested twice on its way
        repeated(disk(2), [(-20, 0), (20, 0)], [1, 0.05]),
        repeated(disk(2), [(0, 0)], [1]) + repeated(motion(15, 90), [(20, 20)], [1]),
    ],
    ids=["near", "faint", "unlike"],
)
def test_pieces_that_are_near_or_faint_or_unlike_are_not_copies(psf):
    assert Copies.of(psf / psf.sum()) is None


def test_candidates_of_copies_are_judged_by_one():
    line = (torch.rand(9, 160, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    text = torch.nn.functional.pad(line, (0, 0, 0, 15)).repeat(7, 1)[None, None]
    piece = Observation.of(degrade(text, disk(2.3), noise=0.01, seed=0))
    psfs = [repeated(disk(2.3), places, [1.0] * len(places)) for places in ([(0, 0)], [(-24, 0), (0, 0), (24, 0)])]
    right, ghost = Candidate.all_of(piece, [Hypothesis(psf, 0.04, ()) for psf in psfs])
    (kept,), (single,) = without_copies(piece, [right, ghost])
    assert kept is right
    torch.testing.assert_close(single.psf, right.psf)
    assert single.ranking_score == pytest.approx(Candidate.of(piece, right).ranking_score, rel=1e-4)


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_two_images_in_one_are_no_copies(name):
    """A camera that jumped has blurred a picture that does not repeat."""
    picture = getattr(skimage.data, name)()[100:300, 120:320]
    picture = torch.from_numpy(picture.reshape(200, 200, -1).mean(-1) / 255).float()[None, None]
    psf = repeated(gaussian(0.7), [(-6, -6), (6, 6)], [1, 0.7], side=31)
    psf = torch.where(psf > 0.02 * psf.max(), psf, 0)
    piece = Observation.of(degrade(picture, psf / psf.sum(), noise=0.01, seed=0))
    candidate = Candidate.of(piece, Hypothesis(psf / psf.sum(), 0.04, ()))
    assert Copies.of(candidate.psf) is not None
    assert without_copies(piece, [candidate]) == ([candidate], [])


def test_an_image_that_repeats_does():
    tile = torch.rand(20, 30, generator=torch.Generator().manual_seed(0)).repeat(6, 5)[None, None]
    noise = torch.rand(tile.shape, generator=torch.Generator().manual_seed(1))
    assert repeats(tile + 0.2 * noise, [20, 0])
    assert repeats(tile + 0.2 * noise, [-40.4, 29.7])
    assert not repeats(tile, [10, 0])
    assert not repeats(noise, [20, 0])
    assert not repeats(tile, [125, 0])
