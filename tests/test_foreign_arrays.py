"""Arrays that torch cannot view give what their plain copies give: no crash, no other value."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from deconv import causal_conv2d, inverse_conv2d
from deconv.foreign_arrays import as_tensor, is_foreign

PLAIN = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
WEIGHT = np.random.default_rng(1).standard_normal((3, 3, 2, 2)) * 0.05
WEIGHT[:, :, -1, -1] = np.eye(3)


def _field_of_records(plain):
    records = np.zeros(plain.shape, [("flag", "u1"), ("value", plain.dtype)])
    records["value"] = plain
    return records["value"]


def _unaligned(plain):
    memory = np.zeros(plain.nbytes + 1, np.uint8)[1:]
    array = memory.view(plain.dtype).reshape(plain.shape)
    array[...] = plain
    return array


def _read_only(plain):
    array = plain.copy()
    array.setflags(write=False)
    return array


AWKWARD = {
    "plain": np.copy,
    "columns reversed": lambda plain: plain[..., ::-1].copy()[..., ::-1],
    "rows and batch reversed": lambda plain: plain[::-1, :, ::-1].copy()[::-1, :, ::-1],
    "every other column": lambda plain: np.repeat(plain, 2, -1)[..., ::2],
    "big-endian": lambda plain: plain.astype(">f8"),
    "little-endian": lambda plain: plain.astype("<f8"),
    "big-endian and reversed": lambda plain: plain[..., ::-1].astype(">f8")[..., ::-1],
    "read-only": _read_only,
    "transposed": lambda plain: plain.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
    "broadcast": lambda plain: np.broadcast_to(plain[..., -1:], plain.shape),
    "field of records": _field_of_records,
    "unaligned": _unaligned,
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_awkward_arrays_are_their_values(kind):
    image, weight = AWKWARD[kind](PLAIN), AWKWARD[kind](WEIGHT)
    kept = image.copy(), weight.copy()
    for operation in (causal_conv2d, inverse_conv2d):
        result = operation(image, weight)
        assert type(result) is np.ndarray
        expected = operation(torch.from_numpy(kept[0].astype(float)), torch.from_numpy(kept[1].astype(float)))
        np.testing.assert_array_equal(result, expected.numpy())
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(weight, kept[1])


def test_memory_is_shared_where_it_can_be():
    array = PLAIN.copy()
    tensor, wrap = as_tensor(array, name="image")
    assert tensor.data_ptr() == array.ctypes.data == wrap(tensor).ctypes.data


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ma.masked_array(PLAIN, PLAIN > 0), "y: masked arrays would lose their mask"),
        (PLAIN.astype(np.complex128), r"y: must be a floating-point tensor, given torch\.complex128"),
        (PLAIN.astype(int), r"y: must be a floating-point tensor, given torch\.int64"),
        (np.full(PLAIN.shape, "a"), "y: dtype <U1 is none that a tensor can have"),
        (np.full(PLAIN.shape, None), "y: dtype object is none that a tensor can have"),
        (torch.from_numpy(PLAIN).to_sparse(), r"y: must be dense, given the layout torch\.sparse_coo"),
        (PLAIN.tolist(), "y: must be a floating-point tensor, given list"),
    ],
    ids=["masked", "complex", "integers", "text", "objects", "sparse", "list"],
)
def test_what_is_no_array_of_numbers_is_refused(image, message):
    with pytest.raises(TypeError, match=message):
        inverse_conv2d(image, WEIGHT)


def test_arrays_of_a_library_that_stands_in_for_cupy(monkeypatch):
    """As much of CuPy as is used: its arrays cannot be viewed either where strides are negative."""
    library = ModuleType("cupy")

    class ndarray(np.ndarray):
        copied = 0

        def copy(self, order="C"):
            type(self).copied += 1
            return super().copy(order)

    ndarray.__module__ = "cupy"
    library.from_dlpack = lambda tensor: np.from_dlpack(tensor).view(ndarray)
    monkeypatch.setitem(sys.modules, "cupy", library)
    image = PLAIN.view(ndarray)
    assert is_foreign(image)
    result = inverse_conv2d(image[..., ::-1], WEIGHT)
    assert isinstance(result, ndarray)
    assert ndarray.copied == 1
    np.testing.assert_array_equal(result, inverse_conv2d(PLAIN[..., ::-1].copy(), WEIGHT))
