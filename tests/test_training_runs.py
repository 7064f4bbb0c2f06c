"""Runs with a folder: broken off anywhere and taken up again, made longer, in several processes, in low precision."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import CONFIG

from deconv.training import train
from deconv.training.checkpoint import CHECKPOINT, MODEL, read_checkpoint
from deconv.training.log import COLUMNS, read_log

# For processes of their own, which import our training_runs.
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(CONFIG, folder, progress=False)
    return folder


def assert_same_run(folder, other):
    for name in (CHECKPOINT, MODEL):
        first, second = load_file(folder / name), load_file(other / name)
        assert first.keys() == second.keys()
        different = [key for key in first if not torch.equal(first[key], second[key])]
        assert not different
    timeless = [name for name in COLUMNS if name not in ("seconds", "images_per_second", "train", "gradient_norm")]
    logs = [[[row[name] for name in timeless] for row in read_log(run / "log.csv")] for run in (folder, other)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("last", [1, 5, 7])
def test_a_run_goes_on_bit_for_bit(tmp_path, whole, monkeypatch, last):
    """Broken off after any step, the run ends with the parameters that it would have had."""

    class Broken(Exception):
        pass

    from deconv.training.trainer import Trainer

    original = Trainer.save

    def save(self):
        original(self)
        if self.state.step >= last:
            raise Broken

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "save", save)
        with pytest.raises(Broken):
            train(CONFIG, tmp_path, save_seconds=0, progress=False)
    state = torch.random.get_rng_state()
    torch.rand(7)  # whatever happens to the global generator
    train(CONFIG, tmp_path, resume=True, progress=False)
    assert_same_run(tmp_path, whole)
    torch.random.set_rng_state(state)


CHILD = (
    "import sys, deconv.training as t, training_runs as test\n"
    "t.train(test.CONFIG.changed(settings={'steps': 60}), sys.argv[1], resume=True, save_seconds=0, progress=False)"
)


def test_a_run_survives_kill_9_at_any_moment(tmp_path):
    """Killed at a random moment, as the operating system would, the run ends as if nothing had been."""
    config = CONFIG.changed(settings={"steps": 60})
    broken = tmp_path / "broken"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(broken)], env=ENVIRONMENT, stderr=subprocess.PIPE)
    while child.poll() is None and not (broken / CHECKPOINT).exists():
        time.sleep(0.01)
    time.sleep(np.random.default_rng().uniform(0, 0.5))
    child.send_signal(signal.SIGKILL)
    _, said = child.communicate()
    assert child.returncode in (-signal.SIGKILL, 0), said.decode()
    assert 0 < _step(broken) <= 60
    train(config, broken, resume=True, progress=False)
    train(config, tmp_path / "whole", progress=False)
    assert_same_run(broken, tmp_path / "whole")
    assert not list(broken.glob(".*.part"))


def _step(folder) -> int:
    """A reader finds a complete checkpoint at any time."""
    return read_checkpoint(folder / CHECKPOINT)[1]["state"]["step"]


def test_a_run_is_not_overwritten_unasked(tmp_path, whole):
    with pytest.raises(FileExistsError, match="--resume goes on with it, --overwrite begins anew"):
        train(CONFIG, whole, progress=False)
    with pytest.raises(ValueError, match="model width: the run was begun with 8, given 16; only root, steps"):
        train(CONFIG, whole, resume=True, changes={"model": {"width": 16}}, progress=False)
    damaged = tmp_path / CHECKPOINT
    damaged.write_bytes((whole / CHECKPOINT).read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        train(CONFIG, tmp_path, resume=True, progress=False)


def test_a_finished_run_can_be_made_longer(tmp_path):
    train(CONFIG, tmp_path, progress=False)
    fitted = train(CONFIG, tmp_path, resume=True, changes={"settings": {"steps": 15}}, progress=False)
    assert fitted.steps == 15
    assert [row["step"] for row in read_log(tmp_path / "log.csv") if row["validation"]] == [5, 10, 12, 15]


def test_training_in_low_precision_follows_the_exact_one(tmp_path, whole):
    train(CONFIG.changed(settings={"precision": "bfloat16"}), tmp_path, progress=False)
    exact, low = (read_log(folder / "log.csv")[-1]["validation"] for folder in (whole, tmp_path))
    assert low == pytest.approx(exact, abs=0.02)
    assert low != exact


SECOND = (
    "import sys, torch, deconv.training as t, training_runs as test\n"
    "from safetensors.torch import save_file\n"
    "torch.set_num_threads(1)\n"
    "fitted = t.train(test.CONFIG, sys.argv[1], progress=False)\n"
    "save_file(dict(fitted.model.state_dict()), sys.argv[2])"
)


def test_two_processes_are_one_with_the_double_batch(tmp_path, monkeypatch):
    """The first is this one, the second another; both are told what torchrun tells those that it starts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    command = [sys.executable, "-c", SECOND, str(tmp_path / "two"), str(tmp_path / "second.safetensors")]
    environment = ENVIRONMENT | told | {"RANK": "1", "LOCAL_RANK": "1"}
    other = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    with monkeypatch.context() as here:
        for name, value in (told | {"RANK": "0", "LOCAL_RANK": "0"}).items():
            here.setenv(name, value)
        first = train(CONFIG, tmp_path / "two", progress=False).model.state_dict()
    _, said = other.communicate()
    assert other.returncode == 0, said
    second = load_file(tmp_path / "second.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    fitted = train(CONFIG.changed(settings={"shards": 2}), tmp_path / "one", progress=False)
    for name, value in fitted.model.state_dict().items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-5)
    logs = [read_log(tmp_path / run / "log.csv") for run in ("two", "one")]
    for two, one in zip(*logs, strict=True):
        assert two["train"] == pytest.approx(one["train"], rel=1e-5)
        if one["validation"] is not None:
            assert two["validation"] == pytest.approx(one["validation"], rel=1e-5)
