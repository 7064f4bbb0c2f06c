"""The place of CUDA kernels for the causal solve. There are none yet: on a GPU the tiles of `deconv` serve."""

__all__: list[str] = []
