"""The network of exact solves, with small random weights: what is true of it whatever it has learnt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from restorations import PSF, corner, observation

from deconv import restore
from deconv.cli import main as command
from deconv.imaging import degrade
from deconv.imaging.boundary import crop
from deconv.imaging.tensors import read_tensors, write_tensors
from deconv.nn.cosine_gates import CosineGates
from deconv.ops.dct import dct_matrix
from deconv.restore.algorithms import hyper_laplacian
from deconv.restore.algorithms.network import network
from deconv.restore.networks import load_network, save_network
from deconv.restore.problem import Problem
from deconv.restore.unrolled import UnrolledDeconvolution
from deconv.training.restoration import RESTORATION, random_psf

pytestmark = pytest.mark.filterwarnings("ignore:network. its result leaves")  # what random weights do


def tiny(stages: int = 1, scale: float = 0.3) -> UnrolledDeconvolution:
    """Random weights in float64, whose last layers are not zero as those of a new network are."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UnrolledDeconvolution(stages=stages, weights=(0.1, 1.0), width=4).double()
        for stage in model.stages:
            torch.nn.init.normal_(stage.network.last.weight, std=scale)
    return model.requires_grad_(False)


def problem(image: torch.Tensor, num_iter: int = 3, **options) -> Problem:
    return Problem.of(image, PSF, num_iter=num_iter, sigma=0.02, **options)


def image(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gates(stride: int = 4) -> CosineGates:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = CosineGates(2, 4, stride).double()
        torch.nn.init.normal_(net.last.weight)
    return net.requires_grad_(False)


def test_gates_are_odd_homogeneous_and_leave_constants_alone():
    net, x, noise, sigma = gates(), image(2, 2, 24, 32), white(2), image(2, 1) + 0.1
    result = net(x, noise, sigma)
    assert result.shape == (2, 1, 24, 32)
    torch.testing.assert_close(net(-3.7 * x, 3.7**2 * noise, 3.7 * sigma), -3.7 * result)
    torch.testing.assert_close(net(x + 5, noise, sigma), result)
    assert not CosineGates(2, 4)(x.float(), noise.float(), sigma.float()).any()


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_equal_gains_are_a_sum(stride):
    """All blocks together are the image less the means of its blocks."""
    net, x = gates(min(stride, 4)), image(1, 2, 32, 32)
    net.stride = stride
    net.last.weight.zero_()
    net.last.bias.copy_(torch.tensor([0.5, -0.25], dtype=x.dtype).atanh().repeat_interleave(63))
    mixed = 0.5 * x[:, :1] - 0.25 * x[:, 1:]
    means = torch.nn.functional.avg_pool2d(mixed, 8, stride)
    spread = torch.nn.functional.conv_transpose2d(means, torch.ones(1, 1, 8, 8).to(x), stride=stride)
    expected = mixed - spread * (stride / 8) ** 2
    inner = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(net(x, white(1), torch.ones(1, 1).to(x))[inner], expected[inner])


def test_the_noise_in_a_band_is_that_of_its_coefficients():
    generator = torch.Generator().manual_seed(0)
    filters = torch.rand(1, 1, 3, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(1, 1, 600, 600, generator=generator, dtype=torch.float64)
    coloured = torch.nn.functional.conv2d(noise, filters)
    covariance = torch.nn.functional.conv2d(torch.nn.functional.pad(filters, (7, 7, 7, 7)), filters)
    covariance = torch.nn.functional.pad(covariance, [(15 - covariance.shape[-1]) // 2] * 2 + [0, 0])
    covariance = covariance[..., (covariance.shape[-2] - 15) // 2 :, :][..., :15, :]
    seen = {}
    net = gates()
    net.noise.register_forward_pre_hook(lambda _, given: seen.update(levels=given[0]))
    net(image(1, 2, 16, 16), covariance, torch.ones(1, 1).double())
    rows = dct_matrix(8)
    basis = torch.kron(rows, rows)[1:].view(63, 1, 8, 8)
    measured = torch.nn.functional.conv2d(coloured, basis, stride=4).std((0, 2, 3))
    torch.testing.assert_close(seen["levels"].exp()[0], measured, rtol=0.06, atol=0.02)


def white(count: int) -> torch.Tensor:
    """Covariances of white noise."""
    covariance = torch.zeros(count, 1, 15, 15, dtype=torch.float64)
    covariance[..., 7, 7] = 1
    return covariance


def test_untrained_it_is_where_it_starts():
    model = UnrolledDeconvolution(stages=2, weights=(0.1, 1.0), width=4).double()
    posed = problem(torch.from_numpy(corner())[None, None], num_iter=8)
    *_, expected = (x for _, x in zip(range(6), hyper_laplacian.iterates(Problem.of(
        posed.image * posed.unit, PSF, num_iter=6, sigma=0.02)), strict=False))  # fmt: skip
    torch.testing.assert_close(model(posed), expected)


def test_the_solves_minimise_what_they_are_said_to():
    """With a circular boundary, at the minimum the gradient of each objective vanishes."""
    seen = {}
    model = tiny()
    stage = model.stages[0]
    stage.network.register_forward_pre_hook(lambda _, given: seen.update(planes=given[0]))
    posed = problem(image(1, 1, 16, 16), boundary="circular")
    model(posed)
    planes = crop(seen["planes"], [(16, 16), (16, 16)])
    latent, *solved = planes[0, :, None, None]
    domain = posed.domain
    left = domain.observed - domain.blur(latent)
    noise = posed.statistics.sigma / posed.statistics.typical_contrast
    for weight, d in zip((0.1, 1.0), solved, strict=True):
        slopes = [d - d.roll(-1, axis) for axis in (2, 3)]
        divergence = sum(s - s.roll(1, axis) for s, axis in zip(slopes, (2, 3), strict=True))
        gradient = domain.blur_adjoint(domain.blur(d) - left) + weight * 0.7 * noise**1.5 * divergence
        assert float(gradient.abs().max()) < 1e-10


@pytest.mark.parametrize("boundary", ["unknown", "circular", "reflect"])
def test_unit_and_brightness_make_no_difference(boundary):
    observed, model = corner(), tiny()
    options = {"sigma": 0.02, "num_iter": 4, "boundary": boundary}
    restored = network(observed, PSF, model, **options)
    again = network(300 * observed + 7, PSF, model, **{**options, "sigma": 6.0})
    np.testing.assert_allclose((again - 7) / 300, restored, atol=1e-9)


def test_batches_and_channels_are_restored_one_by_one():
    model, images = tiny(), image(2, 3, 20, 18)
    together = network(images, PSF, model, sigma=0.02, num_iter=3)
    apart = [[network(plane, PSF, model, sigma=0.02, num_iter=3) for plane in sample] for sample in images]
    torch.testing.assert_close(together, torch.stack([torch.stack(row) for row in apart]))


def test_a_circular_shift_shifts_the_result():
    """By steps of its blocks; the boundary then is nowhere."""
    model, observed = tiny(), image(32, 40)
    options = {"sigma": 0.02, "boundary": "circular", "num_iter": 3}
    moved = network(observed.roll((4, -12), (0, 1)), PSF, model, **options)
    torch.testing.assert_close(moved, network(observed, PSF, model, **options).roll((4, -12), (0, 1)))


@pytest.mark.parametrize("stages", [1, 2])
def test_gradients_of_image_psf_and_parameters(stages):
    model, observed = tiny(stages), image(1, 1, 6, 7).requires_grad_()
    psf = (PSF[1:4, 2:5] / PSF[1:4, 2:5].sum()).requires_grad_()
    statistics = restore.Statistics.of(observed, 0.05)
    names = [f"stages.0.network.{name}" for name in ("first.bias", "around.bias", "last.weight")]

    def restored(observed, psf, *values):
        posed = Problem.of(observed, psf, num_iter=stages + 1, statistics=statistics)
        return torch.func.functional_call(model, dict(zip(names, values, strict=True)), (posed,))[..., :4, :4].flatten()

    learnt = [model.get_parameter(name).clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(restored, (observed, psf, *learnt), rtol=1e-4, atol=1e-7, fast_mode=True)


def test_masked_pixels_are_never_looked_at():
    mask = np.ones((48, 40), bool)
    mask[20:26, 5:9] = False
    both = [network(np.where(mask, corner(), v), PSF, tiny(), mask=mask, sigma=0.01) for v in (1.0, -3.0)]
    np.testing.assert_array_equal(*both)


def test_volumes_are_refused():
    with pytest.raises(ValueError, match="network: is for images, given a volume"):
        network(image(6, 8, 8), PSF[None], tiny())


def test_it_says_so_where_it_fails():
    with pytest.warns(restore.RestorationWarning, match=r"leaves .* times as much of the image unexplained"):
        network(observation(), PSF, tiny(scale=9.0), sigma=0.01)


def test_files(tmp_path):
    model, path = tiny().float(), tmp_path / "network.safetensors"
    save_network(model, path, record={"seed": 3})
    assert read_tensors(path)[1]["seed"] == 3
    again = load_network(path)
    assert again.config == model.config
    assert load_network(again) is again
    expected = network(corner(), PSF, model, num_iter=3)
    np.testing.assert_allclose(network(corner(), PSF, path, num_iter=3), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "holds none; 'deconv export' makes one"),
        ({"stages": 1, "width": 4}, "weights is missing"),
        ({"stages": 1, "weights": [0.1, 1.0], "width": 0}, "width: expected a whole number from 1 on, given 0"),
        ({"stages": 1, "weights": [0.1, -1.0], "width": 4}, "weights: expected positive numbers"),
        ({"stages": 10**9, "weights": [0.1, 1.0], "width": 4}, "announces at least"),
        ({"stages": 1, "weights": [1.0], "width": 4}, "size mismatch"),
    ],
)
def test_files_that_hold_no_network_are_refused(tmp_path, config, message):
    path = tmp_path / "network.safetensors"
    write_tensors(path, tiny().float().state_dict(), {} if config is None else {"restoration": config})
    with pytest.raises(ValueError, match=f"^network: .*{message}"):
        load_network(path)


def test_names_that_are_none_are_refused():
    with pytest.raises(FileNotFoundError, match="'paintings' is neither a file nor one of 'photographs'"):
        load_network("paintings")


def test_random_psfs():
    for number in range(60):
        psf = random_psf(number)
        assert psf.shape == (33, 33)
        assert float(psf.sum()) == pytest.approx(1, abs=1e-5)
        assert torch.equal(psf, random_psf(number))


def test_the_recipe_trains_and_exports(tmp_path):
    """From photographs to a file that restores, by two commands."""
    from skimage import data

    from deconv.imaging import write_image

    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in ("a.png", "b.png"):
        write_image(photographs / name, data.camera()[:72, :72])
    run, file = tmp_path / "run", tmp_path / "mine.safetensors"
    train = ["train", "--recipe", "network", "--root", str(photographs), "-o", str(run), "--steps", "1", "-q"]
    assert command([*train, "--batch-size", "2", "--validation-images", "1", "--size", "64"]) == 0
    assert command(["export", str(run), "-o", str(file), "-q"]) == 0
    record = read_tensors(file)[1]
    assert record["steps"] == 1
    assert record["run"]["family"] == "network"
    json.dumps(record)
    blurred = degrade(data.camera()[:64, :64] / 255, PSF, noise=0.01, seed=0)
    assert np.isfinite(network(blurred, PSF, file)).all()


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="expected an UnrolledDeconvolution, given Linear"):
        RESTORATION.loss(torch.nn.Linear(1, 1), None, None)
