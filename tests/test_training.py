"""The training loop: what it minimises, that it can be broken off anywhere, and what it refuses."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deconv.flows import build_flow
from deconv.training import (
    BITS_PER_DIM,
    Batch,
    Objective,
    RunConfig,
    Settings,
    Splits,
    StoredImages,
    evaluate,
    fit,
    train,
)
from deconv.training.augmentation import augment
from deconv.training.checkpoint import CHECKPOINT, MODEL, read_checkpoint
from deconv.training.distributed import Workers
from deconv.training.grid import grid
from deconv.training.log import COLUMNS, read_log
from deconv.training.order import ShardOrder, Stream, generator_for, permutation, seed_for
from deconv.training.settings import learning_rate

CONFIG = RunConfig(
    model={"name": "inverse", "levels": 1, "steps": 1, "width": 8},
    options={"size": 8},
    settings=Settings(steps=12, batch_size=8, warmup=3, validate_every=5, validation_images=50, augmentation="flip"),
)

# For processes of their own, which import this file.
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]),
}


def noise_images(count: int, seed: int = 0, shape=(1, 8, 8)) -> StoredImages:
    generator = torch.Generator().manual_seed(seed)
    return StoredImages(torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8))


def splits(count: int = 64) -> Splits:
    return Splits(noise_images(count), noise_images(30, seed=1), noise_images(30, seed=2))


class Mean(nn.Module):
    """Learns the mean of the pixels."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1, 8, 8))


def squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> torch.Tensor:
    return (batch.images / 255 - model.mean).square().flatten(1).mean(1)


SQUARES = Objective("mean square", squares)


def test_the_minimum_is_found():
    """The minimiser of the mean square is the mean, which the averaged parameters come nearer to than the last."""
    data = splits()
    settings = Settings(steps=300, batch_size=16, learning_rate=0.05, average=0.98, validate_every=100)
    model = Mean()
    fitted = fit(model, data, SQUARES, settings, progress=False)
    truth = (data.train.images / 255).mean(0)
    assert (fitted.model.mean - truth).abs().max() < 0.02
    assert fitted.steps == 300
    assert [row["step"] for row in fitted.history if row["validation"] is not None] == [100, 200, 300]
    expected = squares(fitted.model, Batch(data.validation.images), torch.Generator()).mean()
    assert fitted.history[-1]["validation"] == pytest.approx(float(expected), rel=1e-5)


def test_the_learning_rate_rises_and_falls():
    settings = Settings(steps=1000, learning_rate=0.1, warmup=10, decay="cosine")
    rates = [learning_rate(settings, step, 0.0) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01)
    assert np.argmax(rates) in (9, 10)
    assert rates[500] == pytest.approx(0.05)
    assert rates[1000] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(rates[10:]) < 0)
    limited = Settings(steps=10**9, learning_rate=0.1, warmup=1, decay="linear", time_limit=8.0)
    assert learning_rate(limited, 5, 6.0) == pytest.approx(0.025)
    assert learning_rate(Settings(warmup=0, decay="none"), 1999, 0.0) == 1e-3


def test_the_average_follows_its_recurrence():
    """m <- d m + (1 - d) p with d = min(decay, (1 + n) / (10 + n)), from the first update on."""
    from deconv.training.averaging import averaged_copy

    model = nn.Linear(1, 1, bias=False)
    copy = averaged_copy(model, 0.5)
    values = [3.0, -1.0, 2.0, 8.0, 5.0, -4.0, 7.0, 1.0, 0.0, 2.5]
    mean = None
    for n, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(value)
        copy.update_parameters(model)
        decay = min(0.5, (1 + n) / (10 + n))
        mean = value if mean is None else decay * mean + (1 - decay) * value
    assert float(copy.module.weight) == pytest.approx(mean, rel=1e-5)


# Order and randomness


@pytest.mark.parametrize(("size", "batch", "shards"), [(24, 6, 3), (10, 4, 2), (3, 8, 4)])
def test_every_epoch_shows_every_image_once(size, batch, shards):
    """The shards together see epoch after epoch; each starts again at any step where it would have been."""
    steps = 4 * size
    orders = [
        ShardOrder(size, batch, range(s, s + 1), shards, seed=3, first_step=0, last_step=steps) for s in range(shards)
    ]
    parts = [list(order) for order in orders]
    assert all(len(part) == steps == len(order) for part, order in zip(parts, orders, strict=True))
    stream = [i for step in zip(*parts, strict=True) for part in step for i in part]
    for epoch in range(len(stream) // size):
        seen = stream[epoch * size : (epoch + 1) * size]
        assert sorted(seen) == list(range(size))
    if size > 5:
        assert stream[:size] != stream[size : 2 * size] != list(range(size))
    alone = ShardOrder(size, batch, range(shards), shards, seed=3, first_step=2, last_step=steps)
    assert [i for part in alone for i in part] == stream[2 * batch :]


def test_seeds_tell_places_apart():
    seeds = [
        seed_for(s, stream, *place) for s in (0, 1) for stream in Stream for place in ((), (0,), (1,), (0, 1), (1, 0))
    ]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**63
    assert not np.array_equal(permutation(0, 0, 50), permutation(0, 1, 50))
    first, again = (torch.rand(3, generator=generator_for("cpu", 5, Stream.NOISE, 7)) for _ in range(2))
    assert torch.equal(first, again)


def test_augmentations_are_the_symmetries_of_the_square():
    image = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
    orbit = {
        tuple(turned.flatten().tolist()) for k in range(4) for turned in (image[0, 0].rot90(k), image[0, 0].rot90(k).T)
    }
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(tuple(x.flatten().tolist()) for x in augment(image.repeat(800, 1, 1, 1), "dihedral", generator))
    assert set(drawn) == orbit
    assert min(drawn.values()) > 60
    flipped = Counter(tuple(x.flatten().tolist()) for x in augment(image.repeat(400, 1, 1, 1), "flip", generator))
    assert set(flipped) == {tuple(image.flatten().tolist()), tuple(image.flip(3).flatten().tolist())}
    assert augment(image, "none", generator) is image
    assert augment(torch.zeros(4, 1, 3, 5), "dihedral", generator).shape == (4, 1, 3, 5)


# Evaluation


def test_evaluation_is_the_mean_and_its_error():
    images = noise_images(230)
    model = Mean()
    figures = squares(model, Batch(images.images), torch.Generator()).detach().numpy()
    score = evaluate(model, images, SQUARES, batch_size=50)
    assert score.mean == pytest.approx(figures.mean(), rel=1e-5)
    assert score.standard_error == pytest.approx(figures.std(ddof=1) / math.sqrt(230), rel=1e-4)
    assert score.count == 230
    assert evaluate(model, images, SQUARES, limit=60).mean == pytest.approx(figures[:60].mean(), rel=1e-5)
    alone = evaluate(model, images, SQUARES, limit=1)
    assert (alone.standard_error, alone.count) == (None, 1)
    assert alone.text == f"{figures[0]:.4f} (its error cannot be known from one image)"


def test_a_run_that_validates_on_one_image_says_so(tmp_path, capsys):
    settings = Settings(steps=2, batch_size=4, validate_every=2, validation_images=1)
    fitted = fit(Mean(), splits(), SQUARES, settings, folder=tmp_path)
    assert "(its error cannot be known from one image) mean square" in capsys.readouterr().err
    assert fitted.history[-1]["standard_error"] is None
    assert read_log(tmp_path / "log.csv")[-1]["standard_error"] is None


def test_evaluation_repeats_and_leaves_the_model_as_it_was():
    model = build_flow("inverse", (1, 8, 8), levels=1, steps=1, width=8, seed=0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, again = (evaluate(model, noise_images(40), BITS_PER_DIM, seed=4) for _ in range(2))
    assert first == again
    assert first != evaluate(model, noise_images(40), BITS_PER_DIM, seed=5)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# Taking a run up again


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
    "import sys, deconv.training as t, test_training as test\n"
    "t.train(test.CONFIG.changed(settings={'steps': 60}), sys.argv[1], resume=True, save_seconds=0, progress=False)"
)


def test_a_run_survives_kill_9_at_any_moment(tmp_path):
    """Killed twice at a random moment, as the operating system would, the run ends as if nothing had been."""
    config = CONFIG.changed(settings={"steps": 60})
    rng = np.random.default_rng()
    broken = tmp_path / "broken"
    before = 0
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(broken)], env=ENVIRONMENT, stderr=subprocess.PIPE)
        while child.poll() is None and (not (broken / CHECKPOINT).exists() or _step(broken) <= before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        child.send_signal(signal.SIGKILL)
        _, said = child.communicate()
        assert child.returncode in (-signal.SIGKILL, 0), said.decode()
        assert _step(broken) > before
        before = _step(broken)
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


# Several processes

WORKER = """
import sys, os, torch
torch.set_num_threads(1)
import deconv.training as t, test_training as test
from safetensors.torch import save_file
fitted = t.train(test.CONFIG, sys.argv[1], progress=False)
save_file(dict(fitted.model.state_dict()), os.path.join(sys.argv[1], f"rank{os.environ['RANK']}.safetensors"))
"""


def test_two_processes_are_one_with_the_double_batch(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "worker.py"), str(tmp_path / "two")]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    first, second = (load_file(tmp_path / "two" / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    fitted = train(CONFIG.changed(settings={"shards": 2}), tmp_path / "one", progress=False)
    for name, value in fitted.model.state_dict().items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-5)
    logs = [read_log(tmp_path / run / "log.csv") for run in ("two", "one")]
    for two, one in zip(*logs, strict=True):
        assert two["train"] == pytest.approx(one["train"], rel=1e-5)
        if one["validation"] is not None:
            assert two["validation"] == pytest.approx(one["validation"], rel=1e-5)


def test_shards_fit_the_processes():
    workers = Workers(0, 2, torch.device("cpu"))
    with pytest.raises(ValueError, match="shards: expected a multiple of the 2 processes, given 3"):
        fit(Mean(), splits(), SQUARES, Settings(batch_size=6, shards=3), workers=workers)


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_do_not_change_a_loss_without_noise(shards):
    settings = [Settings(steps=5, batch_size=16, shards=s) for s in (1, shards)]
    one, many = (fit(Mean(), splits(), SQUARES, s, progress=False).model.mean for s in settings)
    torch.testing.assert_close(one, many)


# Time, precision, pictures


def test_a_time_limit_ends_the_run_and_the_decay():
    now = iter(range(10**6))
    settings = Settings(steps=10**6, time_limit=60.0, decay="linear", validate_every=10**6, warmup=1)
    fitted = fit(Mean(), splits(), SQUARES, settings, clock=lambda: float(next(now)), progress=False)
    assert fitted.steps < 61
    assert fitted.seconds >= 60
    assert fitted.history[-1]["learning_rate"] < 0.05 * settings.learning_rate


def test_the_callback_stops():
    fitted = fit(
        Mean(), splits(), SQUARES, Settings(steps=50, validate_every=10), progress=False,
        callback=lambda row, model: row["step"] == 20,
    )  # fmt: skip
    assert fitted.steps == 20


def test_training_in_low_precision_follows_the_exact_one(tmp_path, whole):
    train(CONFIG.changed(settings={"precision": "bfloat16"}), tmp_path, progress=False)
    exact, low = (read_log(folder / "log.csv")[-1]["validation"] for folder in (whole, tmp_path))
    assert low == pytest.approx(exact, abs=0.02)
    assert low != exact


def test_a_grid_holds_every_image_in_its_place():
    images = torch.linspace(0, 0.9, 5)[:, None, None, None].expand(5, 3, 4, 6)
    sheet = grid(images)
    assert sheet.shape == (3, 2 * 5 - 1, 3 * 7 - 1)
    for number in range(5):
        row, column = divmod(number, 3)
        assert torch.equal(sheet[:, 5 * row : 5 * row + 4, 7 * column : 7 * column + 6], images[number])
    assert (sheet[:, 4] == 1).all()
    assert (sheet[:, 5:, 14:] == 1).all()
    assert grid(images, columns=5).shape == (3, 4, 5 * 7 - 1)


# Settings and configurations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, given 0"),
        ({"learning_rate": 0}, "learning_rate: expected a positive number"),
        ({"average": 1.0}, r"average: expected a number in \[0, 1\), given 1.0"),
        ({"decay": "fast"}, "decay: unknown 'fast', allowed are cosine, linear, none"),
        ({"precision": "float16"}, "precision: unknown 'float16', allowed are float32, bfloat16"),
        ({"batch_size": 6, "shards": 4}, "shards: must divide batch_size, given 4 and 6"),
        ({"time_limit": -1.0}, "time_limit: expected a positive number"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(ValueError, match=message):
        Settings(**values)


def test_configurations_survive_json_and_change_by_section():
    import json

    assert RunConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    changed = CONFIG.changed(model={"width": 16, "levels": None}, settings={"steps": 3}, options={"grey": False})
    assert changed.model == {**CONFIG.model, "width": 16}
    assert (changed.settings.steps, changed.settings.batch_size) == (3, 8)
    assert changed.options == {"size": 8, "grey": False}
    other = RunConfig(data="folder", root="here", options={"size": 8}).changed(data="mnist")
    assert (other.root, other.options) == (None, {})
    assert CONFIG.continued(settings={"steps": 99}).settings.steps == 99
