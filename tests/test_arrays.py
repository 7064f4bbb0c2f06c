"""The adapter: what goes in comes back, of the same kind, layout, dtype and range; what cannot is named."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deconv
from deconv.imaging.arrays import as_image_batch, per_sample

DTYPES = ["bool", "uint8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64"]


FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535}


@st.composite
def images(draw):
    """Any array of any allowed kind, layout and dtype, and whether it is a tensor."""
    dtype, as_tensor = np.dtype(draw(st.sampled_from(DTYPES))), draw(st.booleans())
    frame = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    batch, channels = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    alone = (channels, *frame) if as_tensor else (*frame, channels)
    shape = draw(st.sampled_from([frame, alone, (batch, channels, *frame)]))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **finite))), as_tensor


@settings(deadline=None, max_examples=200)
@given(images())
def test_the_way_there_and_back_changes_nothing(case):
    array, as_tensor = case
    given_one = torch.from_numpy(array.copy()) if as_tensor else array
    image, back = as_image_batch(given_one)
    again = back(image)
    assert image.ndim == 4
    assert image.dtype == (torch.float64 if array.dtype in ("float64", "int32", "uint32") else torch.float32)
    assert type(again) is type(given_one)
    assert again.dtype == given_one.dtype
    np.testing.assert_array_equal(np.asarray(again), array)


@settings(deadline=None, max_examples=100)
@given(images())
def test_what_has_a_full_scale_is_divided_by_it_and_the_rest_is_not_touched(case):
    array, as_tensor = case
    image, _ = as_image_batch(torch.from_numpy(array.copy()) if as_tensor else array)
    values = image.movedim(1, -1).numpy() if array.ndim == 3 and not as_tensor else image.numpy()
    np.testing.assert_allclose(
        values.reshape(array.shape),
        array.astype(np.float64) / FULL_SCALE.get(array.dtype.name, 1),
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    ("shape", "as_tensor", "space", "expected"),
    [
        ((4, 5), False, 2, (1, 1, 4, 5)),
        ((4, 5), True, 2, (1, 1, 4, 5)),
        ((4, 5, 3), False, 2, (1, 3, 4, 5)),
        ((3, 4, 5), True, 2, (1, 3, 4, 5)),
        ((2, 3, 4, 5), False, 2, (2, 3, 4, 5)),
        ((2, 3, 4, 5), True, 2, (2, 3, 4, 5)),
        ((7, 4, 5), False, 3, (1, 1, 7, 4, 5)),
        ((7, 4, 5, 2), False, 3, (1, 2, 7, 4, 5)),
        ((2, 7, 4, 5), True, 3, (1, 2, 7, 4, 5)),
        ((2, 3, 7, 4, 5), False, 3, (2, 3, 7, 4, 5)),
    ],
)
def test_layouts(shape, as_tensor, space, expected):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image, back = as_image_batch(torch.from_numpy(array) if as_tensor else array, space=space)
    assert tuple(image.shape) == expected
    # Channels must not be mixed up with pixels: pixel (1, 2) of the last channel is where the layout says.
    pixel = image[(-1, -1, *[0] * (space - 2), 1, 2)]
    last = len(shape) == space + 1 and not as_tensor
    place = (*[0] * (space - 2), 1, 2)
    assert pixel == array[(*place, -1) if last else (*[-1] * (len(shape) - space), *place)]
    assert tuple(back(image[..., :3, :2]).shape) == tuple(
        {shape[-3] if last else shape[-2]: 3, shape[-2] if last else shape[-1]: 2}.get(n, n) for n in shape
    )


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 255), ("uint16", 65535)])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_integers_saturate_and_round_on_the_way_back(dtype, top, as_tensor):
    array = np.zeros((1, 5), dtype)
    _, back = as_image_batch(torch.from_numpy(array) if as_tensor else array)
    result = torch.tensor([-0.2, 0.499 / top, 0.501 / top, 1.0, 1.7])[None, None, None]
    np.testing.assert_array_equal(np.asarray(back(result)), [[0, 0, 1, top, top]])


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_other_integers_keep_their_unit_and_saturate_at_their_ends(dtype):
    ends = np.iinfo(dtype)
    _, back = as_image_batch(np.array([[1, 2, 3]], dtype))
    result = torch.tensor([ends.min - 5.0, 6.6, ends.max + 5.0], dtype=torch.float64)[None, None, None]
    np.testing.assert_array_equal(back(result), [[ends.min, 7, ends.max]])


def test_floats_are_never_clipped():
    _, back = as_image_batch(np.zeros((1, 2), np.float32))
    np.testing.assert_array_equal(back(torch.tensor([[[[-3.5, 7.25]]]])), np.float32([[-3.5, 7.25]]))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4)[::-1, ::-1],
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12, dtype=">u2").reshape(3, 4),
        np.arange(12, dtype=">f8").reshape(3, 4),
        np.broadcast_to(np.float32(0.5), (3, 4)),
    ],
    ids=["reversed", "strided", "transposed", "big-endian u2", "big-endian f8", "read-only"],
)
def test_unusual_memory_is_read_rightly_and_left_alone(array):
    before = array.copy()
    image, back = as_image_batch(array)
    np.testing.assert_array_equal(back(image), before)
    np.testing.assert_array_equal(array, before)
    assert back(image).dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("operation", [deconv.inverse_conv2d, deconv.causal_conv2d, deconv.wiener, deconv.degrade])
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[..., ::-1].copy()[..., ::-1],
        lambda a: a.astype(">f8"),
        lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
    ],
    ids=["reversed", "big-endian", "read-only"],
)
def test_every_operation_takes_memory_that_torch_cannot_view(operation, view):
    image = np.random.default_rng(0).random((1, 1, 12, 13))
    weight = np.full((1, 1, 2, 2), 0.2) if operation.__name__.endswith("conv2d") else np.full((3, 3), 1 / 9)
    weight[..., -1, -1] = 1 if weight.ndim == 4 else 1 / 9
    expected = operation(image, weight)
    np.testing.assert_allclose(operation(view(image), view(weight)), expected, rtol=1e-12)


def test_a_tensor_that_has_no_plain_values_is_refused():
    for tensor, words in (
        (torch.eye(9).to_sparse(), r"image: expected a dense tensor, given torch.sparse_coo; tensor.to_dense\(\)"),
        (torch.empty(9, 9, device="meta"), "image: a tensor on the device meta has no values"),
    ):
        with pytest.raises(TypeError, match=words):
            as_image_batch(tensor)


class CCDData:
    """An object with a mask of its own, as astropy's images are."""

    def __init__(self, mask):
        self.mask = mask

    def __array__(self, dtype=None, copy=None):
        return np.ones((3, 3))


def test_a_mask_that_would_be_lost_is_refused():
    assert as_image_batch(CCDData(None))[0].shape == (1, 1, 3, 3)
    with pytest.raises(TypeError, match="image: masked arrays would lose their mask"):
        as_image_batch(CCDData(np.zeros((3, 3), bool)))


def test_gradients_flow_through_both_ways():
    photograph = torch.rand(3, 5, 6, dtype=torch.float64, requires_grad=True)

    def double(x):
        image, back = as_image_batch(x)
        return back(2 * image)

    assert torch.autograd.gradcheck(double, photograph)


class Image:
    """An object that NumPy can view, like a PIL image or a data frame's column."""

    def __array__(self, dtype=None, copy=None):
        return np.full((2, 3), 51, np.uint8)


def test_objects_that_numpy_can_view_are_taken():
    image, back = as_image_batch(Image())
    assert image.max() == pytest.approx(0.2)
    assert back(image).dtype == np.uint8


def test_cupy_arrays_go_through_dlpack(monkeypatch):
    """A stand-in with CuPy's protocol on the CPU: no copy through the host, back into the same library."""

    class ndarray:
        def __init__(self, values):
            self.values, self.dtype, self.shape = values, values.dtype, values.shape

        def __dlpack__(self, **options):
            return self.values.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.values.__dlpack_device__()

    ndarray.__module__ = "cupy._core.core"
    cupy = types.ModuleType("cupy")
    cupy.from_dlpack = lambda tensor: ndarray(np.from_dlpack(tensor))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    pixels = np.random.default_rng(0).random((4, 5, 3), dtype=np.float32)
    image, back = as_image_batch(ndarray(pixels))
    assert tuple(image.shape) == (1, 3, 4, 5)
    again = back(image)
    assert isinstance(again, ndarray)
    np.testing.assert_array_equal(again.values, pixels)
    with pytest.raises(TypeError, match="image: dtype complex64"):
        as_image_batch(ndarray(pixels.astype(np.complex64)))


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        ([[1.0, 2.0]], TypeError, "image: expected a NumPy or CuPy array or a torch tensor, given list"),
        (None, TypeError, "given NoneType"),
        (np.ones((3, 3), complex), TypeError, "image: dtype complex128 .* real part"),
        (torch.ones(3, 3, dtype=torch.complex64), TypeError, "image: dtype torch.complex64"),
        (
            np.ones((3, 3), np.int64),
            TypeError,
            "image: dtype int64 is not an image's; allowed are bool, uint8, uint16, int16",
        ),
        (torch.ones(3, 3, dtype=torch.int64), TypeError, "image: dtype torch.int64"),
        (np.array([["a"]]), TypeError, "image: dtype <U1 is none that a tensor can have"),
        (np.ma.masked_array(np.ones((3, 3))), TypeError, "masked"),
        (np.ones((0, 3)), ValueError, r"image: empty, its shape is \(0, 3\)"),
        (
            np.ones(3),
            ValueError,
            r"image: expected H x W, H x W x C or B x C x H x W, given the shape \(3,\)",
        ),
        (torch.ones(1, 1, 1, 3, 3), ValueError, "image: expected H x W, C x H x W or B x C x H x W"),
        (np.array([[1.0, np.nan], [np.inf, 0]]), ValueError, "image: 2 of its 4 values are NaN or infinite"),
        (np.ones((3, 20, 30)), ValueError, "channels on the wrong side, expected H x W x C"),
        (np.ones((3, 12, 12)), ValueError, "channels on the wrong side, expected H x W x C"),
        (np.ones((2, 60, 72)), ValueError, "would be 72 channels of 2 x 60 pixels"),
        (np.ones((5, 72, 60)), ValueError, "would be 60 channels of 5 x 72 pixels"),
        (np.ones((2, 90, 120, 3)), ValueError, "channels on the wrong side, expected B x C x H x W"),
        (np.ones((2, 12, 12, 1)), ValueError, "channels on the wrong side, expected B x C x H x W"),
        (torch.ones(20, 30, 3), ValueError, "channels on the wrong side, expected C x H x W"),
        (torch.ones(12, 12, 3), ValueError, "channels on the wrong side, expected C x H x W"),
        (torch.ones(2, 20, 30, 3), ValueError, "channels on the wrong side, expected B x C x H x W"),
    ],
)
def test_what_is_no_image_is_refused_by_name(array, error, words):
    with pytest.raises(error, match=words):
        as_image_batch(array)


@pytest.mark.parametrize("shape", [(2, 16, 48, 40), (16, 2, 48, 40)])
def test_channels_before_the_slices_of_a_volume_are_refused(shape):
    with pytest.raises(ValueError, match="channels on the wrong side, expected D x H x W x C"):
        as_image_batch(np.ones(shape), space=3)
    assert as_image_batch(torch.ones(shape), space=3)[0].shape == (1, *shape)
    assert as_image_batch(np.ones((1, *shape)), space=3)[0].shape == (1, *shape)


def test_hyperspectral_images_are_images():
    assert as_image_batch(np.ones((61, 64, 31)))[0].shape == (1, 31, 61, 64)
    assert as_image_batch(np.ones((1, 200, 14, 15)))[0].shape == (1, 200, 14, 15)
    assert as_image_batch(torch.ones(200, 14, 15))[0].shape == (1, 200, 14, 15)


@pytest.mark.parametrize(("shape", "result"), [((4, 5), (1, 3, 4, 5)), ((4, 5, 3), (2, 3, 4, 5)), ((4, 5), (4, 5))])
def test_a_result_that_does_not_fit_the_layout_is_refused(shape, result):
    _, back = as_image_batch(np.zeros(shape))
    with pytest.raises(ValueError, match="result: the shape"):
        back(torch.zeros(result))


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((3, 4)), float),
        (torch.zeros(3, 4, 5), float),
        (Image(), float),
        (np.zeros((2, 1, 3, 4)), np.ndarray),
        (torch.zeros(2, 1, 3, 4), torch.Tensor),
    ],
)
def test_numbers_for_samples_come_in_the_images_kind(array, kind):
    assert isinstance(per_sample(torch.zeros(len(as_image_batch(array)[0])), array), kind)
