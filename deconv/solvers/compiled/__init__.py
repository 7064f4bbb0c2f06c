"""Solvers for CPUs, compiled by numba to vector instructions; importing this imports numba."""

from .solve import solve
from .weight_gradient import weight_gradient

__all__ = ["solve", "weight_gradient"]
