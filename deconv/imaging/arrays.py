"""The one adapter between the arrays people have and the tensors the toolkit computes with.

Inside, an image is a float tensor `(B, C, H, W)` whose nominal range is [0, 1]. Outside it may be

=============== =================== ========================== =============================
kind            `H x W`             with channels              batch
=============== =================== ========================== =============================
NumPy, CuPy     2 axes              3 axes, `H x W x C`        4 axes, `B x C x H x W`
torch           2 axes              3 axes, `C x H x W`        4 axes, `B x C x H x W`
=============== =================== ========================== =============================

of dtype bool, uint8 or uint16, whose full scale stands for 1, or float16 (bfloat16 in torch), float32, float64, int16,
int32 or uint32, whose values are taken as they are. Volumes have one more axis, D, before H. Everything else is refused
by name, never guessed at; so are axes that are plainly in another order. ``channel_axis=`` says where the channels are,
as scikit-image's does; an xarray `DataArray` says it by the names of its dims. Of a dask array all chunks are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ..foreign_arrays import as_tensor, without_labels

__all__ = ["FULL_SCALE", "as_image_batch", "as_psf", "axis_order", "per_sample"]

Back = Callable[[Tensor], Any]

FULL_SCALE = {torch.bool: 1, torch.uint8: 255, torch.uint16: 65535}
# The dtypes without a value that would be white, and what is computed in.
_OWN_UNIT = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.int16: torch.float32,
    torch.int32: torch.float64,
    torch.uint32: torch.float64,
}
_ALLOWED = "bool, uint8, uint16, int16, int32, uint32, float16, float32, float64"

# A psf that sums to less, or to more than the inverse, is one that nobody has normalised.
_LEAST_GAIN = 0.5

# Grey or colour, with or without opacity.
_USUAL_CHANNELS = 4


def as_image_batch(
    array: Any,
    *,
    space: Literal[2, 3] = 2,
    name: str = "image",
    channel_axis: int | None = None,
    check_order: bool = True,
) -> tuple[Tensor, Back]:
    """The image as a tensor `(B, C, H, W)`, and the function that turns results into what was given.

    Parameters
    ----------
    array : array or Tensor
        Of NumPy, CuPy, dask, xarray or torch, or anything NumPy can view as an array; see the module's table.
    space : {2, 3}
        Number of spatial axes: 2 for images, 3 for volumes.
    name : str
        What error messages call it.
    channel_axis : int, optional
        Which axis counts the channels; where there is one more, the first of the others counts the samples. By default
        as in the module's table.
    check_order : bool
        Refuse axes that are plainly in another order. False where the order makes no difference.

    Returns
    -------
    image : Tensor
        float32, or float64 where the array is or has 32-bit integers; on the array's device. Bool, uint8 and uint16
        are divided by their full scale, the others keep their values. It may share memory with `array`, so it is not
        to be written to.
    back : callable
        Turns a tensor `(B, C, H', W')` into the given kind of array, layout and dtype, on its device. Integers are
        rounded and saturate at the ends of their range; floats are never clipped. Gradients flow through both ways.

    Raises
    ------
    TypeError
        Not an array; complex, masked, or of a dtype that is not listed.
    ValueError
        Empty, too few or too many axes, channels on the wrong side, NaN or infinite values.

    Examples
    --------
    >>> import numpy as np
    >>> image, back = as_image_batch(np.full((4, 6, 3), 51, np.uint8))
    >>> tuple(image.shape), round(float(image.max()), 3)
    ((1, 3, 4, 6), 0.2)
    >>> back(2 * image)[0, 0]
    array([102, 102, 102], dtype=uint8)
    """
    array, channel_axis, relabel = without_labels(array, space=space, channel_axis=channel_axis, name=name)
    tensor, wrap = _as_numbers(array, name)
    channels_last = not isinstance(array, Tensor)
    _check_values(tensor, name)
    order = axis_order(tensor.shape, space, channels_last=channels_last, channel_axis=channel_axis, name=name)
    if check_order and channel_axis is None:
        _check_order(tensor, space, channels_last, name)

    extra = tensor.ndim - space  # how many of the axes B and C are there
    places = sorted(range(tensor.ndim), key=order.__getitem__)
    dtype = tensor.dtype
    image = tensor.to(_OWN_UNIT.get(dtype, torch.float32))
    if dtype in FULL_SCALE:
        image = image.div_(FULL_SCALE[dtype])  # a copy already: the dtype changed
    image = image.permute(order)[(None,) * (2 - extra)]

    def back(result: Tensor) -> Any:
        if result.ndim != space + 2 or any(n != 1 for n in result.shape[: 2 - extra]):
            raise ValueError(f"result: the shape {tuple(result.shape)} does not fit the {space + extra} axes of {name}")
        result = result[(0,) * (2 - extra)].permute(places)
        if dtype in FULL_SCALE:
            scale = FULL_SCALE[dtype]
            result = (result * scale).round().clamp(0, scale)
        elif not dtype.is_floating_point:
            ends = torch.iinfo(dtype)
            result = result.round().clamp(ends.min, ends.max)
        return relabel(wrap(result.to(dtype)))

    return image, back


def axis_order(
    shape: Sequence[int],
    space: Literal[2, 3],
    *,
    channels_last: bool,
    channel_axis: int | None = None,
    name: str = "image",
) -> list[int]:
    """Which axes of an array count its samples and channels, where there are any, and which are spatial.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    space : {2, 3}
        Number of spatial axes.
    channels_last : bool
        Of one image with channels, where `channel_axis` does not say it.
    channel_axis : int, optional
        As for `as_image_batch`.
    name : str
        What error messages call the array.

    Returns
    -------
    list of int
        The axes in the order B, C, D, H, W, as far as they are there.

    Raises
    ------
    ValueError
        Too few or too many axes; a channel axis that there is not.
    """
    shape, count = tuple(shape), len(shape)
    if not space <= count <= space + 2:
        frame, image, batch = _layouts(space, channels_last)
        raise ValueError(f"{name}: expected {frame}, {image} or {batch}, given the shape {shape}")
    axes = list(range(count))
    if channel_axis is None:
        return [axes[-1], *axes[:-1]] if count == space + 1 and channels_last else axes
    if count == space or not -count <= channel_axis < count:
        raise ValueError(
            f"channel_axis: {name} of the shape {shape} has no axis {channel_axis} beside its {space} spatial ones"
        )
    channels = axes.pop(channel_axis)
    samples = axes[: count - space - 1]
    return [*samples, channels, *axes[len(samples) :]]


def as_psf(psf: Any, *, like: Tensor | None = None, space: Literal[2, 3] = 2) -> Tensor:
    """The psf as a float tensor `(kh, kw)`, checked; its values are left as they are.

    Parameters
    ----------
    psf : array or Tensor
        Of NumPy, CuPy or torch, with `space` axes. Integers are taken as weights only where they sum to 1.
    like : Tensor, optional
        The image it is for, whose dtype and device it gets; otherwise float32 at least, where it is.
    space : {2, 3}
        Number of spatial axes.

    Returns
    -------
    Tensor
        `(kh, kw)` or `(kd, kh, kw)`, floating point.

    Raises
    ------
    TypeError
        Not an array, or complex.
    ValueError
        Wrong number of axes, empty, NaN or infinite values, a sum outside [1/2, 2], or integers with a sum other than 1
        (a psf kept as a picture: divide it by its sum, or use `deconv.imaging.psf.normalise`).
    """
    tensor, _ = as_tensor(psf, name="psf")
    if tensor.is_complex():
        raise TypeError(f"psf: expected real numbers, given dtype {psf.dtype}; take its real part or magnitude")
    if tensor.ndim != space or tensor.numel() == 0:
        axes = "(kh, kw)" if space == 2 else "(kd, kh, kw)"
        raise ValueError(f"psf: expected {axes}, given the shape {tuple(tensor.shape)}")
    exact = tensor.is_floating_point()
    tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32) if exact else torch.float64)
    _check_values(tensor, "psf")
    total = float(tensor.detach().sum(dtype=torch.float64))
    if not exact and total != 1:
        raise ValueError(f"psf: integers that sum to {total:.0f}; expected floats that sum to 1 (psf / psf.sum())")
    if not _LEAST_GAIN <= total <= 1 / _LEAST_GAIN:
        hint = "psf / psf.sum() keeps the brightness"
        if space == 3 and round(total) in (tensor.shape[0], tensor.shape[-1]):
            hint = f"psfs for each of {total:.0f} channels have the shape (1, {total:.0f}, kh, kw)"
        raise ValueError(f"psf: its sum is {total:.3g}, expected about 1; {hint}")
    if like is not None:
        return tensor.to(like.device, like.dtype)
    return tensor if exact else tensor.float()


def per_sample(values: Tensor, array: Any, *, space: Literal[2, 3] = 2) -> Any:
    """Numbers, one for each sample, in the kind that suits `array`: a float for one image, else `(B,)`.

    Parameters
    ----------
    values : Tensor
        `(B,)`, computed from ``as_image_batch(array)``.
    array : array or Tensor
        What was given.
    space : {2, 3}
        Number of spatial axes.

    Returns
    -------
    float, array or Tensor
        A batch of tensors gets a tensor, with its gradient; a batch of arrays an array.
    """
    tensor, wrap = as_tensor(array, name="array")
    return wrap(values) if tensor.ndim == space + 2 else float(values)


def _as_numbers(array: Any, name: str) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """As `as_tensor`, of a dtype that an image may have."""
    tensor, wrap = as_tensor(array, name=name)
    if tensor.dtype not in FULL_SCALE and tensor.dtype not in _OWN_UNIT:
        hint = "; take its real part or magnitude" if tensor.is_complex() else ""
        raise TypeError(f"{name}: dtype {array.dtype} is not an image's; allowed are {_ALLOWED}{hint}")
    return tensor, wrap


def _check_values(tensor: Tensor, name: str) -> None:
    if tensor.numel() == 0:
        raise ValueError(f"{name}: empty, its shape is {tuple(tensor.shape)}")
    if tensor.is_floating_point():
        bad = tensor.numel() - int(torch.isfinite(tensor.detach()).sum())
        if bad:
            raise ValueError(f"{name}: {bad} of its {tensor.numel()} values are NaN or infinite; all must be finite")


def _layouts(space: int, channels_last: bool) -> tuple[str, str, str]:
    """How the axes of one channel, of one image and of a batch are written."""
    frame = "H x W" if space == 2 else "D x H x W"
    return frame, f"{frame} x C" if channels_last else f"C x {frame}", f"B x C x {frame}"


def _check_order(tensor: Tensor, space: int, channels_last: bool, name: str) -> None:
    """Refuse axes that are plainly in another library's order."""
    shape = tuple(tensor.shape)
    _, image, batch = _layouts(space, channels_last)
    if tensor.ndim == space + 1 and channels_last:
        # No photograph has dozens of channels and is three pixels high.
        *sides, channels = shape
        if channels > _USUAL_CHANNELS and channels > min(sides):
            raise ValueError(
                f"{name}: the shape {shape} would be {channels} channels of {' x '.join(map(str, sides))} pixels, with "
                f"its channels on the wrong side, expected {image}, or {batch} where there are so many; channel_axis= "
                "says which axis counts them"
            )
    elif tensor.ndim > space:
        channels, *sides = shape[-space - 1 :]
        if channels > _USUAL_CHANNELS and sides[-1] in (1, 3, 4) and min(sides[:-1]) > sides[-1]:
            expected = batch if tensor.ndim == space + 2 else image
            raise ValueError(
                f"{name}: the shape {shape} has its channels on the wrong side, expected {expected}; channel_axis= "
                "says which axis counts them"
            )
