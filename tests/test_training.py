"""The training loop: what it minimises, how fast, for how long, how that is judged, and what it refuses."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from training_runs import CONFIG, SQUARES, Mean, noise_images, splits, squares

from deconv.flows import build_flow
from deconv.training import BITS_PER_DIM, Batch, RunConfig, Settings, evaluate, fit
from deconv.training.averaging import averaged_copy
from deconv.training.distributed import Workers
from deconv.training.grid import grid
from deconv.training.log import read_log
from deconv.training.settings import learning_rate


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


def test_shards_fit_the_processes():
    workers = Workers(0, 2, torch.device("cpu"))
    with pytest.raises(ValueError, match="shards: expected a multiple of the 2 processes, given 3"):
        fit(Mean(), splits(), SQUARES, Settings(batch_size=6, shards=3), workers=workers)


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_do_not_change_a_loss_without_noise(shards):
    settings = [Settings(steps=5, batch_size=16, shards=s) for s in (1, shards)]
    one, many = (fit(Mean(), splits(), SQUARES, s, progress=False).model.mean for s in settings)
    torch.testing.assert_close(one, many)


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
    assert RunConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG
    changed = CONFIG.changed(model={"width": 16, "levels": None}, settings={"steps": 3}, options={"grey": False})
    assert changed.model == {**CONFIG.model, "width": 16}
    assert (changed.settings.steps, changed.settings.batch_size) == (3, 8)
    assert changed.options == {"size": 8, "grey": False}
    other = RunConfig(data="folder", root="here", options={"size": 8}).changed(data="mnist")
    assert (other.root, other.options) == (None, {})
    assert CONFIG.continued(settings={"steps": 99}).settings.steps == 99
