"""The restoration benchmark on scikit-image's pictures."""

from __future__ import annotations

import importlib.util
import io
import json

import numpy as np
import pytest
from rich.console import Console
from skimage import data

from deconv.bench.restore import main
from deconv.bench.restore_rivals import rivals
from deconv.imaging import degrade, psnr
from deconv.imaging.psf import gaussian


def test_it_measures_methods_and_rivals(tmp_path):
    console = Console(file=io.StringIO(), width=100)
    report = tmp_path / "report.json"
    rows = main(methods=["wiener", "tikhonov"], against=["skimage"], noise=[0.01], json=report, console=console)
    quality = {row["method"]: row["psnr"] for row in rows}
    assert quality["(blurred)"] + 3 < quality["wiener"]
    assert quality["skimage wiener, best balance"] < quality["wiener"]
    assert json.loads(report.read_text()) == rows
    assert all(name in console.file.getvalue() for name in quality)


def test_deepinv_is_measured_where_it_is_installed():
    if importlib.util.find_spec("deepinv") is None:
        with pytest.raises(ValueError, match="against: deepinv is not installed"):
            rivals("deepinv")
        return
    latent = np.float32(data.camera()[:120, :150] / 255)
    psf = gaussian(1.5, 9)
    observed = degrade(latent, psf, noise=0.01, seed=0)
    for settings in rivals("deepinv").values():
        best = max(float(psnr(restore(observed, psf), latent[4:-4, 4:-4])) for restore in settings)
        assert best > float(psnr(observed, latent[4:-4, 4:-4])) + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["sharpen"]}, "method: unknown 'sharpen'"),
        ({"against": ["photoshop"]}, "against: unknown 'photoshop', allowed are skimage, deepinv"),
        ({"root": "/nowhere"}, "root: /nowhere has no levin/kernels"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        main(**arguments)
