"""The demonstration runs, and shows what it is meant to show."""

import re

import pytest

from deconv.cli import demo
from deconv.imaging.files import read_image


@pytest.mark.slow
def test_the_demonstration(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "_STEPS", 4)
    monkeypatch.setattr(demo, "_LESSONS", demo._LESSONS[:2])
    path = demo.run(tmp_path / "new" / "folder")
    printed = capsys.readouterr().out
    blurred, before, after = (float(value) for value in re.findall(r"([\d.]+) dB", printed))
    assert blurred + 4 < before < after
    assert path.name in printed
    picture = read_image(path)
    assert picture.ndim == 3
    assert min(picture.shape[:2]) > 900
