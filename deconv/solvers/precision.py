"""Full precision where autocast would lower it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["full_precision"]


def full_precision(device: str) -> AbstractContextManager:
    """A context without autocast on a type of device: it would turn the products of a solve to half precision.

    (Switching it off is not free.)
    """
    lowered = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if lowered else nullcontext()
