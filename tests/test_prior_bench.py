"""A prior that was trained: written for restoration, and measured beside Gaussians."""

from __future__ import annotations

import io
import json

import pytest
import torch
from rich.console import Console
from skimage import data

from deconv.bench import prior as module
from deconv.cli import main
from deconv.imaging import read_image, write_image
from deconv.imaging.psf import gaussian
from deconv.prior import load_prior
from deconv.restore import flow_map
from deconv.training import load_model


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("camera", "coins", "page"):
        write_image(folder / f"{name}.png", getattr(data, name)()[60:220, 140:300])
    return folder


def test_gaussians_know_less_of_photographs_than_the_flow(photographs, tmp_path):
    said = io.StringIO()
    rows = module.main(root=photographs, crops=8, json=tmp_path / "prior.json", console=Console(file=said, width=100))
    gaussian, mixture, flow = ({level: float(each.mean()) for level, each in row["nats"].items()} for row in rows)
    assert all(gaussian[level] > flow[level] and mixture[level] > flow[level] for level in (0.01, 0.03, 0.1))
    assert 20.2 + 3 < rows[0]["psnr"] < rows[1]["psnr"] < rows[2]["psnr"]  # 20.2 dB with the noise
    assert "lead over gmm" in said.getvalue()
    assert [row["density"] for row in json.loads((tmp_path / "prior.json").read_text())][-1] == "flow"


def test_the_entropy_of_a_gaussian_is_what_its_samples_take():
    """White noise of 0.1 and 0.03 together: the figure is known in closed form."""
    noise = 0.1 * torch.randn(32, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    white = module.GaussianMixturePrior.from_covariances(torch.ones(1), 0.01 * torch.eye(63)[None])
    nats = module._nats(white, 0.5 + noise, 0.03)
    entropy = 0.5 * torch.tensor(2 * torch.pi * torch.e * (0.1**2 + 0.03**2)).log()
    assert float(nats.mean()) == pytest.approx(float(entropy), abs=0.01)


def test_one_crop_is_not_enough(photographs):
    with pytest.raises(ValueError, match="crops"):
        module.main(root=photographs, crops=1)


def test_a_trained_prior_restores(photographs, tmp_path, capsys):
    steps = ["--steps", "2", "--batch-size", "2", "--size", "32", "--validation-images", "2", "-q"]
    assert main(["train", "--recipe", "prior", "--root", str(photographs), *steps, "-o", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "-o", str(tmp_path / "mine.safetensors")]) == 0
    assert "mine.safetensors: prior" in capsys.readouterr().out
    prior, trained = load_prior(tmp_path / "mine.safetensors"), load_model(tmp_path / "run").model
    picture = read_image(photographs / "camera.png")[:64, :64]
    image = torch.tensor(picture)[None, None] / 255
    torch.testing.assert_close(prior.log_prob(image, 0.03), trained.log_prob(image, 0.03), rtol=1e-4, atol=0.1)

    write_image(tmp_path / "blurred.png", picture)
    command = ["deblur", str(tmp_path / "blurred.png"), "-o", str(tmp_path / "out.png"), "--psf", "gaussian:1", "-q"]
    method = ["--method", "flow", "--iterations", "2", "--sigma", "1%"]
    assert main([*command, *method, "--prior", str(tmp_path / "mine.safetensors")]) == 0
    expected = flow_map(image[0, 0].numpy(), gaussian(1.0), prior, sigma=0.01, num_iter=2, progress=False)
    written = torch.tensor(read_image(tmp_path / "out.png")) / 255
    assert float((written - torch.as_tensor(expected).clamp(0, 1)).abs().max()) < 1 / 250


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--method", "wiener", "--prior", "flow"], "--prior: wiener does not take it"),
        (["--method", "flow", "--prior", "nowhere"], "'nowhere' is neither a file nor one of"),
        (["--kernel-size", "9"], "--kernel-size: is for a psf to be estimated"),
    ],
)
def test_a_prior_goes_with_what_takes_it(photographs, tmp_path, capsys, arguments, named):
    source, target = photographs / "coins.png", tmp_path / "out.png"
    assert main(["deblur", str(source), "-o", str(target), "--psf", "gaussian:1", *arguments]) == 2
    assert named in capsys.readouterr().err
    assert not target.exists()


def test_a_prior_is_no_sampler(tmp_path, photographs, capsys):
    steps = ["--steps", "1", "--batch-size", "2", "--size", "32", "--validation-images", "2", "-q"]
    assert main(["train", "--recipe", "prior", "--root", str(photographs), *steps, "-o", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), "-o", str(tmp_path / "mine.pt2")]) == 2
    assert "a prior is written to a file .safetensors" in capsys.readouterr().err
