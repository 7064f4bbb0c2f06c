"""The causal convolution ``y = A x``."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import conv2d, pad

from deconv.foreign_arrays import Array, on_tensors
from deconv.solvers.geometry import Corner, Support, flip, padding, support_mask
from deconv.solvers.precision import full_precision

from .checks import check_operands, common_dtype

__all__ = ["causal_conv2d", "mask_to_support"]


def mask_to_support(weight: Tensor, support: Support) -> Tensor:
    """`weight` with zeros where the support has no taps; the same tensor where it has them all."""
    if support == "quarter":
        return weight
    return weight * support_mask(weight.shape[-2], weight.shape[-1], support, weight.device).to(weight.dtype)


def causal_conv2d(
    x: Array, weight: Array | Tensor, *, corner: Corner = "tl", support: Support = "quarter", groups: int = 1
) -> Array:
    r"""Causal convolution: each pixel of the result sees itself and the pixels before it.

    .. math:: y_o[p] = \sum_i \sum_q W_{oi}[q] \, x_i[p - q]

    with zeros outside the image and an output of the input's size. As in `torch.nn.functional.conv2d` the kernel is
    stored in correlation order: with corner ``"tl"`` the tap on the pixel itself (the anchor) is
    ``weight[:, :, -1, -1]``, and ``weight[:, :, -1, -2]`` multiplies its left neighbour.

    Parameters
    ----------
    x : Tensor
        Image `(B, C, H, W)`, any floating-point dtype. Half precision stays what it is, autocast lowers nothing, and
        operands of two dtypes are convolved in float32. NumPy and CuPy arrays are taken too, and give one.
    weight : Tensor
        Kernel `(C, C / groups, kh, kw)`, any size, also larger than the image.
    corner : {"tl", "tr", "bl", "br"}
        Where the past lies: top or bottom, left or right. The other three are ``"tl"`` on a flipped image, with the
        kernel stored in the flipped frame too.
    support : {"quarter", "half"}
        ``"quarter"``: pixels above and to the left. ``"half"``: the raster past, with ``kw = 2 r + 1``; rows above
        reach `r` columns to both sides, the anchor is ``weight[:, :, -1, r]``, and the taps right of it in the last
        row are taken as zero.
    groups : int
        Channel groups, as in `conv2d`.

    Returns
    -------
    Tensor
        `y`, the shape and dtype of `x`. Its exact inverse is `inverse_conv2d`, its log-determinant
        `causal_log_abs_det`.

    Raises
    ------
    TypeError
        Dtypes that are not floating point, or float64 with another.
    ValueError
        Shapes that do not fit, an unknown corner or support, operands on two devices.

    References
    ----------
    Nagar and Varma, "Parallel Backpropagation for Inverse of a Convolution with Application to Normalizing Flows",
    AISTATS 2025. Half planes: Ekstrom and Woods, "Two-dimensional spectral factorization with applications in
    recursive digital filtering", IEEE Trans. ASSP 1976.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> causal_conv2d(x, torch.tensor([[[[0.5, 1.0]]]]))
    tensor([[[[1.0000, 2.5000, 4.0000]]]])
    """
    return on_tensors(_causal_conv2d, "x", x, weight, corner=corner, support=support, groups=groups)


def _causal_conv2d(x: Tensor, weight: Tensor, *, corner: Corner, support: Support, groups: int) -> Tensor:
    check_operands("x", x, weight, corner, support, groups)
    dtype = x.dtype if x.dtype == weight.dtype else common_dtype("x", x, weight)
    kernel = flip(mask_to_support(weight.to(dtype), support), corner)
    if 0 in x.shape[-2:]:  # without pixels: `conv2d` takes images without samples only
        return x * kernel.sum().to(x.dtype)
    kernel_height, kernel_width = weight.shape[-2:]
    padded = pad(x.to(dtype), padding(kernel_height, kernel_width, support, corner))
    with full_precision(x.device.type):
        return conv2d(padded, kernel, groups=groups).to(x.dtype)
