"""CUDA kernels for the causal solve, compiled at run time through CuPy."""
