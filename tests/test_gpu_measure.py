"""The script that measures everything on a GPU: what it says without one, and the table that it makes of results."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

GPU = Path(__file__).parents[1] / "gpu"


@pytest.fixture
def measure():
    spec = importlib.util.spec_from_file_location("measure", GPU / "measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and measuring takes minutes")
@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
def test_it_asks_for_a_gpu_in_one_line(tmp_path):
    environment = os.environ | {"PYTHON": sys.executable}
    command = ["sh", str(GPU / "measure.sh"), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert result.stderr == "gpu/measure.sh: needs a GPU, and torch finds none\n"
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_the_table_is_that_of_the_results(measure, monkeypatch, tmp_path, capsys):
    case = {"batch": 100, "channels": 4, "height": 14, "width": 14, "kernel_height": 3, "kernel_width": 3}
    row = {"case": case | {"support": "quarter"}, "graphs": {"solve": 8e-6}, "graph_ratio": 1.1}
    report = {"means": {"1": {"forward, in graphs": 1.1, "forward": None}}, "rows": [row], "few_images": []}
    for name in ("solver", "solver-cells"):
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    (tmp_path / "tests.txt").write_text("...\n157 passed in 18 s\n")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Imaginary")
    monkeypatch.setattr(sys, "argv", ["measure.py", str(tmp_path)])
    for name in ("training", "sampling"):
        monkeypatch.setattr(measure, name, lambda: [("speed", "quick")])
    monkeypatch.setattr(measure, "restoration", lambda: iter(int(x) for x in ["no number"]))
    assert measure.main() == 0
    table = capsys.readouterr().out
    assert (tmp_path / "table.txt").read_text() == table
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert "tests on the GPU 157 passed in 18 s" in lines
    assert "solve / conv2d, forward, in graphs 1.10" in lines
    assert "solve / conv2d, forward, by cells wrong" in lines
    assert "100 x 4 x 14 x 14, 3 x 3 quarter, by cells 8.0 us, 1.10 of conv2d" in lines
    assert lines.count("speed quick") == 2
    assert any("failed: FileNotFoundError" in line for line in lines)  # the benchmark of flows left nothing
    assert any("failed: ValueError" in line for line in lines)
