"""A flow layer is one row of `FLOWS`: everything that lists or compares flows reads it from there."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import flow_cases
import pytest
import test_flows
import torch
from test_flow_bench import run as run_bench

from deconv import flows
from deconv.bench import flows as bench
from deconv.cli import main

README = Path(__file__).parent.parent / "README.md"


class Scaling(flows.Flow):
    """z = s x with a learnt s."""

    def __init__(self):
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, context=None):
        return x * self.log_scale.exp(), (x[0].numel() * self.log_scale).expand(len(x))

    def inverse(self, z, context=None):
        return z * (-self.log_scale).exp(), (-z[0].numel() * self.log_scale).expand(len(z))


@pytest.fixture
def row(monkeypatch):
    row = flows.FlowLayer(lambda shape, size, corners: [Scaling()], "one number for all pixels", "nobody")
    monkeypatch.setitem(flows.FLOWS, "scaling", row)


@pytest.mark.usefixtures("row")
def test_a_new_row_is_built():
    model = flows.build_flow("scaling", (1, 8, 8), levels=2, steps=3, width=4)
    assert sum(isinstance(module, Scaling) for module in model.modules()) == 6
    assert flows.build_flow(**model.config).config == model.config


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("command", [["train", "--help"], ["bench", "flows", "--help"]])
def test_a_new_row_is_in_the_help(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(command) == 0
    assert "scaling" in capsys.readouterr().out


@pytest.mark.usefixtures("row")
def test_a_new_row_is_measured(monkeypatch):
    assert bench.FLOWS is flows.FLOWS
    monkeypatch.setattr(bench, "FLOWS", {name: flows.FLOWS[name] for name in ("inverse", "scaling")})  # no time for all
    report, text = run_bench(monkeypatch, sides=(), kernel_sizes=(), train_steps=0)
    assert [speed.name for speed in report.speeds] == ["inverse", "scaling"]
    assert "scaling" in text


@pytest.mark.usefixtures("row")
@pytest.mark.parametrize("collected", [flow_cases.layers_of_the_table, flow_cases.models_of_the_table])
def test_a_new_row_is_tested(collected):
    (case,) = (case for case in collected() if "scaling" in case.name)
    test_flows.test_round_trip_both_ways(case)
    test_flows.test_log_determinant(case, "forward")
    test_flows.test_gradients(case)


def test_every_row_is_tested():
    tested = {case.name for case in test_flows.ALL}
    assert tested >= {f"{kind}-{name}" for name in flows.FLOWS for kind in ("layer", "model")}


def test_the_readme_lists_the_rows():
    assert f"`{' '.join(flows.FLOWS)}`" in re.sub(r"\s+", " ", README.read_text())


def test_inverse_flow_is_a_class():
    direct = flows.InverseFlow((1, 8, 8), levels=1, steps=2, width=4, num_classes=3, corners="chain", seed=1)
    by_name = flows.build_flow(**direct.config, seed=1)
    assert type(by_name) is flows.InverseFlow
    assert issubclass(flows.InverseFlow, flows.FlowModel)
    assert not isinstance(flows.build_flow("glow", (1, 8, 8), levels=1, steps=1), flows.InverseFlow)
    assert direct.config == by_name.config
    for twin in (copy.deepcopy(direct), pickle.loads(pickle.dumps(direct)), by_name):
        assert type(twin) is flows.InverseFlow
        assert twin.config == direct.config
        assert all(map(torch.equal, twin.state_dict().values(), direct.state_dict().values()))
