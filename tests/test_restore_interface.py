"""What every restoration method is asked for and tells: signatures, callbacks, convergence, progress, errors."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from restorations import PSF, ROWS, corner, observation
from typing_extensions import Unpack

from deconv import degrade, restore
from deconv.restore import run
from deconv.restore.methods import METHODS


@pytest.fixture(params=ROWS)
def method(request):
    return ROWS[request.param]


def test_the_callback_sees_every_iteration_and_stops_the_loop(method):
    seen = []
    image = (255 * corner().clip(0, 1)).astype(np.uint8)

    def stop_at_three(iteration, estimate):
        seen.append((iteration, estimate))
        return iteration == 2

    restored = method(image, PSF, num_iter=5, callback=stop_at_three)
    assert [iteration for iteration, _ in seen] == [0, 1, 2]
    assert all(e.dtype == np.uint8 and e.shape == image.shape for _, e in seen)
    np.testing.assert_array_equal(seen[-1][1], restored)


def test_it_stops_when_nothing_changes(method):
    count = []
    method(corner(), PSF, num_iter=30, tolerance=0.5, callback=lambda i, _: count.append(i))
    assert len(count) < 10
    count.clear()
    method(corner(), PSF, num_iter=4, tolerance=0, callback=lambda i, _: count.append(i))
    assert len(count) == 4


def test_signatures_are_static(method):
    function = method.function
    hints = typing.get_type_hints(function)
    assert hints["return"] is run.Image
    assert hints["image"] in (run.Image, run.Image | Sequence[run.Image])  # one image, or several frames of it
    common = typing.get_type_hints(restore.CommonOptions)
    own = inspect.signature(function).parameters
    assert hints["common"] == Unpack[restore.CommonOptions]
    assert own["num_iter"].kind is inspect.Parameter.KEYWORD_ONLY
    assert {"sigma", "boundary", "mask", "linear", "tolerance", "callback", "progress", "info"} < set(common)
    for name in (*common, *own):
        assert f"{'**' if name == 'common' else ''}{name} : " in function.__doc__, name
    assert "References\n----------" in inspect.getdoc(function)


def test_unknown_keywords_are_refused_by_name(method):
    with pytest.raises(TypeError, match=rf"{method.method.name}\(\) got an unexpected keyword argument 'wieght'"):
        method(corner(), PSF, wieght=1)
    with pytest.raises(TypeError, match="positional argument"):
        method.function(corner(), PSF, None, 0.1)


def test_convergence_is_reported(method):
    plain = method(corner(), PSF, num_iter=3)
    restored, info = method(corner(), PSF, num_iter=3, info=True)
    np.testing.assert_array_equal(restored, plain)
    assert isinstance(info, restore.ConvergenceInfo)
    assert info.iterations == 3
    assert 0 < info.change < 1
    assert not info.converged
    assert info.objective is None or np.isfinite(info.objective)
    _, info = method(corner(), PSF, num_iter=30, tolerance=0.5, info=True)
    assert info.iterations < 10
    assert info.converged
    assert info.change <= 0.5
    _, info = method(corner(), PSF, num_iter=1, info=True)
    assert info.change is None


def test_a_progress_bar_is_shown_on_demand(method, capsys):
    method(corner(), PSF, num_iter=2, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "100%" in captured.err
    method(corner(), PSF, num_iter=2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"sigma": -1}, ValueError, "sigma: must be finite and not negative"),
        ({"sigma": [0.1, 0.1]}, ValueError, r"sigma: the shape \(2,\) does not fit"),
        ({"num_iter": 0}, ValueError, "num_iter: expected a whole number of at least 1, given 0"),
        ({"num_iter": 2.5}, ValueError, "num_iter: expected a whole number of at least 1, given 2.5"),
        ({"tolerance": -1}, ValueError, "tolerance: expected 0 or more"),
        ({"boundary": "wrap"}, ValueError, "boundary: unknown 'wrap', allowed are unknown, circular"),
        ({"mask": "white"}, ValueError, 'mask: expected an array or "auto"'),
        ({"mask": np.ones((3, 3))}, ValueError, r"mask: the shape \(3, 3\) does not fit"),
        ({"mask": np.full((92, 74), 2.0)}, ValueError, r"mask: its weights must be in \[0, 1\]"),
        ({"psf": "motion"}, TypeError, "psf: expected an array, given str"),
        ({"psf": np.ones(3)}, ValueError, r"psf: expected \(kh, kw\)"),
        ({"psf": np.zeros((3, 3))}, ValueError, "psf: its sum is 0"),
        ({"psf": np.full((2, 1, 3, 3), 1 / 9)}, ValueError, r"psf: made for \(samples, channels\) = \(2, 1\)"),
    ],
)
def test_errors_name_the_argument(method, keywords, error, message):
    keywords = {"psf": PSF} | keywords
    with pytest.raises(error, match=message):
        method(observation(), **keywords)


@pytest.mark.parametrize("value", [-1, float("nan"), torch.tensor([float("inf")])])
@pytest.mark.parametrize("name", ["weight", "tv", "second_order", "noise_to_signal"])
def test_weights_of_penalties_are_finite_and_not_negative(name, value):
    methods = {row.load() for row in METHODS.values() if name in inspect.signature(row.load()).parameters}
    assert methods
    for method in methods:
        with pytest.raises(ValueError, match=f"{name}: (must be finite and not negative|expected a positive number)"):
            method(corner(), PSF, **{name: value})


LAMPS = np.where(np.arange(48 * 48).reshape(48, 48) == 500, 50.0, observation()[:48, :48]).astype(np.float32)
STARS = degrade(np.where(np.arange(96 * 96).reshape(96, 96) == 2000, 1e3, 0.0), PSF, noise=5e-4, seed=0)


@pytest.mark.parametrize(
    ("name", "image"), [("wiener", LAMPS), ("tikhonov", STARS), ("richardson_lucy", observation()[:24, :24] - 0.5)]
)
def test_a_warning_points_to_who_called(name, image):
    with pytest.warns(restore.RestorationWarning) as told:
        METHODS[name].load()(image, PSF)
    assert {each.filename for each in told} == {__file__}
