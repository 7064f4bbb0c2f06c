"""Settings for every test."""

import torch

# Tests are small: a second thread costs more than it brings. And the LU factorisation of MKL, as some builds of torch
# ship it, fails on large matrices when the number of threads has been lowered and raised again.
torch.set_num_threads(1)
