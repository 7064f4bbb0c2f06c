"""Spectral factors: against closed forms, root finding and the denominators they come from."""

import numpy as np
import pytest
import torch

from deconv.imaging.psf import camera_shake, disk, gaussian, motion
from deconv.ops.causal_conv import causal_conv2d
from deconv.ops.inverse_conv import inverse_conv2d
from deconv.ops.spectral import amplify_factor, spectral_divide, spectral_factor

DIFFERENCES = torch.tensor(
    [[[0, 0, 0], [0, -1, 1], [0, 0, 0]], [[0, 0, 0], [0, -1, 0], [0, 1, 0]]], dtype=torch.float64
)

# name, psf, noise-to-signal ratio, penalty
CASES = [
    ("gaussian", gaussian(1.5), 1e-2, None),
    ("gaussian, differences", gaussian(1.5), 1e-2, DIFFERENCES),
    ("motion", motion(9, 30), 1e-2, None),
    ("shake", camera_shake(15, seed=3), 1e-3, None),
    ("shake, differences", camera_shake(15, seed=3), 1e-2, DIFFERENCES),
    ("disk", disk(3), 1e-2, None),
    ("column", motion(9, 90), 1e-2, DIFFERENCES),
    ("even sizes", torch.rand(4, 6, generator=torch.Generator().manual_seed(0)) / 12, 1e-2, None),
    ("point", torch.ones(1, 1), 1e-1, DIFFERENCES),
]
TABLE = pytest.mark.parametrize(("psf", "ratio", "penalty"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])


def power(filters, grid=(240, 256)):
    """Summed power of filters on a grid, by NumPy."""
    filters = np.atleast_3d(np.asarray(filters, dtype=np.float64))
    return (abs(np.fft.fft2(filters, s=grid)) ** 2).sum(0)


def denominator(psf, ratio, penalty):
    flat = np.ones((1, 1, 1)) if penalty is None else penalty
    return power(psf[None]) + ratio * power(flat)


def taps(kernel):
    """The kernel as a dictionary from delay (rows, columns) to tap."""
    rows, columns = kernel.shape
    return {(rows - 1 - a, columns // 2 - b): float(kernel[a, b]) for a in range(rows) for b in range(columns)}


@TABLE
def test_the_filter_made_from_the_factor_is_the_filter(psf, ratio, penalty):
    psf = psf.double()
    kernel = spectral_factor(psf, ratio, penalty=penalty)
    exact = denominator(psf, ratio, penalty)
    made = power(kernel[None])
    # A frequency counts by what a photograph restored by the filter has of it.
    h = power(psf[None])
    signal = 1 / (1 if penalty is None else power(penalty) + 1e-3)
    share = h * signal / exact
    error = np.sqrt((share * (exact / made - 1) ** 2).sum() / share.sum())
    assert error < 1e-2
    # By an independent measure as well: a white observation, filtered.
    assert np.sqrt((h * (1 / made - 1 / exact) ** 2).mean() / (h / exact**2).mean()) < 0.1


def test_a_filter_without_an_inverse_in_closed_form():
    # |1 + b z|^2 + l has the factor p0 + p1 z with p0^2 + p1^2 = 1 + b^2 + l and p0 p1 = b.
    b, ratio = 0.8, 0.05
    kernel = spectral_factor(torch.tensor([[1.0], [b]], dtype=torch.float64), ratio)
    square = 1 + b * b + ratio
    p0 = np.sqrt((square + np.sqrt(square**2 - 4 * b * b)) / 2)
    assert kernel.shape == (2, 1)
    np.testing.assert_allclose(kernel[:, 0], [b / p0, p0], rtol=1e-4)


@pytest.mark.parametrize("along", ["columns", "rows"])
def test_one_dimensional_factors_have_the_roots_outside_the_circle(along):
    line = np.array([0.1, 0.35, 0.2, 0.3, 0.05])
    ratio = 0.02
    autocorrelation = np.convolve(line, line[::-1])
    autocorrelation[len(line) - 1] += ratio
    roots = np.roots(autocorrelation)
    expected = np.real(np.poly(roots[abs(roots) < 1]))  # delays 0, 1, ... of the causal factor
    expected *= np.sqrt(autocorrelation.sum()) / abs(expected.sum())

    psf = torch.from_numpy(line)[:, None] if along == "columns" else torch.from_numpy(line)[None]
    found = taps(spectral_factor(psf, ratio))
    for delay, tap in enumerate(expected):
        assert found[(delay, 0) if along == "columns" else (0, delay)] == pytest.approx(tap, abs=1e-4)


def test_the_factor_has_exactly_the_rows_of_the_psf():
    psf = disk(2.5).double()
    rows = psf.shape[0]
    taller = spectral_factor(psf, 1e-2, size=(rows + 6, 25), tolerance=0.1)
    assert taller[:6].abs().max() < 1e-4 * taller.abs().max()
    torch.testing.assert_close(
        taller[6:], spectral_factor(psf, 1e-2, size=(rows, 25), tolerance=0.1), atol=1e-4, rtol=0
    )


def test_taps_right_of_the_anchor_are_zero():
    kernel = spectral_factor(gaussian(1.0), 1e-2)
    assert not kernel[-1, kernel.shape[1] // 2 + 1 :].any()
    assert kernel[-1, kernel.shape[1] // 2] > 0


@TABLE
def test_the_inverse_is_stable(psf, ratio, penalty):
    kernel = spectral_factor(psf.double(), ratio, penalty=penalty)[None, None]
    point = torch.zeros(1, 1, 160, 321, dtype=torch.float64)
    point[..., 0, 160] = 1
    response = inverse_conv2d(point, kernel, support="half")[0, 0].abs().amax(1)
    assert response[120:].max() < 0.2 * response[:40].max()


def test_dividing_undoes_the_two_convolutions():
    kernel = spectral_factor(camera_shake(7, seed=1).double(), 1e-2)
    x = torch.randn(2, 3, 20, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x.reshape(6, 1, 20, 24)
    for corner in ("br", "tl"):
        y = causal_conv2d(y, kernel[None, None], corner=corner, support="half")
    torch.testing.assert_close(spectral_divide(y.reshape(x.shape), kernel), x)


@pytest.mark.parametrize("lead", [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_every_sample_and_channel_gets_its_own_factor(lead):
    generator = torch.Generator().manual_seed(0)
    psf = torch.rand(*lead, 3, 4, dtype=torch.float64, generator=generator) / 12
    factor = spectral_factor(psf, 0.1, size=(3, 9), tolerance=1)
    x = torch.randn(2, 3, 11, 13, dtype=torch.float64, generator=generator)
    y = spectral_divide(x, factor)
    for b in range(2):
        for c in range(3):
            alone = factor[b % lead[0], c % lead[1]]
            torch.testing.assert_close(y[b : b + 1, c : c + 1], spectral_divide(x[b : b + 1, c : c + 1], alone))


def test_a_batch_is_its_samples():
    psf = torch.stack([camera_shake(9, seed=s) for s in range(3)]).double()
    ratio = torch.tensor([0.01, 0.03, 0.1], dtype=torch.float64)
    together = spectral_factor(psf, ratio)
    for i in range(3):
        alone = spectral_factor(psf[i], ratio[i], size=tuple(together.shape[-2:]))
        torch.testing.assert_close(together[i], alone, atol=1e-5, rtol=0)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    psf = torch.rand(2, 2, 3, dtype=torch.float64, generator=generator).requires_grad_()
    ratio = torch.tensor([0.5, 0.2], dtype=torch.float64, requires_grad=True)
    penalty = torch.rand(2, 2, 2, dtype=torch.float64, generator=generator).requires_grad_()

    def factor(psf, ratio, penalty):
        return spectral_factor(psf, ratio, penalty=penalty, size=(2, 5), tolerance=1)

    assert torch.autograd.gradcheck(factor, (psf, ratio, penalty))


def test_a_wide_blur_is_cheaper_across():
    psf = motion(15, 0)
    assert spectral_factor(psf.mT, 1e-2, penalty=DIFFERENCES).shape[-1] < 10
    assert spectral_factor(psf, 1e-2, penalty=DIFFERENCES).shape[-1] > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_the_psfs(dtype):
    assert spectral_factor(gaussian(1.0).to(dtype), 0.1).dtype == dtype


@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (TypeError, "psf", {"psf": torch.ones(3, 3, dtype=torch.int64)}),
        (TypeError, "psf", {"psf": np.ones((3, 3))}),
        (ValueError, "psf", {"psf": torch.ones(3)}),
        (ValueError, "noise_to_signal", {"noise_to_signal": 0.0}),
        (ValueError, "noise_to_signal", {"noise_to_signal": -1.0}),
        (ValueError, "noise_to_signal", {"noise_to_signal": float("nan")}),
        (ValueError, "noise_to_signal", {"psf": torch.ones(3, 3, 3), "noise_to_signal": torch.ones(2)}),
        (ValueError, "penalty", {"penalty": torch.ones(3, 3)}),
        (ValueError, "penalty", {"psf": torch.tensor([[1.0, -1.0]]), "penalty": DIFFERENCES}),
        (ValueError, "size", {"size": (3, 4)}),
        (ValueError, "size", {"psf": disk(7.0), "noise_to_signal": 1e-3, "size": (15, 29)}),
        (ValueError, "size", {"psf": motion(9, 45), "noise_to_signal": 1e-2, "size": (3, 5)}),
        # An inverse that grows without bound is refused whatever error is allowed.
        (ValueError, "size", {"psf": disk(7.0), "noise_to_signal": 1e-4, "size": (15, 9), "tolerance": 1e9}),
    ],
)
def test_what_is_refused(error, name, arguments):
    with pytest.raises(error, match=f"^{name}: "):
        spectral_factor(**{"psf": gaussian(1.0), "noise_to_signal": 0.1} | arguments)


def test_amplifying_multiplies_the_transfer_function():
    factor = spectral_factor(gaussian(1.0).double(), 0.1, size=(7, 21))
    cepstrum = torch.zeros_like(factor)
    cepstrum[-1, 10], cepstrum[-1, 9], cepstrum[-2, 11] = 0.3, 0.02, -0.05
    grid = (64, 64)

    def transfer(kernel):
        placed = np.zeros(grid)
        for (row, column), tap in taps(kernel).items():
            placed[row, column % 64] = tap
        return np.fft.fft2(placed)

    expected = transfer(factor) * np.exp(transfer(cepstrum))
    found = transfer(amplify_factor(factor, cepstrum))
    assert abs(found / expected - 1).max() < 1e-2
    torch.testing.assert_close(amplify_factor(factor, torch.zeros_like(factor)), factor)


@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0, 30.0])
def test_no_cepstrum_makes_the_inverse_unstable(scale):
    factor = spectral_factor(camera_shake(7, seed=2).double(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    cepstrum = scale * torch.randn(factor.shape, dtype=torch.float64, generator=generator)
    kernel = amplify_factor(factor, cepstrum)[None, None]
    point = torch.zeros(1, 1, 200, 301, dtype=torch.float64)
    point[..., 0, 150] = 1
    response = inverse_conv2d(point, kernel, support="half")[0, 0].abs().amax(1)
    assert response[150:].max() < 0.2 * response[:50].max()


def test_gradients_of_amplifying():
    generator = torch.Generator().manual_seed(0)
    factor = spectral_factor(gaussian(0.8, size=3).double(), 0.5, size=(3, 5), tolerance=1).requires_grad_()
    cepstrum = (0.1 * torch.randn(3, 5, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(amplify_factor, (factor, cepstrum))
