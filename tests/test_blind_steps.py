"""The steps of blind estimation, one by one: each does what its formula says, for one hypothesis as for several."""

from __future__ import annotations

import io
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import nnls

from deconv.bench.blind_cases import synthetic
from deconv.blind import kernel_similarity
from deconv.blind.evidence import Candidate, Hypothesis, posterior_precision
from deconv.blind.image_step import Scale, _adjoint_of_strong
from deconv.blind.observation import Observation
from deconv.blind.polish import polish
from deconv.blind.psf_step import edge_threshold, fit_psf, strong_edges
from deconv.blind.pyramid import alternate, edges_over_noise, pyramid
from deconv.blind.reject import THRESHOLDS
from deconv.blind.search import shown_at, window_around
from deconv.blind.starts import STARTS, path_shapes
from deconv.blind.support import clean, cropped, extent
from deconv.imaging import as_image_batch
from deconv.imaging.convolution import convolve
from deconv.imaging.psf import camera_shake, gaussian
from deconv.restore.derivatives import Gradient


@pytest.fixture(scope="module")
def case():
    return next(synthetic(noise=0.005, side=120))


@pytest.fixture(scope="module")
def piece(case) -> Observation:
    return Observation.of(as_image_batch(case.blurred)[0])


@pytest.fixture(scope="module")
def scale(piece) -> Scale:
    return pyramid(piece, (15, 15))[-1]


def test_the_psf_step_is_nonnegative_least_squares():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(2, 1, 24, 24, generator=generator)
    truth = camera_shake(5, seed=0)
    observed = convolve(gradients.transpose(0, 1), truth, boundary="circular").transpose(0, 1)
    observed = observed + 0.3 * torch.randn(observed.shape, generator=generator)
    ridge = 3.0
    found = fit_psf(gradients, torch.fft.rfft2(observed), (5, 5), ridge=ridge, start=truth[None])[0]

    shifts = [(i - 2, j - 2) for i in range(5) for j in range(5)]
    columns = [gradients.roll(shift, (2, 3)).flatten() for shift in shifts]
    system = torch.cat([torch.stack(columns, 1), ridge**0.5 * torch.eye(25)])
    exact, _ = nnls(system.double().numpy(), torch.cat([observed.flatten(), torch.zeros(25)]).double().numpy())
    assert np.abs(found.flatten().numpy() - exact).max() < 1e-3 * exact.max()


def test_a_variance_that_is_the_same_at_all_frequencies_is_a_ridge(scale):
    start = gaussian(1.5, size=15)[None]
    gradients = scale.latent_gradients(start, torch.full((1, 1, 1), 0.04))
    with_variance = fit_psf(gradients, scale.gradient_spectrum, scale.size, ridge=100.0, start=start, variance=60.0)
    with_ridge = fit_psf(gradients, scale.gradient_spectrum, scale.size, ridge=160.0, start=start)
    assert torch.allclose(with_variance, with_ridge, atol=1e-6)


def test_the_variance_of_gradients_is_the_expectation_over_latent_images():
    """The mean of the misfit over latent images drawn around one of them is its own plus what the formula adds."""
    shape, sigma, count = (24, 20), 0.05, 4000
    generator = torch.Generator().manual_seed(0)
    psf, gradient = camera_shake(7, seed=1), Gradient()
    precision = posterior_precision(psf, shape, sigma)
    white = torch.randn(count, *shape, generator=generator)
    errors = torch.fft.irfft2(torch.fft.rfft2(white) / precision.clamp_min(1e-6).sqrt(), s=shape)
    blurred = convolve(gradient.analyse(errors), psf, boundary="circular")
    drawn = blurred.square().sum((0, 2, 3)).mean()

    half = gradient.power(shape, psf) * torch.fft.rfft2(_around_origin(psf, shape)).abs().square() / precision
    weight = torch.full((shape[1] // 2 + 1,), 2.0)  # a real image's spectrum comes twice, but for two columns
    weight[0] = weight[-1] = 1
    assert float(drawn) == pytest.approx(float((weight * half).sum()), rel=0.03)


def _around_origin(psf: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    image = torch.zeros(shape)
    image[: psf.shape[0], : psf.shape[1]] = psf
    return image.roll([-(s // 2) for s in psf.shape], (0, 1))


def test_edges_are_the_strongest_of_each_direction():
    gradients = torch.zeros(2, 2, 8, 8)
    gradients[0, 0, :, 0], gradients[1, 0, :, 1] = torch.arange(1.0, 9), torch.arange(11.0, 19)
    gradients[1, 1] = torch.arange(64.0).view(8, 8)
    least = edge_threshold(gradients, 3)
    assert least.flatten().tolist() == [6, 61]  # of the directions that there are, the one with the faintest
    assert torch.equal(strong_edges(gradients, torch.tensor(12.0))[0, 0], torch.zeros(8, 8))
    assert int((strong_edges(gradients, torch.tensor([[[16.0]], [[60.0]]])) > 0).sum()) == 3 + 4


def test_latent_images_do_not_depend_on_those_beside_them(scale):
    """Each stops at its own weight's last penalty, which is a matter of the right psf or another one."""
    psfs = torch.stack([camera_shake(15, seed=seed) for seed in range(3)])
    weights = torch.tensor([0.02, 0.04, 0.16])[:, None, None]
    together = scale.latent_gradients(psfs, weights)
    for index in range(3):
        own = scale.latent_gradients(psfs[index : index + 1], weights[index : index + 1])
        assert float((together[:, index] - own[:, 0]).norm()) < 0.01 * float(own.norm())


def test_compiled_passes_of_the_image_step_are_those_in_torch(scale, monkeypatch):
    psfs = torch.stack([camera_shake(15, seed=seed) for seed in range(3)])
    weights = torch.tensor([0.02, 0.04, 0.16])[:, None, None]
    strided = torch.rand(2, 20, 24, generator=torch.Generator().manual_seed(0)).mT
    found = []
    for least in (1, 10**9):
        monkeypatch.setattr("deconv.blind.image_step._LEAST_PIXELS", least)
        found.append((scale.latent_gradients(psfs, weights), _adjoint_of_strong(strided, 0.25)))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_alternations_do_not_depend_on_those_beside_them(piece):
    small = pyramid(piece, (15, 15))[1]
    starts = [start.psf(small.size) for start in STARTS[:4]]
    weights = [start.weight for start in STARTS[:4]]
    together = alternate(small, starts, weights)
    alone = [alternate(small, [psf], [weight])[0] for psf, weight in zip(starts, weights, strict=True)]
    for ours, own in zip(together, alone, strict=True):
        assert kernel_similarity(ours, own) > 0.99


def test_candidates_do_not_depend_on_those_beside_them(piece):
    hypotheses = [Hypothesis(camera_shake(15, seed=seed), 0.04, ()) for seed in range(3)]
    for ours, hypothesis in zip(Candidate.all_of(piece, hypotheses), hypotheses, strict=True):
        own = Candidate.of(piece, hypothesis)
        assert ours.psf is hypothesis.psf
        assert ours.score == pytest.approx(own.score, abs=0.02)
        assert ours.misfit == pytest.approx(own.misfit, rel=0.05)
        assert ours.sparsity == pytest.approx(own.sparsity, abs=0.02)


@pytest.mark.parametrize("wrong", ["thick", "peaked"])
def test_polishing_mends(case, piece, wrong):
    """A psf that is too thick, as those of the alternation are, or too peaked comes nearer to the true one."""
    scale = pyramid(piece, case.psf.shape)[-1]
    psf = case.psf**2 if wrong == "peaked" else convolve(case.psf[None, None], gaussian(0.9), boundary="zero")[0, 0]
    start = Candidate.of(piece, Hypothesis(psf / psf.sum(), 0.04, ()))
    found = polish(piece, scale, start)
    assert kernel_similarity(found.psf, case.psf) > kernel_similarity(start.psf, case.psf) + 0.01
    assert 3 <= len(found.trace) <= 7  # each step, and the last cut


def test_polishing_leaves_the_right_psf(case, piece):
    """Where its steps lead away from it, as the score tells, none is taken."""
    right = Candidate.of(piece, Hypothesis(case.psf, 0.04, ()))
    found = polish(piece, pyramid(piece, case.psf.shape)[-1], right)
    assert kernel_similarity(found.psf, case.psf) > 0.99


def test_what_stands_out_from_the_noise():
    """All that can be told is tried, the faint edges of a rocket at night too; edges made of noise are not, nor is one
    edge, which says nothing about the blur along itself."""

    def contrast(image, window: int) -> float:
        return edges_over_noise(Observation.of(as_image_batch(image)[0]), (window, window), 4)

    for case in (*synthetic(noise=0.01), *islice(synthetic(noise=0.05), 1, None, 8)):
        assert contrast(case.blurred, case.window) > 1.1 * THRESHOLDS.edges, case.name
    generator = np.random.default_rng(0)
    for side in (96, 300, 560):
        noise = generator.standard_normal((side, side))
        edge = np.linspace(-1, 1, side) > 0.1
        for image in (0.5 + 0.1 * noise, 0.5 * edge + 0.02 * noise):
            assert contrast(image, 15) < 0.9 * THRESHOLDS.edges


def test_a_bright_dot_does_not_hide_the_line_to_it():
    """Where the camera rests for half of the exposure, the rest of its path is no noise."""
    psf = torch.zeros(21, 21)
    psf[10, 1:20] = 0.5 / 19
    psf[10, 10] = 0.5
    noisy = psf.clone()
    noisy[3, ::2] = 0.02 * psf[10, 2]
    torch.testing.assert_close(clean(noisy), psf / psf.sum())


@pytest.mark.parametrize("noise", [0.01, 0.02, 0.03])
def test_the_noise_of_a_compressed_picture_is_that_of_all_frequencies(case, noise):
    """JPEG takes the highest frequencies away, by which the noise is measured where it is white."""
    generator = np.random.default_rng(0)
    noisy = (case.blurred + noise * generator.standard_normal(case.blurred.shape)).clip(0, 1)
    file = io.BytesIO()
    Image.fromarray((255 * noisy).round().astype(np.uint8)).save(file, "JPEG", quality=90)
    compressed = np.asarray(Image.open(file)) / np.float32(255)
    left = float((compressed - case.blurred).std() / compressed.std())
    assert Observation.of(as_image_batch(compressed)[0]).sigma == pytest.approx(left, rel=0.25)


def test_paths_are_psfs_of_their_own():
    shapes = path_shapes((9, 13), 8)
    for index, psf in enumerate(shapes):
        assert psf.shape == (9, 13)
        assert float(psf.sum()) == pytest.approx(1)
        assert all(kernel_similarity(psf, other) < 0.98 for other in shapes[:index])
    for psf, again in zip(shapes, path_shapes((9, 13), 4), strict=False):
        assert torch.equal(psf, again)


@pytest.mark.parametrize(
    ("reach", "largest", "side"), [((0, 0), 51, 15), ((4, 6), 51, 33), ((9, 10), 151, 55), ((20, 3), 51, 51)]
)
def test_the_window_has_room_for_the_psf_and_follows_it(reach, largest, side):
    """From psfs at half the resolution: their extent, doubled, and a third more."""
    psf = torch.zeros(75, 75)
    psf[37, 37] = 0.5
    psf[37 + reach[0], 37 - reach[1]] = 0.5
    assert extent(psf) == (2 * reach[0] + 1, 2 * reach[1] + 1)
    assert max(window_around([psf, psf.flip(0)], (largest, largest), 2)) == side


def test_a_piece_of_a_large_picture_is_where_its_edges_are(monkeypatch):
    """Whether it is chosen at full size or on a smaller copy."""
    noise = torch.randn(1, 1, 640, 700, generator=torch.Generator().manual_seed(0))
    squares = torch.zeros_like(noise)
    squares[..., 50:600, 120:680] = (
        (torch.rand(1, 1, 22, 28, generator=torch.Generator().manual_seed(1)) > 0.5)
        .float()
        .repeat_interleave(25, 2)
        .repeat_interleave(20, 3)
    )
    observation = Observation.of(squares + 0.01 * noise)
    whole = observation.most_informative((15, 15)).image
    monkeypatch.setattr("deconv.blind.observation._ENOUGH_TO_CHOOSE", 2**15)
    coarse = observation.most_informative((15, 15)).image
    assert whole.shape == coarse.shape == (1, 1, 560, 560)
    fit = torch.fft.irfft2(torch.fft.rfft2(whole) * torch.fft.rfft2(coarse).conj())[0, 0]
    row, column = divmod(int(fit.argmax()), 560)
    assert min(row, 560 - row) <= 15
    assert min(column, 560 - column) <= 15


def test_a_wide_window_is_fitted_again_before_the_finest_scales(scale):
    """A psf of few pixels does not tell its extent well."""
    observation = Observation.of(torch.rand(1, 1, 640, 640, generator=torch.Generator().manual_seed(0)))
    for size, steps in ((51, [2]), (101, [3, 2]), (151, [4, 2])):
        scales = pyramid(observation, (size, size))
        assert shown_at(scales) == steps
        assert max(scales[-steps[0] - 1].size) <= 41


def test_cropping_keeps_the_middle():
    psf = torch.zeros(9, 7)
    psf[4, 3], psf[5, 3], psf[0, 0] = 0.5, 0.25, 0.25
    middle = cropped(psf, (5, 3))
    assert middle.shape == (5, 3)
    assert float(middle[2, 1]) == pytest.approx(2 / 3)
    assert torch.equal(cropped(middle, (9, 9)), middle)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_the_least_window_still_has_the_scale_that_it_was_fitted_at(steps):
    """However narrow the blur: the search goes on from there, with a psf of that scale's window."""
    size = window_around([torch.ones(1, 1)], (151, 151), 2 ** (steps / 2))
    scales = pyramid(Observation.of(as_image_batch(np.random.default_rng(0).random((64, 64)))[0]), size)
    assert len(scales) > steps
    assert max(scales[-steps - 1].size) >= 5
