"""The cosine transform."""

from __future__ import annotations

import pytest
import torch
from scipy.fft import dct

from deconv.ops.dct import dct_matrix


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_it_is_scipys(size):
    x = torch.randn(size, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.from_numpy(dct(x.numpy(), axis=0, norm="ortho"))
    torch.testing.assert_close(dct_matrix(size) @ x, expected)
