"""The notebooks: pairs in step, outputs there, and every cell runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from skimage import data

import deconv

jupytext = pytest.importorskip("jupytext")
matplotlib = pytest.importorskip("matplotlib")

SCRIPTS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.py"))
OWN = [script for script in SCRIPTS if "PHOTOGRAPH" in script.read_text()]

# The section from which on nothing is made of the photograph that a notebook is given.
WITHOUT_IT = {
    "02_deblur_known_psf": "# ## What lies outside the frame\n",
    "04_blind_kernel_estimation": "# ## Maximum likelihood through the exact inverse\n",
}

# What a browser and a repository take lightly.
LARGEST = 1_500_000

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


@each
def test_pairs_are_in_step(script):
    """``jupytext --to ipynb --update`` would change nothing."""
    text, notebook = (
        [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
        for path in (script, script.with_suffix(".ipynb"))
    )
    assert text == notebook


@each
def test_notebook_was_executed(script):
    """From top to bottom, without errors or warnings, with pictures, small enough to be kept."""
    path = script.with_suffix(".ipynb")
    cells = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert any(kind.startswith("image/") for output in outputs for kind in output.get("data", {}))
    assert path.stat().st_size < LARGEST


@each
def test_figures_say_what_to_notice(script):
    """In the first paragraph after them."""
    cells = jupytext.read(script.with_suffix(".ipynb")).cells
    for number, cell in enumerate(cells):
        if any(kind.startswith("image/") for output in cell.get("outputs", ()) for kind in output.get("data", {})):
            text = next(after.source for after in cells[number + 1 :] if after.cell_type == "markdown")
            assert "notice" in text.partition("\n\n")[0].lower(), cell.source


def run(source: str, script: Path, monkeypatch) -> None:
    """Run the notebook's text with the sizes cut, in its own folder, drawing nothing on a screen."""
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    monkeypatch.setenv("DECONV_NOTEBOOK_FAST", "1")
    monkeypatch.chdir(script.parent)
    try:
        with matplotlib.rc_context():
            exec(compile(source, script.name, "exec"), {"__name__": "__main__"})
    finally:
        pyplot.close("all")


@each
def test_notebook_runs(script, monkeypatch):
    run(script.read_text(), script, monkeypatch)


@pytest.mark.filterwarnings("ignore::deconv.blind.UncertainBlur")  # the picture is not blurred
@pytest.mark.parametrize("script", OWN, ids=lambda script: script.stem)
def test_own_photograph_takes_one_line(script, monkeypatch, tmp_path):
    """The path on top may be that of any picture, in colour too."""
    path = tmp_path / "blurred.png"
    deconv.imaging.write_image(path, np.ascontiguousarray(data.coffee()[100:200, 100:220]))
    source, count = re.subn(
        r"^PHOTOGRAPH\b(.*?)= None", rf"PHOTOGRAPH\1= {str(path)!r}", script.read_text(), flags=re.M
    )
    assert count == 1
    source, section, rest = source.partition(WITHOUT_IT[script.stem])
    assert section
    assert "PHOTOGRAPH" not in rest
    run(source, script, monkeypatch)
