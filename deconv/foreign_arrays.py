"""Arrays of other libraries, NumPy's, CuPy's, dask's and xarray's, as tensors and back: the one way that all operations
take them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Array", "as_tensor", "is_dask", "is_foreign", "on_tensors", "without_labels", "without_mask"]

Array = TypeVar("Array", Tensor, "np.ndarray[Any, Any]")  # a tensor for a tensor, an array for an array

# What an axis of channels is called.
_CHANNELS = ("c", "channel", "channels", "band")


def is_foreign(array: Any) -> bool:
    """Whether `array` is one of NumPy's or CuPy's."""
    return type(array).__module__.partition(".")[0] in ("numpy", "cupy") and hasattr(array, "dtype")


def as_tensor(array: Any, *, name: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """The array as a tensor of the same dtype, and the function that wraps results in the array's library.

    Parameters
    ----------
    array : array or Tensor
        Of NumPy, CuPy, dask or torch, or anything NumPy can view as an array. Its memory is shared where torch can view
        it; where it cannot (negative strides, the other byte order, read-only memory, fields of records) the values are
        copied. Of a dask array all chunks are computed.
    name : str
        What error messages call it.

    Returns
    -------
    tensor : Tensor
        On the array's device.
    wrap : callable
        Turns a tensor into an array of the same library, on the same device; a tensor stays one.

    Raises
    ------
    TypeError
        Not an array of numbers, or one of which a tensor would lose something: masked, sparse, without values.

    Examples
    --------
    >>> import numpy as np
    >>> tensor, wrap = as_tensor(np.arange(3.0)[::-1], name="image")
    >>> wrap(2 * tensor)
    array([4., 2., 0.])
    """
    if isinstance(array, Tensor):
        if array.layout is not torch.strided or array.is_nested:
            raise TypeError(f"{name}: expected a dense tensor, given {array.layout}; tensor.to_dense() makes one")
        if array.device.type == "meta":
            raise TypeError(f"{name}: a tensor on the device meta has no values")
        return array, _unchanged
    if type(array).__module__.partition(".")[0] == "cupy":
        cupy = sys.modules["cupy"]
        if any(stride < 0 for stride in getattr(array, "strides", ())):
            array = array.copy()
        return torch.from_dlpack(array), lambda result: cupy.from_dlpack(result.detach())
    if is_dask(array):
        return _from_numpy(array, name), _into_dask(array)
    if hasattr(array, "__array__"):
        return _from_numpy(array, name), lambda result: result.detach().cpu().numpy()
    raise TypeError(f"{name}: expected a NumPy or CuPy array or a torch tensor, given {type(array).__name__}")


def is_dask(array: Any) -> bool:
    """Whether it is a dask array; who has one has imported dask."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(array, dask.Array)


def without_labels(
    array: Any, *, space: int, channel_axis: int | None, name: str
) -> tuple[Any, int | None, Callable[[Any], Any]]:
    """An array, which of its axes counts channels, and the way back: an xarray `DataArray` says it by its `dims`.

    Parameters
    ----------
    array : array or Tensor
        Of any kind.
    space : int
        Number of spatial axes.
    channel_axis : int or None
        As it was given.
    name : str
        What error messages call the array.

    Returns
    -------
    values : array or Tensor
        What a `DataArray` holds, of NumPy, CuPy or dask; anything else stays as it is.
    channel_axis : int or None
        As given, else the axis whose name is c, channel, channels or band.
    back : callable
        Gives a result the dims, coordinates, attributes and name of a `DataArray`; an axis that is shorter by then has
        no coordinates any more.

    Raises
    ------
    ValueError
        There are more axes than spatial ones, and none is called so; or another than is given.
    """
    xarray = sys.modules.get("xarray")
    if xarray is None or not isinstance(array, xarray.DataArray):
        return array, channel_axis, _unchanged
    dims = [str(dim) for dim in array.dims]
    named = [axis for axis, dim in enumerate(dims) if dim.lower() in _CHANNELS]
    if channel_axis is None:
        nameless = all(dim == f"dim_{axis}" for axis, dim in enumerate(dims))
        if len(dims) > space and not nameless:
            if len(named) != 1:
                raise ValueError(
                    f"{name}: its dims are {', '.join(dims)}; expected one called {', '.join(_CHANNELS)}, or "
                    f"channel_axis=, beside {space} spatial ones"
                )
            channel_axis = named[0]
    elif named and channel_axis % max(len(dims), 1) not in named:
        raise ValueError(f"channel_axis: the dims of {name} are {', '.join(dims)}, given {channel_axis}")

    def back(result: Any) -> Any:
        kept = {dim for dim, n, m in zip(array.dims, array.shape, result.shape, strict=True) if n == m}
        coords = {key: value for key, value in array.coords.items() if kept.issuperset(value.dims)}
        return xarray.DataArray(result, coords, array.dims, array.name, array.attrs)

    return array.data, channel_axis, back


def without_mask(array: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    """An array, its own mask, and the way back: NumPy's masked arrays, and astropy's `NDData` and `CCDData`.

    Parameters
    ----------
    array : array or Tensor
        Of any kind.

    Returns
    -------
    values : array or Tensor
        The array without its mask; what has none stays as it is.
    missing : ndarray or None
        True where the array's own mask says that there is no value; None where it has none.
    back : callable
        Gives a result of NumPy the class of the array, with its unit, coordinates (WCS) and header; nothing is masked
        there any more.
    """
    if isinstance(array, np.ma.MaskedArray):
        missing = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        return array.data, missing, np.ma.asarray
    if all(hasattr(array, name) for name in ("uncertainty", "data", "mask", "wcs", "meta", "unit")):
        known = {name: getattr(array, name) for name in ("unit", "wcs", "meta")}
        missing = None if array.mask is None else np.broadcast_to(np.asarray(array.mask, bool), array.data.shape)
        return np.asarray(array.data), missing, lambda result: type(array)(result, **known)
    return array, None, _unchanged


def on_tensors(operation: Callable[..., Tensor], name: str, image: Any, weight: Any, **options: Any) -> Any:
    """``operation(image, weight, **options)`` of tensors, or of arrays as an array of the image's library.

    Parameters
    ----------
    operation : callable
        Of two tensors.
    name : str
        What error messages call the image.
    image : array or Tensor
        The first operand.
    weight : array or Tensor
        The second one.
    **options
        Passed on.

    Returns
    -------
    array or Tensor
        As the image, on the same device.
    """
    if is_foreign(weight):
        weight, _ = as_tensor(weight, name="weight")
    if is_foreign(image):
        tensor, wrap = as_tensor(image, name=name)
        return wrap(operation(tensor, weight, **options))
    return operation(image, weight, **options)


def _from_numpy(array: Any, name: str) -> Tensor:
    if isinstance(array, np.ma.MaskedArray) or getattr(array, "mask", None) is not None:
        raise TypeError(f"{name}: masked arrays would lose their mask; give the data, and the mask where one is asked")
    array = np.asarray(array)
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype.name in ("float96", "float128"):
        raise TypeError(f"{name}: dtype {array.dtype} is none that a tensor can have")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    viewable = all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    if not (viewable and array.flags.writeable and array.flags.aligned):
        array = array.copy()  # torch has neither such strides nor memory that must not be written to
    return torch.from_numpy(array)


def _into_dask(like: Any) -> Callable[[Tensor], Any]:
    """Makes a dask array of a tensor, with the chunks of another where it has its shape."""

    def wrap(result: Tensor) -> Any:
        values = result.detach().cpu().numpy()
        return sys.modules["dask.array"].from_array(values, like.chunks if values.shape == like.shape else "auto")

    return wrap


def _unchanged(result: Any) -> Any:
    return result
