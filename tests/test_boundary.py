"""Images continued beyond their frame."""

import numpy as np
import pytest
import torch

from deconv.imaging.boundary import EXTENSIONS, crop, extend, fade
from deconv.imaging.convolution import convolve, fast_length
from deconv.imaging.periodic import edgetaper, padded_margins
from deconv.imaging.psf import camera_shake, gaussian

SHAPES = [
    ((2, 3, 12, 17), ((3, 4), (5, 2))),
    ((1, 1, 12, 17), ((0, 0), (7, 0))),
    ((1, 1, 12, 17), ((0, 9), (0, 0))),
    ((9, 8), ((30, 21), (13, 40))),  # wider than the image
    ((1, 1, 1, 9), ((2, 2), (3, 3))),
    ((1, 1, 2, 1), ((4, 4), (4, 4))),
    ((1, 2, 5, 6, 7), ((2, 3), (1, 1), (4, 0))),
]


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", EXTENSIONS)
@pytest.mark.parametrize(("shape", "margins"), SHAPES, ids=str)
def test_the_frame_is_kept(shape, margins, method):
    image = random(*shape)
    padded = extend(image, margins, method=method)
    axes = range(-len(margins), 0)
    assert [padded.shape[a] - shape[a] for a in axes] == [sum(pair) for pair in margins]
    assert torch.equal(crop(padded, margins), image)
    assert torch.isfinite(padded).all()


@pytest.mark.parametrize(
    ("method", "mode"),
    [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"), ("zero", "constant")],
)
def test_numpy_pads_the_same(method, mode):
    image = random(2, 5, 7)
    found = extend(image, ((11, 3), (2, 16)), method=method)
    expected = np.pad(image.numpy(), ((0, 0), (11, 3), (2, 16)), mode=mode)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("shape", "margins"), SHAPES, ids=str)
def test_a_smooth_continuation_of_one_colour_is_that_colour(shape, margins):
    padded = extend(torch.full(shape, 0.3, dtype=torch.float64), margins)
    torch.testing.assert_close(padded, torch.full_like(padded, 0.3), atol=1e-12, rtol=0)


def test_a_smooth_continuation_is_linear():
    a, b = random(9, 11), random(9, 11, seed=1)
    margins = ((4, 3), (2, 6))
    torch.testing.assert_close(
        extend(2 * a - 3 * b, margins), 2 * extend(a, margins) - 3 * extend(b, margins), atol=1e-12, rtol=0
    )


def test_a_line_is_bridged_with_the_least_bending():
    # The sum of squared second differences around the circle, minimised over the gap by least squares.
    line, gap = random(10), 7
    n = len(line) + gap
    bending = np.roll(np.eye(n), 1, 1) - 2 * np.eye(n) + np.roll(np.eye(n), -1, 1)
    expected = np.linalg.lstsq(bending[:, 10:], -bending[:, :10] @ line.numpy(), rcond=None)[0]
    found = extend(line, ((0, gap),))[10:]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("frequency", [1, 4, 15])
def test_every_wave_along_the_edge_is_bridged_by_the_biharmonic_equation(frequency):
    width, gap = 16, 9
    wave = torch.cos(torch.pi * frequency * (torch.arange(width, dtype=torch.float64) + 0.5) / width)
    image = random(12, 1) * wave  # each row a multiple of one cosine
    padded = extend(image, ((0, gap), (0, 0)))
    profile = padded @ wave / (wave @ wave)
    torch.testing.assert_close(padded, profile[:, None] * wave, atol=1e-9, rtol=0)
    eigenvalue = 2 - 2 * np.cos(np.pi * frequency / width)
    for _ in range(2):
        profile = profile.roll(1) + profile.roll(-1) - (2 + eigenvalue) * profile
    torch.testing.assert_close(profile[12:], torch.zeros(gap, dtype=torch.float64), atol=1e-8, rtol=0)


def test_there_is_no_jump_to_the_next_period():
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 60), torch.linspace(0, 1, 70), indexing="ij")
    image = (rows**2 + columns).double()  # borders that do not match at all

    def roughness(padded):
        return max(float(torch.diff(padded.roll(5, axis), n=2, dim=axis).abs().max()) for axis in (-2, -1))

    margins = ((20, 20), (20, 20))
    assert roughness(extend(image, margins)) < 0.02
    assert roughness(extend(image, margins, method="replicate")) > 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", EXTENSIONS)
def test_the_dtype_is_kept(method, dtype):
    image = torch.ones(1, 1, 6, 6, dtype=dtype)
    assert extend(image, ((2, 2), (2, 2)), method=method).dtype == dtype


@pytest.mark.parametrize("method", EXTENSIONS)
def test_gradients(method):
    image = random(1, 1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: extend(x, ((2, 1), (0, 3)), method=method), image)


@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (ValueError, "method", {"method": "mirror"}),
        (ValueError, "margins", {"margins": ((1, -1), (0, 0))}),
        (ValueError, "margins", {"margins": ((1, 1), (0, 0), (1, 1))}),
        (ValueError, "margins", {"margins": ()}),
        (TypeError, "image", {"image": torch.ones(4, 4, dtype=torch.int64)}),
        (TypeError, "image", {"image": np.ones((4, 4))}),
    ],
)
def test_what_is_refused(error, name, arguments):
    with pytest.raises(error, match=f"^{name}: "):
        extend(**{"image": torch.ones(4, 4), "margins": ((1, 1), (1, 1))} | arguments)


@pytest.mark.parametrize("spread", [1.0, 2.5])
@pytest.mark.parametrize("frame", [(498, 498), (1, 13), (101, 64, 77)])
def test_padded_images_are_large_enough_and_quick_to_transform(frame, spread):
    size = (15, 4, 1)[: len(frame)]
    for n, s, (before, after) in zip(frame, size, padded_margins(frame, size, spread=spread), strict=True):
        total = n + before + after
        assert total == fast_length(total)
        assert before + after >= spread * s
        assert 0 <= after - before <= 1


def test_fading_leaves_the_frame_and_ends_near_zero():
    padded = torch.ones(1, 1, 30, 40)
    margins = ((8, 10), (0, 12))
    faded = fade(padded, margins)
    assert torch.equal(crop(faded, margins), crop(padded, margins))
    assert faded[..., 0, :].max() < 0.02
    assert faded[..., -1].max() < 0.02
    assert (torch.diff(faded[0, 0, :8, 3]) > 0).all()
    assert (torch.diff(faded[0, 0, 3, 28:]) < 0).all()


def test_edgetaper_blends_into_the_periodic_blur_at_the_border_only():
    psf = camera_shake(9, seed=0).double()
    image = random(1, 2, 40, 50)
    tapered = edgetaper(image, psf)
    blurred = convolve(image, psf, boundary="circular")
    for side in (np.s_[..., 0, :], np.s_[..., -1, :], np.s_[..., :, 0], np.s_[..., :, -1]):
        torch.testing.assert_close(tapered[side], blurred[side])
    torch.testing.assert_close(tapered[..., 9:-9, 9:-9], image[..., 9:-9, 9:-9])


def test_edgetaper_of_one_colour_and_of_volumes():
    ones = torch.ones(1, 1, 20, 20)
    torch.testing.assert_close(edgetaper(ones, gaussian(1.0)), ones)
    assert edgetaper(torch.rand(1, 1, 8, 9, 10), torch.ones(3, 3, 3) / 27).shape == (1, 1, 8, 9, 10)
