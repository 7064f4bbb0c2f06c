"""The compiled weight gradient against that of torch in float64: shapes that cut, pad and pair in every way."""

import pytest
import torch
from torch.nn.functional import pad

from deconv import solvers
from deconv.solvers.compiled import weight_gradient

SHAPES = [  # batch, channels, height, width, kernel, groups
    ((1, 1, 1, 1), (1, 1), 1),
    ((2, 2, 3, 1), (1, 4), 1),  # a kernel wider than the image
    ((7, 12, 16, 17), (3, 3), 1),  # a last chunk of fewer images
    ((3, 13, 6, 7), (4, 2), 1),  # channels that no block divides
    ((5, 6, 9, 8), (3, 2), 2),
    ((3, 6, 9, 8), (3, 3), 6),
    ((2, 1, 100, 70), (15, 15), 1),  # bands, the last one shorter
    ((1, 1, 5, 300), (2, 9), 1),
    ((1, 3, 65, 50), (5, 5), 1),
    ((1, 8, 5, 1200), (2, 3), 1),  # bands of two rows
    ((2, 48, 8, 8), (3, 3), 1),
]


@pytest.mark.parametrize(("shape", "kernel", "groups"), SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_agrees_with_torch_wherever_the_zeros_are(shape, kernel, groups, dtype):
    generator = torch.Generator().manual_seed(0)
    x, v = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    kh, kw = kernel
    empty = torch.empty(shape[1], shape[1] // groups, kh, kw, dtype=torch.float64)
    for left, top in [(kw - 1, kh - 1), (0, 0), (kw // 2, kh - 1)]:
        padding = (left, kw - 1 - left, top, kh - 1 - top)
        padded = pad(x.double(), padding)
        _, expected, _ = torch.ops.aten.convolution_backward(
            v.double(), padded, empty, None, [1, 1], [0, 0], [1, 1], False, [0, 0], groups, [False, True, False]
        )
        error = (weight_gradient(x, v, kernel, padding, groups) - expected).abs().max() / expected.abs().max()
        assert error < (2e-6 if dtype == torch.float32 else 1e-13)


def test_is_the_same_for_any_number_of_threads():
    x, v = torch.randn(2, 40, 5, 30, 31).unbind()
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(weight_gradient(x, v, (3, 3), (2, 0, 2, 0), 1))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], result) for result in results)


def test_sees_nothing_of_an_earlier_call():
    """Working memory comes as it is, and zeros times infinity would show."""
    x, v = torch.randn(2, 3, 6, 10, 9).unbind()
    infinite = torch.full_like(x, torch.inf)
    expected = weight_gradient(x, v, (3, 3), (2, 0, 2, 0), 1)
    weight_gradient(infinite, infinite, (3, 3), (2, 0, 2, 0), 1)
    assert torch.equal(weight_gradient(x, v, (3, 3), (2, 0, 2, 0), 1), expected)


@pytest.mark.parametrize("channels", [3, 12, 64])
def test_memory_formats_and_slices(channels):
    image = torch.randn(2, channels, 12, 14)
    x, v = image.contiguous(memory_format=torch.channels_last), image[..., 1:].flip(-1)
    x = x[..., :-1]
    every = [solvers.weight_gradient(a, b, (3, 2), (1, 0, 2, 0), 1) for a in (x, x.clone()) for b in (v, v.clone())]
    assert all(torch.allclose(every[0], other, rtol=1e-4, atol=1e-4) for other in every)
