"""``deconv train``, ``sample``, ``evaluate`` and ``export``: from nothing to pictures, and what they refuse."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

from deconv.cli import main
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import gaussian
from deconv.restore import flow_map
from deconv.training import BITS_PER_DIM, RECIPES, draw, evaluate, export_sampler, load_data, load_model
from deconv.training.data import DATASETS
from deconv.training.data.mnist import read_mnist
from deconv.training.log import COLUMNS, read_log
from deconv.training.models import build_model
from deconv.training.order import Stream, generator_for

TINY = ["--size", "8", "--levels", "1", "--depth", "2", "--width", "8", "--batch-size", "16"]
TINY += ["--validate-every", "20", "--validation-images", "100"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", *TINY, "--steps", "60", "--quiet", "-o", str(folder)]) == 0
    return folder


def test_train_leaves_its_files(run):
    rows = read_log(run / "log.csv")
    assert tuple(rows[0]) == COLUMNS
    judged = [row for row in rows if row["validation"] is not None]
    assert [row["step"] for row in judged] == [20, 40, 60]
    assert judged[-1]["validation"] < judged[0]["validation"] - 0.05
    assert {path.name for path in run.iterdir()} == {
        ".lock", "checkpoint.safetensors", "config.json", "log.csv", "model.safetensors", "samples",
    }  # fmt: skip
    assert len(list((run / "samples").glob("*.png"))) == 3
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["image_shape"] == [1, 8, 8]
    assert config["run"]["settings"]["steps"] == 60


def test_train_says_how_it_goes_and_resumes(tmp_path, tries):
    folder = tmp_path / "run"
    status, out, err = tries("train", *TINY, "--steps", 20, "-o", folder)
    assert status == 0
    assert re.search(r"inverse, [\d,]+ parameters; patches, 1 x 8 x 8, [\d,]+ / [\d,]+ / [\d,]+ images", err)
    assert re.search(r"step     20 .* train \d\.\d+  validation \d\.\d+ ± 0\.\d+ bits/dim  [\d,]+ images/s", err)
    assert out.startswith(f"{folder}: 20 steps")
    status, out, err = tries("train", "-o", folder)
    assert status == 2
    assert "--resume goes on with it" in err
    status, out, _ = tries("train", "-o", folder, "--resume", "--steps", 25)
    assert (status, out.startswith(f"{folder}: 25 steps")) == (0, True)
    status, _, err = tries("train", "-o", folder, "--resume", "--width", 99)
    assert status == 2
    assert "model width: the run was begun with 8, given 99" in err
    status, out, _ = tries("train", *TINY, "-o", folder, "--overwrite", "--steps", 5)
    assert (status, out.startswith(f"{folder}: 5 steps")) == (0, True)


def test_a_time_limit_alone_ends_the_run(tmp_path, tries):
    folder = tmp_path / "run"
    status, out, _ = tries("train", *TINY, "--time-limit", 0.5, "-o", folder, "--coupling", "spline")
    assert (status, out.startswith(f"{folder}: ")) == (0, True)
    assert read_log(folder / "log.csv")[-1]["seconds"] >= 0.5
    assert load_model(folder).model.config["coupling"] == "spline"


def test_sample_draws_what_the_model_draws(run, tmp_path, tries):
    target = tmp_path / "grid.png"
    status, out, _ = tries("sample", run, "-n", 6, "--columns", 3, "--temperature", 0.5, "-o", target)
    assert (status, f"{run} -> {target}: 6 images, temperature 0.5;" in out) == (0, True)
    sheet = read_image(target)
    assert sheet.shape == (17, 26)
    generator = generator_for("cpu", 0, Stream.SAMPLES)
    images = draw(load_model(run).model, 6, temperature=0.5, generator=generator)
    np.testing.assert_allclose(sheet[9:17, 9:17] / 255, images[4, 0], atol=0.5 / 255 + 1e-6)


def test_evaluate_is_the_mean_over_the_part(run, tries):
    status, out, _ = tries("evaluate", run, "--limit", 300, "--seed", 3)
    score = evaluate(load_model(run).model, load_data("patches", size=8).test, BITS_PER_DIM, limit=300, seed=3)
    assert status == 0
    assert out.startswith(f"patches test: {score.mean:.4f} ± {score.standard_error:.4f} bits/dim, 300 images;")
    assert 3 < score.mean < 8


@pytest.mark.parametrize("name", ["inverse", "glow"])
def test_the_exported_sampler_gives_the_same_images(tmp_path, name):
    config = RECIPES["patches"].changed(
        model={"name": name, "steps": 1, "width": 8, "preprocessing": "gaussianise"}, options={"size": 8}
    )
    model = build_model(config, load_data("patches", size=8))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    export_sampler(model, tmp_path / "sampler.pt2")
    sampler = torch.export.load(tmp_path / "sampler.pt2").module()
    for count in (1, 5):
        noise = torch.randn(count, 64, generator=generator)
        with torch.no_grad():
            torch.testing.assert_close(sampler(noise), model.decode(noise).clamp(0, 1), rtol=1e-5, atol=1e-5)


def test_export(run, tmp_path, tries):
    status, out, _ = tries("export", run, "-o", tmp_path / "sampler.pt2")
    assert (status, "sampler of 1 x 8 x 8 images" in out) == (0, True)
    status, _, err = tries("export", run, "-o", tmp_path / "sampler.zip")
    assert (status, "allowed here are .pt2, .onnx" in err) == (2, True)


def test_export_to_onnx(run, tmp_path, tries):
    target = tmp_path / "sampler.onnx"
    status, _, err = tries("export", run, "-o", target)
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        assert (status, "ONNX needs the package onnx" in err, target.exists()) == (2, True, False)
        return
    assert status == 0, err
    noise = torch.randn(3, 64)
    (images,) = onnxruntime.InferenceSession(target).run(None, {"noise": noise.numpy()})
    np.testing.assert_allclose(images, load_model(run).model.decode(noise).clamp(0, 1).detach(), atol=1e-5)


def test_conditional_flows_know_their_labels(tmp_path, tries, monkeypatch):
    np.savez(
        tmp_path / "mnist.npz",
        train_images=np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8),
        train_labels=np.arange(60) % 10,
        test_images=np.zeros((5, 28, 28), np.uint8),
        test_labels=np.arange(5),
    )
    folder, target = tmp_path / "run", tmp_path / "grid.png"
    options = ["--data", "mnist", "--root", tmp_path, "--conditional", *TINY[2:], "--steps", 2, "-o", folder, "-q"]
    assert tries("train", *options)[0] == 0
    assert load_model(folder).model.config["num_classes"] == 10
    assert tries("sample", folder, "-n", 4, "--label", 3, "-o", target)[0] == 0
    status, _, err = tries("sample", folder, "-n", 4, "--label", 10, "-o", target)
    assert (status, "label: given 10, allowed are 0 to 9" in err) == (2, True)
    status, _, err = tries("export", folder, "-o", tmp_path / "sampler.pt2")
    assert (status, "it is conditional" in err) == (2, True)
    assert tries("evaluate", folder)[0] == 0
    status, _, err = tries("evaluate", folder, "--data", "patches", "--size", 28)
    assert (status, "--data: patches has no labels, and the model needs some" in err) == (2, True)
    monkeypatch.setattr(
        "deconv.training.data.DATASETS", {"mnist": lambda root: replace(read_mnist(root), num_classes=1000)}
    )
    status, _, err = tries("evaluate", folder)
    assert (status, "--data: its labels are 0 to 999, the model's 0 to 9" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--recipe", "cake"], "--recipe: unknown 'cake', allowed are patches, mnist"),
        (["train", "--recipe", "mnist"], "root: the data set mnist needs the file or folder"),
        (["train", "--data", "nothing"], "data: unknown 'nothing'"),
        (["train", "--model", "nothing"], "name: unknown 'nothing'"),
        (["train", "--size", "10"], "divisible by 4"),
        (["train", "--steps", "0"], "steps: expected at least 1"),
        (["train", "--device", "quantum"], "device: 'quantum' cannot be used here"),
        (["train", "--conditional"], "conditional: the data set patches has no labels"),
        (["sample", "missing", "-o", "x.png"], "missing: there is no such file"),
        (["sample", "RUN", "-o", "x.gif"], "kind of file '.gif'"),
        (["sample", "RUN", "-n", "0", "-o", "x.png"], "--count: expected at least 1"),
        (["sample", "RUN", "--temperature", "-1", "-o", "x.png"], "--temperature: expected a finite number"),
        (["sample", "RUN", "--label", "1", "-o", "x.png"], "the model is not conditional"),
        (["sample", "damaged.safetensors", "-o", "x.png"], "damaged.safetensors: damaged"),
        (["evaluate", "RUN", "--size", "16"], "--data: its images are (1, 16, 16), the model's (1, 8, 8)"),
        (["evaluate", "RUN", "--split", "none"], "split: unknown 'none'"),
    ],
)
def test_errors(run, tmp_path, monkeypatch, tries, arguments, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(run / "model.safetensors", "damaged.safetensors")
    with open("damaged.safetensors", "r+b") as file:
        file.truncate(5000)
    status, out, err = tries(*(str(run) if a == "RUN" else a for a in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.safetensors"]


def test_tensorboard_is_looked_for_first(tmp_path, monkeypatch, tries):
    monkeypatch.setattr("deconv.training.log.find_spec", lambda name: None)
    status, _, err = tries("train", "--tensorboard", "-o", tmp_path / "run")
    assert (status, err) == (2, "deconv: tensorboard: is not installed (pip install tensorboard)\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_build(recipe):
    """Every recipe names a data set, and a model that can be built for images of its size."""
    config = RECIPES[recipe]
    assert config.data in DATASETS
    known = {"mnist": (1, 28, 28), "crops": (1, config.options.get("size"), config.options.get("size"))}
    shape = known.get(config.data) or load_data(config.data, **config.options).shape
    images = type("Data", (), {"shape": shape, "num_classes": 10})
    assert sum(parameter.numel() for parameter in build_model(config, images).parameters()) > 1000


def test_the_recipe_of_the_prior_trains_and_its_weights_restore(tmp_path, tries):
    """From photographs to a file that `FlowPrior.load` takes, with as few steps as show that all parts fit."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, picture in {"a": data.camera(), "b": data.coffee(), "c": data.astronaut()}.items():
        write_image(photographs / f"{name}.png", picture[:96, :120])
    run = tmp_path / "run"
    options = ["--steps", 3, "--batch-size", 2, "--validate-every", 3, "-o", run, "--quiet"]
    status, _, err = tries("train", "--recipe", "prior", "--root", photographs, *options)
    assert (status, err) == (0, "")
    image = data.camera()[200:240, 200:240]
    restored = flow_map(image, gaussian(1.0, 5), prior=load_model(run).model, num_iter=2)
    assert restored.shape == image.shape
