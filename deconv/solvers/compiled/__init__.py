"""Solvers for CPUs, compiled by numba to vector instructions; importing this imports numba."""

from .solve import solve
from .weight_gradient import is_faster, weight_gradient

__all__ = ["is_faster", "solve", "weight_gradient"]
