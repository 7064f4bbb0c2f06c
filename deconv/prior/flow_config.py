"""The numbers that a flow prior is built of, checked before it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .detail_step import DetailStep

__all__ = ["check_config", "scales"]


def check_config(config: Mapping[str, Any], held: int, *, size: int = 8) -> None:
    """Refuse, before it is built, a flow that would have more parameters than the `held` numbers of its file."""
    for name, value in config.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name}: expected a number, given {value!r}")
    each = {name: config[name] for name in ("width", "depth", "kernel_size", "gates")}
    announced = scales(size) * config["steps"] * DetailStep.least_parameters(**each)
    if announced > held:
        raise ValueError(f"its configuration announces at least {announced:,} numbers, it holds {held:,}")


def scales(size: int) -> int:
    """Haar transforms down to the mean of a block of so many pixels a side."""
    return round(math.log2(size))
