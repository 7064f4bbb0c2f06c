"""The restoration benchmark on scikit-image's pictures."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from deconv.bench.restore import main


def test_it_measures_methods_and_rivals(tmp_path):
    console = Console(file=io.StringIO(), width=100)
    report = tmp_path / "report.json"
    rows = main(methods=["wiener", "tikhonov"], against=["skimage"], noise=[0.01], json=report, console=console)
    quality = {row["method"]: row["psnr"] for row in rows}
    assert quality["(blurred)"] + 3 < quality["wiener"]
    assert quality["skimage wiener, best balance"] < quality["wiener"]
    assert json.loads(report.read_text()) == rows
    assert all(name in console.file.getvalue() for name in quality)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"methods": ["sharpen"]}, "method: unknown 'sharpen'"),
        ({"against": ["photoshop"]}, "against: unknown 'photoshop', allowed is skimage"),
        ({"root": "/nowhere"}, "root: /nowhere has no levin/kernels"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        main(**arguments)
