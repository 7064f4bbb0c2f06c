"""Every command of the photographer's page runs, on a small picture in the place of a photograph."""

from __future__ import annotations

import re
import shlex
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

PAGE = Path(__file__).parent.parent / "docs" / "get_started" / "photographer.md"
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```(?:bash|console)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("deconv")
]


@pytest.fixture
def blurred(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sharp = skimage.data.astronaut()[60:140, 180:270]
    write_image("blurred.jpg", deconv.degrade(sharp, motion(7, 30), noise=0.002, seed=0))
    estimate = blind.estimate

    def known(image, kernel_size=None, **options):
        """What takes seconds to find is known here."""
        stopped = estimate(image, 11, starts=1, callback=lambda scale, psf: True, progress=False)
        return replace(stopped, psf=torch.as_tensor(motion(7, 30)), warnings=())

    monkeypatch.setattr(blind, "estimate", known)


def test_there_are_commands():
    assert len(COMMANDS) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_it_runs(blurred, capsys, command):
    quick = command.replace("--method flow", "--method wiener")  # the flow has tests of its own
    assert main(shlex.split(quick)[1:]) == 0, capsys.readouterr().err
    if "-o" in command and "--preview" not in command:
        output = "restored/blurred.jpg" if "-o restored" in command else "sharp.jpg"
        assert read_image(output).shape == read_image("blurred.jpg").shape
