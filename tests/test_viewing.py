"""Results in a notebook: what is shown is what there is, before and after in one scale."""

from __future__ import annotations

import base64
import re
import sys
from html import unescape
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import deconv
from deconv.blind import KernelEstimate
from deconv.imaging.psf import disk, motion
from deconv.imaging.viewing import psf_close_up

RANDOM = np.random.default_rng(0)


def pictures(figure) -> list[np.ndarray]:
    return [np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes]


@pytest.mark.parametrize("channels", [(), (3,)])
def test_before_after_and_the_psf_side_by_side(channels):
    image = RANDOM.integers(0, 256, (20, 30, *channels), np.uint8)
    before, after, psf = pictures(deconv.view(image, image // 2, motion(5, 0)))
    np.testing.assert_array_equal(before, image)
    np.testing.assert_array_equal(after, image // 2)
    assert psf.max() == 255
    assert len(pictures(deconv.view(image, image))) == 2


def test_other_units_are_shown_in_one_scale():
    counts = torch.from_numpy(RANDOM.uniform(100, 4000, (1, 40, 40)))
    before, after = pictures(deconv.view(counts, counts / 2))
    assert before.min() == 0
    assert before.max() == 255
    assert int(after.max()) == pytest.approx(122, abs=3)  # (2000 - 100) / (4000 - 100) of white


def test_a_slider_where_there_are_widgets():
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
    before = RANDOM.integers(0, 256, (20, 30), np.uint8)
    after = 255 - before
    column, side = deconv.view(before, after, disk(2), slider=True).children
    assert "data:image/png;base64," in side.value
    _, picture, bar = column.children
    for place in (0, 11, 30):
        bar.value = place
        shown = np.asarray(Image.open(BytesIO(picture.value)))
        np.testing.assert_array_equal(shown, np.where(np.arange(30) < place, before, after))


def test_a_slider_without_widgets_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    image = np.zeros((8, 8), np.uint8)
    with pytest.raises(ImportError, match=r"deconv-toolkit\[notebooks\]"):
        deconv.view(image, image, slider=True)


@pytest.mark.parametrize(
    ("restored", "said"),
    [
        (np.zeros((8, 9)), "restored: expected 1 x 8 x 8, like the image, given 1 x 8 x 9"),
        (np.zeros((2, 1, 8, 8)), "restored: expected one grey or colour image"),
    ],
)
def test_what_does_not_belong_together_is_refused(restored, said):
    with pytest.raises(ValueError, match=said):
        deconv.view(np.zeros((8, 8)), restored)


def test_a_close_up_keeps_the_centre_in_the_centre():
    psf = torch.zeros(41, 41)
    psf[20, 17:23] = torch.tensor([0.5, 1, 1, 1, 1, 0.5]) / 5
    shown = psf_close_up(psf)
    assert shown.shape == (11, 11)
    assert shown[5].tolist() == [0, 0, 128, 255, 255, 255, 255, 128, 0, 0, 0]


@pytest.mark.parametrize(
    ("warnings", "confidence", "said"),
    [
        ((), 0.9, ["the camera moved straight over about 9 pixels, at 30 degrees", "confidence 0.90"]),
        ((), 0.2, ["right with a probability of 0.20"]),
        (("it is < sharp",), 0.0, ["no blur is found", "it is &lt; sharp"]),
    ],
)
def test_an_estimate_shows_itself(warnings, confidence, said):
    estimate = KernelEstimate(motion(9, 30), None, 0.5, (), warnings, confidence)
    html = estimate._repr_html_()
    for words in said:
        assert words in html
        assert unescape(words) in repr(estimate)
    assert len(repr(estimate).splitlines()) == 1
    data = re.search(r"base64,([^\"]+)", html)[1]
    assert np.asarray(Image.open(BytesIO(base64.b64decode(data)))).max() == 255
