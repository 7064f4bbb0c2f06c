"""A preview restores the most detailed part, and writes it beside what it was."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pytest
import skimage.data

from deconv.cli import main, preview
from deconv.imaging import degrade, psf, read_image, write_image, write_stack
from deconv.progress import ProgressBar, heard_by


@pytest.fixture
def picture(here, monkeypatch) -> np.ndarray:
    monkeypatch.setattr(preview, "_SIDE", 64)
    picture = np.full((200, 180, 3), 120, np.uint8)
    picture[100:180, 60:150] = skimage.data.astronaut()[60:140, 180:270]
    blurred = degrade(picture, psf.motion(7, 30), noise=0.004, seed=0)
    write_image("in.png", blurred)
    return blurred


def test_the_most_detailed_part_before_and_after(picture, capsys):
    assert main(["deblur", "in.png", "-o", "pair.png", "--psf", "motion:7,30", "--preview"]) == 0
    pair = read_image("pair.png")
    assert pair.shape == (64, 64 + 8 + 64, 3)
    places = np.lib.stride_tricks.sliding_window_view(picture, (64, 64, 3))[::8, ::8, 0]
    found = np.argwhere((places == pair[:, :64]).all((-3, -2, -1)))
    assert len(found) == 1
    top, left = 8 * found[0]
    assert 90 <= top <= 130
    assert 40 <= left <= 100
    assert main(["deblur", "in.png", "-o", "all.png", "--psf", "motion:7,30", "-q"]) == 0
    whole = read_image("all.png")[top : top + 64, left : left + 64]
    inside = np.abs(whole.astype(int) - pair[:, 72:])[16:-16, 16:-16]
    assert inside.mean() < 6


def test_a_stack_has_no_preview(picture, capsys):
    write_stack("stack.tif", np.ones((4, 30, 30), np.float32))
    assert main(["deblur", "stack.tif", "-o", "pair.png", "--psf", "gaussian:1", "--preview"]) == 2
    assert "--preview: is for pictures" in capsys.readouterr().err


def test_a_bar_says_which_one_is_in_work():
    said = []
    with heard_by(lambda stage, share: said.append((stage, share))), ProgressBar("looking", 2, unit="scale") as bar:
        bar.advance()
        bar.advance()
    assert said == [("looking, scale 1 of 2", 0.0), ("looking, scale 2 of 2", 0.5), ("looking, scale 2 of 2", 1.0)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_tells_the_time_left_where_nothing_comes_after(monkeypatch):
    for total, last, words in ((2, True, "left"), (2, False, "so far"), (1, True, "so far")):
        monkeypatch.setattr(sys, "stderr", Terminal())
        with ProgressBar("looking", total, shown=True, last=last) as bar:
            bar.update(0.5)
        assert words in sys.stderr.getvalue()
        assert ("left" in sys.stderr.getvalue()) == (words == "left")
        assert ("%" in sys.stderr.getvalue()) == (total > 1)


def test_a_bar_appears_after_its_delay_whatever_is_done_meanwhile(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with ProgressBar("looking", 1, delay=0.3):
        assert "looking" not in sys.stderr.getvalue()
        deadline = time.monotonic() + 20
        while "looking" not in sys.stderr.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_every_stage_of_a_blind_run_is_told(picture):
    write_image("part.png", picture[100:170, 60:140])
    stages = []
    with heard_by(lambda stage, share: stages.append(stage.partition(",")[0])):
        main(["deblur", "part.png", "-o", "out.png", "-k", "9", "--starts", "1", "-q", "-m", "wiener"])
    estimating = ["estimating the psf", "comparing candidates", "polishing the psf", "comparing light and grey values"]
    assert list(dict.fromkeys(stages)) == [
        "starting",
        "reading",
        *estimating,
        "measuring the noise",
        "wiener",
        "writing",
    ]
