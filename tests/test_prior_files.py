"""Priors in files: what was saved comes back, and what is no density is refused in one line that names the file."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from deconv.cli import main
from deconv.imaging.tensors import read_tensors, write_tensors
from deconv.prior import FlowPrior, GaussianMixturePrior, load_prior, save_prior


def mixture(components: int = 3) -> GaussianMixturePrior:
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(components, 63, 63, generator=generator, dtype=torch.float64)).Q
    values = 0.3 * torch.exp(-0.15 * torch.arange(63, dtype=torch.float64)).expand(components, 63)
    return GaussianMixturePrior(torch.ones(components), values, axes, sigma_min=0.003)


def flow() -> FlowPrior:
    generator = torch.Generator().manual_seed(0)
    prior = FlowPrior(mixture(), steps=2, width=4, depth=1, gates=2, sigma_max=0.2, generator=generator)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return prior.eval().requires_grad_(False)


@pytest.mark.parametrize("make", [mixture, flow])
def test_what_was_saved_comes_back(make, tmp_path):
    prior = make()
    save_prior(prior, tmp_path / "p.safetensors")
    again = type(prior).load(tmp_path / "p.safetensors")
    image = 0.1 * torch.randn(3, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(again.log_prob(image, 0.1), prior.log_prob(image, 0.1), atol=0.02, rtol=1e-3)
    assert (again.sigma_min, again.sigma_max, again.config) == (prior.sigma_min, prior.sigma_max, prior.config)
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]
    assert load_prior(again) is again


def test_former_names_warn():
    for load in (FlowPrior.load, load_prior):
        with pytest.warns(DeprecationWarning, match="'natural' is now called 'flow'") as told:
            assert isinstance(load("natural"), FlowPrior)
        assert told[0].filename == __file__


def test_every_damage_is_noticed(tmp_path):
    """Each byte of the file matters, also those of the shipped ones."""
    path = tmp_path / "p.safetensors"
    save_prior(flow(), path)
    whole = path.read_bytes()
    generator = torch.Generator().manual_seed(0)
    for place in torch.randint(len(whole), (60,), generator=generator).tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"^prior: .*p\.safetensors: .*(damaged|none of this toolkit)"):
            load_prior(path)
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^prior: .*p\.safetensors: damaged"):
            load_prior(path)


def _set(name, change):
    """Put `change(value)` in the place of a tensor."""

    def alter(tensors, record):
        tensors[name] = change(tensors[name])

    return alter


def _without(name):
    return lambda tensors, record: tensors.pop(name)


def _with_config(**values):
    return lambda tensors, record: record["config"].update(values)


def _without_config(name):
    return lambda tensors, record: record["config"].pop(name)


def _first(value):
    """Set the first number of a tensor."""

    def change(tensor):
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return change


MIXTURES = {
    "no weights": (_without("weights"), "weights is missing"),
    "no vectors": (_without("vectors"), "vectors is missing"),
    "another tensor": (lambda t, r: t.update(more=torch.ones(2)), "a mixture has no more"),
    "a zero weight": (_set("weights", _first(0.0)), "weights: expected positive numbers"),
    "a negative weight": (_set("weights", _first(-0.1)), "weights: expected positive numbers"),
    "a negative variance": (_set("values", _first(-0.1)), "values: expected variances of 0 or more"),
    "NaN": (_set("values", _first(float("nan"))), "values holds values that are not finite"),
    "infinite weight": (_set("weights", _first(float("inf"))), "weights holds values that are not finite"),
    "no component": (_set("values", lambda t: t[:0]), "values: expected"),
    "blocks that are not square": (_set("values", lambda t: t[:, :50]), "values: expected"),
    "other vectors": (_set("vectors", lambda t: t[:2]), "vectors: expected"),
    "vectors of length zero": (_set("vectors", torch.zeros_like), "vectors: expected orthonormal"),
    "a sigma of zero": (_with_config(sigma_min=0.0), "sigma_min, sigma_max: expected"),
    "a strange option": (_with_config(stride=3), "stride"),
}

FLOWS = {
    "no base": (_without("base.values"), "values is missing"),
    "a parameter is missing": (_without("scales.0.0.last.weight"), "Missing key"),
    "a parameter too many": (lambda t, r: t.update(more=torch.ones(2)), "Unexpected key"),
    "a parameter of another shape": (_set("scales.1.0.last.bias", lambda t: t[:1]), "size mismatch"),
    "NaN in the flow": (_set("scales.1.0.last.bias", _first(float("nan"))), "holds values that are not finite"),
    "no steps": (_with_config(steps=0), "steps: expected a whole number from 1"),
    "negative steps": (_with_config(steps=-3), "steps: expected a whole number from 1"),
    "other steps": (_with_config(steps=1), "Unexpected key"),
    "endless steps": (_with_config(steps=10**9), "its configuration announces at least"),
    "endless width": (_with_config(width=10**9), "its configuration announces at least"),
    "endless kernel": (_with_config(kernel_size=10**9), "its configuration announces at least"),
    "endless depth": (_with_config(depth=10**9), "its configuration announces at least"),
    "endless gates": (_with_config(gates=10**9), "its configuration announces at least"),
    "steps that are no number": (_with_config(steps="four"), "steps: expected a number, given 'four'"),
    "a fraction of steps": (_with_config(steps=2.0), "steps: expected a whole number"),
    "sigma the wrong way round": (_with_config(sigma_min=0.5), "sigma_min, sigma_max: expected"),
    "no width": (_without_config("width"), "width is missing"),
    "another kind": (lambda t, r: r.update(prior="gmm"), "a mixture has no"),
    "an unknown kind": (lambda t, r: r.update(prior="vae"), "kind: unknown 'vae', allowed are flow, gmm"),
    "no kind": (lambda t, r: r.pop("prior"), "holds no prior"),
    "a list for a configuration": (lambda t, r: r.update(config=[]), "holds no prior"),
}


@pytest.mark.parametrize(
    ("make", "alter", "message"),
    [(mixture, *row) for row in MIXTURES.values()] + [(flow, *row) for row in FLOWS.values()],
    ids=[*MIXTURES, *FLOWS],
)
def test_what_is_no_density_is_refused(tmp_path, make, alter, message):
    """With the checksum right."""
    path = tmp_path / "p.safetensors"
    save_prior(make(), path)
    tensors, record = read_tensors(path)
    alter(tensors, record)
    write_tensors(path, tensors, record)
    with pytest.raises(ValueError, match=rf"^prior: .*p\.safetensors.*{message}") as raised:
        load_prior(path)
    assert "\n" not in str(raised.value)


def test_files_that_hold_no_prior(tmp_path):
    with pytest.raises(FileNotFoundError, match="prior: 'nature' is neither a file nor one of 'flow', 'gmm'"):
        load_prior("nature")
    with pytest.raises(ValueError, match="'gmm' holds a prior of the kind 'gmm', expected 'flow'"):
        FlowPrior.load("gmm")
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"prior: .*x\.safetensors: .*not a safetensors file"):
        load_prior(path)
    save_file({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"prior: .*x\.safetensors: a safetensors file, but none of this toolkit"):
        load_prior(path)


def test_the_command_refuses_in_one_line(tmp_path, capsys):
    import numpy as np

    from deconv.imaging import write_image

    write_image(tmp_path / "in.png", np.zeros((32, 32), np.uint8))
    save_prior(flow(), tmp_path / "p.safetensors")
    with open(tmp_path / "p.safetensors", "r+b") as file:
        file.truncate(3000)
    options = ["--psf", "gaussian:1", "--method", "flow", "--prior", str(tmp_path / "p.safetensors")]
    assert main(["deblur", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), *options]) == 2
    said = capsys.readouterr().err
    assert "p.safetensors: damaged" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.png").exists()
