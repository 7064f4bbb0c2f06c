"""The flow benchmark: what it measures, prints and writes."""

from __future__ import annotations

import csv
import inspect
from io import StringIO

import pytest
import torch
from rich.console import Console

from deconv.bench import flows as bench
from deconv.bench import flows_models, flows_speed
from deconv.bench.flows import main as run_bench
from deconv.bench.flows_models import Backbone, contestants, images
from deconv.cli import main

TINY = Backbone((1, 8, 8), levels=1, steps=1, width=6)


def run(monkeypatch, **options):
    monkeypatch.setitem(flows_models.SHAPES, "tiny", TINY.shape)
    out = StringIO()
    options = {"shape": "tiny", "levels": 1, "steps": 1, "width": 6, "batch": 4, "seconds": 0.001, "memory": False,
               "sides": (4, 8), "kernel_sizes": (2, 3), "train_steps": 6} | options  # fmt: skip
    report = bench.main(console=Console(file=out, width=200), **options)
    return report, out.getvalue()


def test_a_whole_run(monkeypatch, tmp_path):
    threads = torch.get_num_threads()
    names = ["inverse", "finc"]
    report, text = run(monkeypatch, layers=names, out=tmp_path / "flows.csv")
    assert torch.get_num_threads() == threads
    for word in ("sample", "linear part", "training", "Growth with the image side", "Growth with the kernel size",
                 "Bits per dimension", "step 6"):  # fmt: skip
        assert word in text
    with (tmp_path / "flows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["table"] for row in rows} == {"speed", "image side", "kernel size", "bits/dim, seed 0"}
    assert {row["flow"] for row in rows} == set(names)
    written = {(row["table"], row["flow"], row["quantity"]): row["value"] for row in rows}
    assert float(written["speed", "finc", "sample_100"]) == report.speeds[1].sample_100 > 0
    assert float(written["bits/dim, seed 0", "inverse", "test"]) == report.curves[0].bits
    assert [point.value for point in report.growth if point.variable == "kernel size"] == [2, 2, 3, 3]
    first, *_, last = (bits for _, _, bits in report.curves[0].points)
    assert last < first


def test_seeds_give_error_bars(monkeypatch):
    """Parameters, images and noise are others for each seed; the same seed gives the same curve again."""
    layers = ["inverse", "inverse:chain"]
    report, text = run(monkeypatch, layers=layers, seconds=0, train_steps=3, seeds=2)
    assert not report.speeds
    assert not report.growth
    curves = {(curve.name, curve.seed): curve for curve in report.curves}
    assert set(curves) == {(name, seed) for name in layers for seed in (0, 1)}
    bits = [curves["inverse", seed].bits for seed in (0, 1)]
    assert bits[0] != bits[1]
    assert f"{sum(bits) / 2:.3f} ± {abs(bits[0] - bits[1]) / 2**0.5:.3f}" in " ".join(text.split())
    chain = contestants(TINY, ["inverse:chain"], matched=False, device="cpu")[0]
    assert chain.model.config["corners"] == "chain"
    again, _ = run(monkeypatch, layers=["inverse"], seconds=0, train_steps=3, seeds=1)
    assert again.curves[0].bits == bits[0]


def test_inverses_are_checked(monkeypatch):
    report, text = run(monkeypatch, layers=["inverse"], sides=(), kernel_sizes=(), train_steps=0)
    assert report.speeds[0].exact
    assert "Growth" not in text
    monkeypatch.setattr(flows_speed, "_error", lambda model, x: 0.5)
    report, text = run(monkeypatch, layers=["inverse"], sides=(), kernel_sizes=(), train_steps=0)
    assert not report.speeds[0].exact
    assert "5e-01, approximate" in text


def test_numbers_of_parameters_match():
    backbone = Backbone((1, 8, 8), levels=1, steps=2, width=24)
    flows = contestants(backbone, ["inverse", "finc", "glow", "emerging"], matched=True, device="cpu")
    counts = [flow.parameters for flow in flows]
    assert max(counts) < 1.1 * min(counts)
    assert len({flow.width for flow in contestants(backbone, ["inverse", "glow"], matched=False, device="cpu")}) == 1


def test_who_has_seen_images():
    """Flows to be timed have, flows to be trained have not: they start from what they are trained on."""
    assert TINY.build("inverse").initialised
    assert not TINY.untouched("inverse").initialised
    assert images(3, (1, 8, 8)).float().std() > 10


def test_memory_is_measured():
    (flow,) = contestants(TINY, ["inverse"], matched=False, device="cpu")
    (peak,) = flows_speed._memory([flow], TINY, 64, "cpu")
    assert peak is None or peak > 64 * 6 * 16 * 4  # one hidden layer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds: must be at least 1, given 0"),
        ({"shape": "huge"}, "shape: unknown 'huge'"),
        ({"layers": ["maf"]}, "layers: unknown 'maf', allowed are inverse"),
        ({"data": "mnist"}, "root: the data set mnist needs"),
    ],
)
def test_refuses(monkeypatch, options, message):
    with pytest.raises(ValueError, match=message):
        run(monkeypatch, **options)


def test_the_command_hands_its_options_on(capsys, monkeypatch):
    seen = {}
    monkeypatch.setattr(bench, "main", lambda **options: seen.update(options))
    assert main(["bench", "flows", "-K", "16", "--layers", "inverse,finc", "--no-matched", "--no-growth"]) == 0
    assert (seen["steps"], seen["layers"], seen["matched"]) == (16, ["inverse", "finc"], False)
    assert (seen["sides"], seen["kernel_sizes"]) == ((), ())
    assert main(["bench", "flows"]) == 0
    defaults = inspect.signature(run_bench).parameters
    assert all(value == defaults[name].default for name, value in seen.items() if name not in ("sides", "kernel_sizes"))


def test_the_command_refuses(capsys):
    assert main(["bench", "flows", "--layers", "maf", "--train-steps", "0"]) == 2
    assert "layers: unknown 'maf'" in capsys.readouterr().err
