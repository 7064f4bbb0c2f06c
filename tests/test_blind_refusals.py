"""Blind estimation: where no psf is to be trusted none is returned, and what will not do is refused by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from deconv.bench.blind_cases import synthetic
from deconv.blind import KernelEstimate, NoBlurFound, api, deblur, estimate
from deconv.blind.evidence import Candidate, Hypothesis
from deconv.blind.reject import LAST_LIMITS, THRESHOLDS, Thresholds, why_rejected
from deconv.imaging.psf import gaussian


@pytest.fixture(scope="module")
def case():
    return next(each for each in synthetic(noise=0.005, side=160) if each.name == "camera_shake13")


@pytest.fixture(scope="module")
def corner(case):
    """A small picture."""
    return case.blurred[:64, :64]


def test_a_sharp_image_stays_as_it_is_and_deblur_says_so(case):
    found = estimate(case.sharp, 15, starts=2)
    assert _is_no_blur(found)
    assert "sharp" in found.warnings[0]
    with pytest.warns(NoBlurFound, match="sharp"):
        assert deblur(case.sharp, estimated=found) is case.sharp
    with pytest.warns(NoBlurFound, match="too few edges"):
        _, found = deblur(np.random.default_rng(0).random((64, 64)), 15, starts=1, info=True)
    assert not found.found


def test_an_image_of_one_colour_has_no_psf():
    found = estimate(np.full((64, 80), 0.3), 15)
    assert _is_no_blur(found)
    assert "one colour" in found.warnings[0]


def _is_no_blur(found: KernelEstimate) -> bool:
    assert not found.found
    kh, kw = found.psf.shape
    return float(found.psf[kh // 2, kw // 2]) == 1 and float(found.psf.sum()) == 1


@pytest.mark.parametrize(
    ("image", "arguments", "named"),
    [
        (np.zeros((20, 80)), {}, "image: .*32 x 32.*20 x 80"),
        (np.full((64, 64), np.nan), {}, "image"),
        (np.zeros((64, 64)), {"kernel_size": 65}, "kernel_size: 65 x 65 .*64 x 64"),
        (np.zeros((64, 64)), {"kernel_size": 1}, "kernel_size"),
        (np.zeros((64, 64)), {"kernel_size": (5, 5, 5)}, "kernel_size"),
        (np.zeros((64, 64)), {"method": "magic"}, "method: unknown 'magic'"),
        (np.zeros((64, 64)), {"starts": 0}, "starts"),
        (np.zeros((64, 64)), {"sigma": -1.0}, "sigma"),
        (torch.zeros(2, 1, 64, 64), {}, "one image"),
    ],
)
def test_what_will_not_do_is_refused_by_name(image, arguments, named):
    with pytest.raises(ValueError, match=named):
        estimate(image, **arguments)


def test_what_shows_no_edges_has_no_psf():
    generator = np.random.default_rng(0)
    slope = np.add.outer(np.arange(96), np.arange(96)) / 192
    noise = generator.standard_normal((96, 96))
    for image, reason in ((0.5 + 0.1 * noise, "too few edges"), (slope + 0.003 * noise, "better than no blur")):
        found = estimate(image, 15, starts=2)
        assert _is_no_blur(found)
        assert reason in found.warnings[0]


def test_texture_does_not_hide_a_wide_blur():
    """Where it is all over a photograph no blur is the likelier, by little, until the psf is polished; by much it is
    right, and of narrow psfs."""
    none = Candidate(None, 0.0, (), None, score=0.0, misfit=1.0, sparsity=-0.3)

    def judged(width: float, score: float, limits: Thresholds = THRESHOLDS) -> bool:
        return why_rejected(Candidate(gaussian(width), 0.04, (), None, score, 1.0, -0.5), none, limits) is None

    assert judged(3.0, 0.6)  # The ranking score is worse by 0.2.
    assert not judged(0.9, 0.6)
    assert not judged(3.0, 0.8)
    assert not judged(3.0, 0.6, LAST_LIMITS)
    assert judged(3.0, 0.4, LAST_LIMITS)


def test_polishing_must_lead_to_more_than_no_blur(corner, monkeypatch):
    def polished(piece, scale, best):
        none = Candidate.of(piece, Hypothesis(torch.ones(1, 1), 0.0, ()))
        return dataclasses.replace(best, score=best.score + none.ranking_score - best.ranking_score + 0.01)

    monkeypatch.setattr(api, "polish", polished)
    monkeypatch.setattr(api, "likelier", lambda piece, scale, best: best)
    assert _is_no_blur(estimate(corner, starts=1, model="shake"))


def test_what_is_not_to_be_believed_is_not_returned(case, monkeypatch):
    monkeypatch.setattr(api, "confidence", lambda signs: 0.1)
    found = estimate(case.blurred, case.window, starts=1, model="shake")
    assert _is_no_blur(found)
    assert "0.10" in found.warnings[0]
    assert found.signs is not None


def test_great_evidence_alone_does_not_choose_a_narrow_psf():
    """The figures of a narrow psf and of the right one, of a photograph under a psf of 51 pixels."""
    narrow, right = (
        Candidate(None, 0.04, (), None, *figures) for figures in ((2.56, 0.96, -0.38), (2.64, 1.04, -0.53))
    )
    assert narrow.score < right.score
    assert right.ranking_score < narrow.ranking_score
