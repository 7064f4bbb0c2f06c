"""Blur: against the definition summed in plain loops, its adjoint, its gradients, its transfer function."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from deconv.imaging.boundary import BLUR_BOUNDARIES
from deconv.imaging.convolution import (
    convolve,
    convolve_adjoint,
    fast_length,
    psf_to_otf,
    valid_margins,
)

SAME = [boundary for boundary in BLUR_BOUNDARIES if boundary != "valid"]
# Image sizes and psf sizes: H != W, even and odd, 1 x N, few and many taps, psf larger than the image.
FRAMES = [
    ((9, 12), (3, 3)),
    ((9, 12), (4, 2)),
    ((8, 7), (1, 5)),
    ((1, 9), (1, 4)),
    ((11, 13), (7, 6)),
    ((12, 9), (9, 9)),
]
LARGE_PSF = [((4, 5), (9, 7)), ((3, 1), (6, 6)), ((1, 1), (3, 5))]
CASES = [
    *((frame, size, boundary) for (frame, size), boundary in itertools.product(FRAMES, BLUR_BOUNDARIES)),
    *((frame, size, boundary) for (frame, size), boundary in itertools.product(LARGE_PSF, SAME)),
]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pixel(image: np.ndarray, row: int, column: int, boundary: str) -> float:
    """The value of the latent image at any place, by the boundary's definition and one step at a time."""
    place = []
    for i, n in zip((row, column), image.shape, strict=True):
        if boundary == "circular":
            i %= n
        elif boundary == "replicate":
            i = min(max(i, 0), n - 1)
        elif boundary == "reflect":
            while not 0 <= i < n:
                i = 0 if n == 1 else (-i if i < 0 else 2 * (n - 1) - i)
        elif not 0 <= i < n:
            return 0.0
        place.append(i)
    return image[tuple(place)]


def by_definition(image: np.ndarray, psf: np.ndarray, boundary: str) -> np.ndarray:
    (height, width), (kh, kw) = image.shape, psf.shape
    cy, cx = (kh - 1) // 2, (kw - 1) // 2
    out = np.zeros_like(image)
    for y, x, i, j in itertools.product(range(height), range(width), range(kh), range(kw)):
        out[y, x] += psf[i, j] * pixel(image, y + cy - i, x + cx - j, boundary)
    if boundary == "valid":
        (top, bottom), (left, right) = valid_margins(psf.shape)
        out = out[top : height - bottom, left : width - right]
    return out


@pytest.mark.parametrize(("frame", "size", "boundary"), CASES)
def test_it_is_the_sum_of_the_definition(frame, size, boundary):
    image, psf = draw(2, 3, *frame), draw(*size, seed=1)
    expected = np.stack([[by_definition(c.numpy(), psf.numpy(), boundary) for c in b] for b in image])
    np.testing.assert_allclose(convolve(image, psf, boundary=boundary), expected, atol=1e-12)


@pytest.mark.parametrize(("frame", "size", "boundary"), CASES)
def test_the_adjoint_is_the_transpose(frame, size, boundary):
    image, psf = draw(2, 3, *frame), draw(*size, seed=1)
    blurred = convolve(image, psf, boundary=boundary)
    other = draw(*blurred.shape, seed=2)
    back = convolve_adjoint(other, psf, boundary=boundary)
    assert back.shape == image.shape
    torch.testing.assert_close((blurred * other).sum(), (image * back).sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", [convolve, convolve_adjoint])
@pytest.mark.parametrize("boundary", BLUR_BOUNDARIES)
@pytest.mark.parametrize("size", [(3, 2), (6, 5)])
def test_gradients_in_image_and_psf(function, boundary, size):
    image, psf = draw(1, 2, 7, 6).requires_grad_(), draw(*size, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: function(a, b, boundary=boundary), (image, psf))


@pytest.mark.parametrize("boundary", BLUR_BOUNDARIES)
@pytest.mark.parametrize("size", [(3, 3), (8, 6)])
def test_each_sample_and_channel_may_have_its_own_psf(boundary, size):
    image, psfs = draw(2, 3, 10, 9), draw(2, 3, *size, seed=1)
    together = convolve(image, psfs, boundary=boundary)
    for b, c in itertools.product(range(2), range(3)):
        alone = convolve(image[b : b + 1, c : c + 1], psfs[b, c], boundary=boundary)
        torch.testing.assert_close(together[b : b + 1, c : c + 1], alone)
    shared = convolve(image, psfs[:1, :1], boundary=boundary)
    torch.testing.assert_close(shared, convolve(image, psfs[0, 0], boundary=boundary))


@pytest.mark.parametrize("boundary", BLUR_BOUNDARIES)
@pytest.mark.parametrize("size", [(2, 3, 4), (3, 5, 4)])
def test_volumes_with_a_separable_psf_are_blurred_axis_by_axis(boundary, size):
    volume = draw(2, 1, 6, 7, 8)
    lines = [draw(s, seed=s) for s in size]
    expected = volume
    for axis, line in enumerate(lines):
        expected = convolve(expected, line.view([-1 if a == axis else 1 for a in range(3)]), boundary=boundary)
    psf = torch.einsum("i,j,k->ijk", *lines)
    torch.testing.assert_close(convolve(volume, psf, boundary=boundary), expected)
    other = draw(*expected.shape, seed=9)
    back = convolve_adjoint(other, psf, boundary=boundary)
    torch.testing.assert_close((expected * other).sum(), (volume * back).sum())


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 6), (13, 12)])
@pytest.mark.parametrize("boundary", BLUR_BOUNDARIES)
def test_a_delta_at_the_centre_moves_nothing(size, boundary):
    latent, delta = draw(1, 1, 20, 21), torch.zeros(size, dtype=torch.float64)
    delta[(size[0] - 1) // 2, (size[1] - 1) // 2] = 1
    (top, bottom), (left, right) = valid_margins(size) if boundary == "valid" else ((0, 0), (0, 0))
    there = latent[..., top : 20 - bottom, left : 21 - right]
    torch.testing.assert_close(convolve(latent, delta, boundary=boundary), there)


@pytest.mark.parametrize("shape", [(8, 8), (7, 9), (8, 5), (3, 4), (4, 6, 5)])
@pytest.mark.parametrize("s", [1, 2, 3, 6])
def test_the_transfer_function_is_the_fourier_sum(shape, s):
    psf = draw(*[s] * len(shape))
    k = np.arange(s) - (s - 1) // 2
    expected = psf.numpy().astype(complex)
    for n in shape:  # each product takes the first axis away and puts its frequencies last
        frequency = np.exp(-2j * np.pi * np.outer(k, np.arange(n)) / n)
        expected = np.tensordot(expected, frequency, axes=(0, 0))
    expected = expected[..., : shape[-1] // 2 + 1]
    np.testing.assert_allclose(psf_to_otf(psf, shape), expected, atol=1e-12)


def test_float32_by_fft_is_accurate_and_dtypes_are_kept():
    image, psf = draw(1, 3, 200, 211), draw(17, 17, seed=1).abs()
    psf /= psf.sum()
    exact = convolve(image, psf)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
        blurred = convolve(image.to(dtype), psf.to(dtype if dtype != torch.bfloat16 else torch.float32))
        assert blurred.dtype == dtype
        torch.testing.assert_close(blurred.double(), exact, rtol=tolerance, atol=tolerance)


def test_autocast_does_not_round_the_sum():
    image, psf = draw(1, 1, 32, 32).float(), draw(3, 3, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = convolve(image, psf)
    torch.testing.assert_close(under, convolve(image, psf), rtol=0, atol=0)


def test_it_runs_under_vmap():
    images, psf = draw(4, 1, 2, 12, 11), draw(3, 3, seed=1)
    for size in ((3, 3), (7, 7)):
        psf = draw(*size, seed=1)
        mapped = torch.func.vmap(lambda x, h: convolve(x, h, boundary="reflect"), (0, None))(images, psf)
        torch.testing.assert_close(mapped[2], convolve(images[2], psf, boundary="reflect"))


def test_fast_length_is_the_next_even_number_without_large_prime_factors():
    smooth = sorted(2**a * 3**b * 5**c for a, b, c in itertools.product(range(1, 12), range(8), range(6)))
    for n in range(1, 2049):
        assert fast_length(n) == next(m for m in smooth if m >= n)


@pytest.mark.parametrize(
    ("image", "psf", "boundary", "error", "words"),
    [
        ((1, 1, 8, 8), (3, 3), "mirror", ValueError, "boundary: unknown 'mirror', allowed are valid"),
        ((8, 8), (3, 3), "valid", ValueError, r"image: expected \(B, C, H, W\)"),
        ((1, 1, 8, 8), (3,), "valid", ValueError, "psf: the shape"),
        ((1, 1, 8, 8), (3, 0), "valid", ValueError, "psf: the shape"),
        ((1, 1, 8, 8), (2, 1, 3, 3), "valid", ValueError, "psf: made for 2 samples"),
        ((1, 2, 8, 8), (1, 3, 3, 3), "valid", ValueError, "psf: made for 3 channels"),
        ((1, 1, 8, 8), (9, 3), "valid", ValueError, r"psf: the size \(9, 3\) exceeds the image's, \(8, 8\)"),
    ],
)
def test_bad_arguments_are_named(image, psf, boundary, error, words):
    with pytest.raises(error, match=words):
        convolve(torch.ones(image), torch.ones(psf), boundary=boundary)


def test_only_floating_point_tensors_are_taken():
    with pytest.raises(TypeError, match=r"image: .* torch.uint8"):
        convolve(torch.ones(1, 1, 8, 8, dtype=torch.uint8), torch.ones(3, 3))
    with pytest.raises(TypeError, match=r"psf: .* ndarray"):
        convolve(torch.ones(1, 1, 8, 8), np.ones((3, 3)))
    with pytest.raises(ValueError, match="shape: expected"):
        psf_to_otf(torch.ones(3, 3), (4,))
    with pytest.raises(ValueError, match="psf: 1 axes are too few"):
        psf_to_otf(torch.ones(3), (4, 4))
