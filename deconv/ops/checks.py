"""Argument checks shared by the causal operators: one error, naming the argument, before any work is done."""

from __future__ import annotations

import torch
from torch import Tensor

from deconv.choices import check_choice
from deconv.solvers.geometry import CORNERS, SUPPORTS, Corner, Support

__all__ = ["check_operands", "check_weight", "common_dtype"]

_SOLVABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or value.dtype not in _SOLVABLE:
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name}: must be a floating-point tensor, given {kind}")
    if value.layout != torch.strided:
        raise TypeError(f"{name}: must be dense, given the layout {value.layout} (call to_dense() first)")


def check_weight(weight: Tensor, support: Support, groups: int) -> None:
    """Refuse a kernel that does not describe a square causal operator."""
    check_choice("support", support, SUPPORTS)
    _check_tensor("weight", weight)
    if isinstance(groups, bool) or not isinstance(groups, int) or groups < 1:
        raise ValueError(f"groups: must be a positive integer, given {groups!r}")
    if weight.ndim != 4 or min(weight.shape) < 1:
        raise ValueError(f"weight: must have shape (C, C / groups, kh, kw), given {tuple(weight.shape)}")
    channels, inner, _, width = weight.shape
    if channels != inner * groups:
        raise ValueError(
            f"weight: a causal operator maps C channels to C, so weight must have shape (C, C / {groups}, kh, kw), "
            f"given {tuple(weight.shape)}"
        )
    if support == "half" and width % 2 == 0:
        raise ValueError(f"weight: half-plane kernels have an odd width 2 r + 1, given {width}")


def check_operands(name: str, image: Tensor, weight: Tensor, corner: Corner, support: Support, groups: int) -> None:
    """Refuse an image (called `name` in the message) or kernel that the causal operators cannot take."""
    check_choice("corner", corner, CORNERS)
    check_weight(weight, support, groups)
    _check_tensor(name, image)
    if image.ndim != 4 or image.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{name}: must have shape (B, {weight.shape[0]}, H, W) to go with weight {tuple(weight.shape)}, "
            f"given {tuple(image.shape)}"
        )
    if image.device != weight.device:
        raise ValueError(f"weight: is on {weight.device}, but {name} is on {image.device}")
    common_dtype(name, image, weight)


def common_dtype(name: str, image: Tensor, weight: Tensor) -> torch.dtype:
    """The dtype to compute in: float64 for float64, else float32, whatever of half precision is given."""
    if (image.dtype == torch.float64) != (weight.dtype == torch.float64):
        raise TypeError(f"weight: is {weight.dtype}, but {name} is {image.dtype}; float64 does not mix")
    return torch.float64 if image.dtype == torch.float64 else torch.float32
