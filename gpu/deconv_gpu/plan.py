"""How a solve is cut and launched: everything that depends on shapes alone, in plain Python.

The same plan launches the kernels on a GPU and in their proof on a CPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache

from .cell_plan import plan_cells
from .launch import Plan
from .product_plan import plan_products
from .row_plan import plan_rows
from .solve_shape import Device, SolveShape
from .strip_plan import plan_strips

__all__ = ["PLANS", "plan"]

# In order of preference. Each gives a plan, or the reason why it has none. The last one serves all shapes that fit into
# shared memory, on all devices; the others are quicker where they serve. The environment variable DECONV_CUDA_PLAN
# names one that is to be taken alone.
PLANS: dict[str, Callable[[SolveShape, Device], Plan | str]] = {
    "rows": plan_rows,
    "strips": plan_strips,
    "products": plan_products,
    "cells": plan_cells,
}


def plan(shape: SolveShape, device: Device) -> Plan | str:
    """The first plan that there is for a solve, or the reason why there is none."""
    return _plan(shape, device, os.environ.get("DECONV_CUDA_PLAN"))


@lru_cache(maxsize=512)
def _plan(shape: SolveShape, device: Device, name: str | None) -> Plan | str:
    if name and name not in PLANS:
        raise ValueError(f"DECONV_CUDA_PLAN: must be one of {', '.join(PLANS)}, given {name!r}")
    found: Plan | str = ""
    for make in [PLANS[name]] if name else PLANS.values():
        found = make(shape, device)
        if not isinstance(found, str):
            return found
    return found
