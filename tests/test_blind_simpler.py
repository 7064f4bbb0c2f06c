"""Psfs of one or two numbers take the place of free ones that they resemble, and of those that explain less."""

from __future__ import annotations

from dataclasses import replace

import pytest
import skimage.data
import torch

from deconv.blind import kernel_similarity
from deconv.blind.evidence import Candidate, Hypothesis
from deconv.blind.observation import Observation
from deconv.blind.shapes import Shape, find_shapes
from deconv.blind.simpler import Simple, preferred, simple_candidates, simpler
from deconv.blind.support import delta
from deconv.imaging import degrade
from deconv.imaging.psf import camera_shake, disk, gaussian, motion

PAGE = torch.from_numpy(skimage.data.page()[20:148, 20:180] / 255.0).float()[None, None]
PHOTOGRAPH = torch.from_numpy(skimage.data.camera()[60:188, 150:278] / 255.0).float()[None, None]
SHAPES = {
    "disk": (disk(4.3), Shape("focus", 4.3)),
    "gaussian": (gaussian(2.2), Shape("gaussian", 2.2)),
    "motion": (motion(11, 30), Shape("motion", 11, 30)),
}


def observed(picture: torch.Tensor, psf: torch.Tensor) -> Observation:
    return Observation.of(degrade(picture, psf, noise=0.005, seed=0).clamp(0, 1))


def judged(piece: Observation, *psfs: torch.Tensor) -> list[Candidate]:
    return [Candidate.of(piece, Hypothesis(psf, 0.0, (psf,))) for psf in psfs]


@pytest.mark.parametrize("name", SHAPES)
def test_what_was_put_in_takes_the_place_of_a_psf_full_of_errors(name):
    psf, shape = SHAPES[name]
    piece = observed(PAGE, psf)
    errors = torch.rand(psf.shape, generator=torch.Generator().manual_seed(0))
    free = (psf * (0.6 + 0.8 * errors)) / (psf * (0.6 + 0.8 * errors)).sum()
    free, none = judged(piece, free, delta(psf))
    seen = find_shapes(piece.image, ("motion", "focus"), (31, 31))
    found = preferred(free, simple_candidates(piece, free.psf, seen, 31))
    assert found is not None
    assert found.shape.kind == shape.kind
    assert found.shape.size == pytest.approx(shape.size, rel=0.12)
    assert abs((found.shape.angle - shape.angle + 90) % 180 - 90) < 5
    taken = simpler(piece, free, none, seen, (31, 31), (31, 31))
    assert taken is not None
    assert torch.equal(taken.psf, found.shape.psf((31, 31)))


def test_a_shake_stays_what_it_is():
    psf = camera_shake(15, seed=2)
    piece = observed(PHOTOGRAPH, psf)
    free, none = judged(piece, psf, delta(psf))
    seen = find_shapes(piece.image, ("motion", "focus"), (31, 31))
    assert simpler(piece, free, none, seen, (31, 31), None) is None


def test_a_sharp_picture_stays_sharp():
    piece = observed(PHOTOGRAPH, torch.ones(1, 1))
    free, none = judged(piece, gaussian(0.6), torch.ones(1, 1))
    seen = find_shapes(piece.image, ("motion", "focus"), (31, 31))
    assert simpler(piece, free, none, seen, (31, 31), None) is None


def test_what_decides_between_a_shape_and_a_free_psf():
    """Likeness to it, or the power spectrum, and then how much worse it is."""
    free = judged(observed(PHOTOGRAPH, disk(3.0)), disk(3.0))[0]

    def simple(psf: torch.Tensor, worse: float, gain: float = 0.0) -> Simple:
        score = free.score + worse
        return Simple(Shape("focus", 3.0), replace(free, psf=psf, score=score), gain, kernel_similarity(psf, free.psf))

    alike, unlike = simple(disk(3.1), 0.1), simple(motion(9, 20), -0.1)
    assert preferred(free, [alike, unlike]) is alike
    assert preferred(free, [unlike]) is None
    assert preferred(free, [simple(disk(3.1), 0.5)]) is None
    seen = simple(motion(9, 20), -0.5, gain=1.0)
    assert preferred(free, [alike, seen]) is seen
    assert preferred(free, []) is None
    worse = simple(motion(9, 20), 0.2, gain=1.0)
    assert preferred(free, [worse]) is None
    assert preferred(free, [worse], cut=True) is worse
