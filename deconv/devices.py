"""Devices by name."""

from __future__ import annotations

import torch

__all__ = ["emulates_bfloat16", "usable_device"]


def usable_device(device: str | torch.device, *, name: str = "device") -> torch.device:
    """The device of that name, if it is there and holds values.

    Parameters
    ----------
    device : str or torch.device
        As torch names them; ``"auto"`` is a GPU where there is one, else the CPU.
    name : str
        What an error calls the argument.

    Returns
    -------
    torch.device
        On which tensors can be made.

    Raises
    ------
    ValueError
        No such device, or one that torch was built without.

    Examples
    --------
    >>> usable_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).item()
    except (RuntimeError, AssertionError) as error:  # how torch refuses one it does not know, or was built without
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # and then names of back ends that nobody has
            reason = "there is no such kind; auto, cpu, cuda and mps are known"
        raise ValueError(f"{name}: {str(device)!r} cannot be used here ({reason})") from None
    return place


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether a device is a CPU without fast convolutions in bfloat16, where those in float32 are ten times as fast."""
    return device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
