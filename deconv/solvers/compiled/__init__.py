"""Solvers for CPUs, compiled by numba to vector instructions; importing this imports numba."""

from .solve import solve

__all__ = ["solve"]
