"""Calibration of draws: figures that are known for draws that are right, too narrow and too wide."""

from __future__ import annotations

import io
import json
import math

import pytest
import torch
from rich.console import Console
from scipy.stats import t
from skimage import data

from deconv.bench import posterior as module
from deconv.cli import main
from deconv.imaging import write_image


def drawn(spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws and truth, independent and alike but for the spread of the draws."""
    generator = torch.Generator().manual_seed(0)
    truth, draws = (torch.randn(n, 100_000, generator=generator).squeeze(0) for n in (1, 16))
    return spread * draws, truth


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_figures_of_draws_of_a_known_spread(spread):
    draws, truth = drawn(spread)
    ranks = module.rank_histogram(draws, truth)
    assert float(ranks.mean()) == pytest.approx(1)
    wider = spread * math.sqrt((1 + 1 / 16) / (1 + spread**2 / 16))
    expected = 2 * t.cdf(wider * t.ppf(0.95, 15), 15) - 1
    assert module.coverage(draws, truth) == pytest.approx(expected, abs=0.005)
    # The mean of the draws is drawn, too, so that it is not the factor alone.
    assert module.calibrated_spread([(draws, truth)]) == pytest.approx(1 / spread, rel=0.1)
    if spread == 1:
        assert float((ranks - 1).abs().max()) < 0.06


def test_the_command_says_how_often_the_truth_is_covered(tmp_path, monkeypatch):
    for name in ("camera", "coins"):
        write_image(tmp_path / f"{name}.png", getattr(data, name)()[60:160, 140:240])
    monkeypatch.setattr(module, "_SIDE", 24)
    monkeypatch.setattr(module, "_SIZES", (5,))
    said, file = io.StringIO(), tmp_path / "figures.json"
    given = {"cases": 1, "samples": 2, "json": file, "console": Console(file=said, width=100)}
    rows = module.main(root=tmp_path, prior="gmm", **given)
    assert "90 % should be covered" in said.getvalue()
    assert json.loads(file.read_text())[-1]["spread"] == rows[-1]["spread"] > 0
    assert 0 < rows[0]["coverage"] <= 1
    assert main(["bench", "posterior", "--root", str(tmp_path), "--cases", "0"]) == 2
