"""The cases that blind estimation is measured on."""

from __future__ import annotations

import dataclasses
from itertools import islice

import numpy as np
import pytest

from deconv.bench.blind import main
from deconv.bench.blind_confidence import fit_weights, verdicts
from deconv.bench.blind_wide import HARSH, wide
from deconv.cli import main as command
from deconv.imaging import degrade, write_image


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Eight pictures in a folder and one below it."""
    root = tmp_path_factory.mktemp("photographs")
    (root / "more").mkdir()
    generator = np.random.default_rng(0)
    for index in range(8):
        picture = np.kron(generator.random((31, 33)), np.ones((10, 10)))
        write_image(root / ("more" if index % 2 else ".") / f"p{index}.png", picture, bits=8)
    return root


@pytest.fixture(scope="module")
def cases(photographs):
    return list(islice(wide(photographs), 12))


def test_the_halves_of_the_wide_suite_share_no_photograph(photographs, cases):
    tune, report = (list(islice(wide(photographs, half=half), 3)) for half in ("tune", "report"))
    assert [case.name for case in tune] == [case.name for case in cases[:6:2]]
    assert [case.name for case in report] == [case.name for case in cases[1:6:2]]
    np.testing.assert_array_equal(tune[0].blurred, cases[0].blurred)
    used = [_photographs_of(half) for half in (cases[::2], cases[1::2])]
    assert not used[0] & used[1]


def _photographs_of(cases):
    return {case.name.split("_")[0] for case in cases}


def test_another_seed_has_other_cases_of_the_same_halves(photographs, cases):
    first, second = (list(islice(wide(photographs, half="tune", seed=seed), 2)) for seed in (0, 1))
    assert not {case.name for case in first} & {case.name for case in second}
    assert not any(np.array_equal(*(case.blurred for case in pair)) for pair in zip(first, second, strict=True))
    assert _photographs_of(second) <= _photographs_of(cases[::2])


def test_the_harsh_suite_has_small_pictures_strong_noise_and_dense_edges(photographs):
    harsh = list(islice(wide(photographs, HARSH), 24))
    assert {case.blurred.shape[0] for case in harsh} == {160, 255}
    assert {float(case.name.split("noise")[1].split("_")[0]) for case in harsh} == {1.0, 2.0, 3.0, 5.0}
    assert all(max(case.psf.shape) <= 55 * case.blurred.shape[0] / 255 + 1 for case in harsh)


def test_of_several_places_that_of_the_densest_edges_is_taken(photographs):
    conditions = dataclasses.replace(HARSH, sides=(64,), sizes=(3, 3))
    one, many = (next(wide(photographs, dataclasses.replace(conditions, places=places))).sharp for places in (1, 40))
    gradients = (np.hypot(*np.gradient(sharp)) for sharp in (one, many))
    densities = [gradient.mean() / np.sqrt((gradient**2).mean()) for gradient in gradients]
    assert densities[1] > densities[0]


def test_a_case_of_the_wide_suite_is_a_blurred_photograph_as_a_file_keeps_it(cases):
    for word in ("smooth", "inertial", "polyline", "noise0.5", "noise1", "noise3", "jpeg"):
        assert any(word in case.name for case in cases)
    for case in cases:
        assert case.blurred.shape == case.sharp.shape == (255, 255)
        np.testing.assert_allclose(255 * case.blurred, np.round(255 * case.blurred), atol=1e-4)
        reach = max(case.psf.shape) // 2
        assert 9 <= 2 * reach + 1 <= 45
        noise = case.blurred[reach:-reach, reach:-reach] - degrade(case.sharp, case.psf, noise=0)
        assert noise.std() < 0.033
        assert abs(noise.mean()) < 0.003


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"suite": "deep"}, "suite: unknown 'deep'"),
        ({"suite": "wide"}, "root"),
        ({"half": "tune"}, "half"),
        ({"seed": 1}, "seed"),
        ({"suite": "harsh"}, "root"),
        ({"suite": "wide", "seed": -1, "root": "."}, "seed: expected 0 or more"),
        ({"suite": "wide", "half": "third", "root": "."}, "half: unknown 'third'"),
    ],
)
def test_suites_that_there_are_not(arguments, named):
    with pytest.raises(ValueError, match=named):
        main(**arguments)


def test_a_folder_without_photographs_has_no_wide_suite(tmp_path, capsys):
    assert command(["bench", "blind", "--suite", "wide", "--root", str(tmp_path)]) == 2
    assert "two photographs" in capsys.readouterr().err


def test_the_weights_of_the_confidence_are_those_that_the_cases_were_drawn_from():
    generator = np.random.default_rng(0)
    signs = generator.normal((1.0, -2.0), (0.5, 3.0), (4000, 2))
    probability = 1 / (1 + np.exp(-(0.5 + 2 * signs[:, 0] - 0.3 * signs[:, 1])))
    constant, *weights = fit_weights(signs, (generator.random(4000) < probability).astype(float))
    np.testing.assert_allclose([constant, *weights], [0.5, 2.0, -0.3], atol=0.25)


def test_verdicts_count_both_errors():
    said = verdicts([1.2, 1.5, 4.0, 5.0, 2.5, 9.0], [True] * 5 + [False], [0.9, 0.1, 0.2, 0.9, 0.7, 0.0])
    assert said == "error ratio above 3: 2, 1 of them without a warning; at most 2: 2, 1 of them with one; refused: 1"
