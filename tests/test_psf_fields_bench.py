"""The benchmark of psf fields, on small ones."""

from __future__ import annotations

import functools
import io
import json

from rich.console import Console

from deconv.bench import psf_fields


def test_it_compares_one_solve_with_tiles_and_one_psf(tmp_path, monkeypatch):
    monkeypatch.setattr(psf_fields, "_coma", functools.partial(psf_fields._coma, side=112, patches=16))
    monkeypatch.setattr(psf_fields, "_depth", functools.partial(psf_fields._depth, shape=(40, 26, 26)))
    console, report = Console(file=io.StringIO(), width=100), tmp_path / "fields.json"
    rows = psf_fields.main(methods=["wiener"], grid=2, json=report, console=console)
    assert json.loads(report.read_text()) == rows
    assert [row["case"].split(",")[0] for row in rows] == ["coma", "depth"]
    assert rows[0]["one solve"]["psnr"] > rows[0]["one psf"]["psnr"] + 1
    assert "coma, 72 x 72 pixels" in console.file.getvalue()
