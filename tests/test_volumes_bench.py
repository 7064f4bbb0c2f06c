"""The benchmark of stacks, on small ones."""

from __future__ import annotations

import io
import json
import os
import sys

import numpy as np
import pytest
from rich.console import Console

from deconv.bench import volumes
from deconv.cli import main


def test_it_measures_ours_beside_others(tmp_path):
    console, report = Console(file=io.StringIO(), width=120), tmp_path / "volumes.json"
    rows = volumes.main(num_iter=3, quick=True, json=report, console=console)
    assert json.loads(report.read_text()) == rows
    ours = [row for row in rows if row["method"] == "default"]
    assert [row["stack"] for row in ours] == ["filaments", "spheres"]
    assert all(row["iterations"] <= 3 and row["seconds"] > 0 for row in rows)
    assert {"scikit-image", "tv=0"} <= {row["method"] for row in rows}
    assert "spheres, 12 x 32 x 32 voxels" in console.file.getvalue()


def test_a_rival_that_is_missing_is_named_and_left_out(monkeypatch):
    monkeypatch.setattr(volumes.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(volumes.shutil, "which", lambda name: None)
    console = Console(file=io.StringIO(), width=120)
    rows = volumes.main(num_iter=1, quick=True, console=console)
    assert "RedLionfish is not installed" in console.file.getvalue()
    assert "deconwolf is not installed" in console.file.getvalue()
    assert all(row["seconds_to_reference"] is None for row in rows)


_STAND_IN = """\
#!{python}
import sys, tifffile
options = dict(word.split("=") for word in sys.argv if "=" in word)
tifffile.imwrite(options["--out"], tifffile.imread("seen.tif") + int(options["--iter"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="the command is a script")
def test_deconwolf_takes_part_where_its_command_is_on_the_path(tmp_path, monkeypatch):
    command = tmp_path / "dw"
    command.write_text(_STAND_IN.format(python=sys.executable))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "work").mkdir()
    console = Console(file=io.StringIO(), width=120)
    restore = volumes._rivals(console, tmp_path / "work")["deconwolf"]
    stack = next(volumes._stacks(quick=True))
    run = restore(stack, 4)
    # Its n-th result is that of one iteration less.
    assert np.array_equal(run.restored, stack.seen + 5)
    assert run.iterations == 4
    assert run.seconds > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--volumes", "--against", "skimage"], "--volumes: it has stacks"),
        (["--quick"], "--quick: it is for --volumes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(capsys, options, words):
    assert main(["bench", "restore", *options]) == 2
    assert words in capsys.readouterr().err
