"""Every command for photographers, on their page and in the README, runs on a small picture."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import skimage.data
import torch

import deconv
from deconv import blind
from deconv.cli import main
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import motion

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "get_started" / "photographer.md").read_text()
SECTION = (ROOT / "README.md").read_text().partition("## I have a blurred photograph")[2].partition("\n## ")[0]


def commands(text: str) -> list[str]:
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("deconv")]


# What takes seconds and has tests of its own.
QUICKER = {"--method flow": "--method wiener", "deblur photos": "deblur photos --psf motion:7,30"}


@pytest.fixture
def blurred(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sharp = skimage.data.astronaut()[60:140, 180:270]
    write_image("blurred.jpg", deconv.degrade(sharp, motion(7, 30), noise=0.002, seed=0))
    Path("photos").mkdir()
    shutil.copy("blurred.jpg", "photos")
    estimate = blind.estimate

    def known(image, kernel_size=None, **options):
        """What takes seconds to find is known here."""
        stopped = estimate(image, 11, starts=1, callback=lambda scale, psf: True, progress=False)
        return replace(stopped, psf=torch.as_tensor(motion(7, 30)), warnings=())

    monkeypatch.setattr(blind, "estimate", known)


@pytest.mark.parametrize("text", [PAGE, SECTION], ids=["page", "README"])
def test_there_are_commands(text):
    assert len(commands(text)) >= 3


@pytest.mark.parametrize("command", dict.fromkeys(commands(PAGE) + commands(SECTION)))
def test_it_runs(blurred, capsys, command):
    quick = command
    for slow, other in QUICKER.items():
        quick = quick.replace(slow, other)
    assert main(shlex.split(quick)[1:]) == 0, capsys.readouterr().err
    if "-o" in command and "--preview" not in command:
        output = "restored/blurred.jpg" if "-o restored" in command else "sharp.jpg"
        assert read_image(output).shape == read_image("blurred.jpg").shape
