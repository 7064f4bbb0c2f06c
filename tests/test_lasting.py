"""What is kept for later calls serves these, whatever was going on when it was made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch._C._functorch import is_functorch_wrapped_tensor

from deconv.ops.dct import dct_matrix
from deconv.prior import load_prior
from deconv.prior.patches import cosine_basis
from deconv.restore import networks
from deconv.restore.shrinkage import factor_table
from deconv.training.restoration import random_psf

KEPT: dict[str, Callable[[], list[torch.Tensor]]] = {
    "dct_matrix": lambda: [dct_matrix.__wrapped__(8)],
    "cosine_basis": lambda: [cosine_basis.__wrapped__(4)],
    "factor_table": lambda: [factor_table.__wrapped__(0.5)],
    "random_psf": lambda: [random_psf.__wrapped__(3)],
    "load_network": lambda: list(networks._shipped.__wrapped__("photographs").parameters()),
    "load_prior": lambda: list(load_prior("gmm").buffers()),
}


def under_a_transform(make):
    made = []
    torch.func.jvp(lambda x: x * len(made.extend(make()) or made), (torch.ones(()),), (torch.ones(()),))
    return made


def in_inference_mode(make):
    with torch.inference_mode():
        return make()


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("asked_for", [in_inference_mode, under_a_transform])
def test_they_are_plain_tensors(name, asked_for):
    tensors = asked_for(KEPT[name])
    assert tensors
    for tensor in tensors:
        assert not tensor.is_inference()
        assert not is_functorch_wrapped_tensor(tensor)
    if tensors[0].is_floating_point():
        leaf = torch.ones((), requires_grad=True)
        (leaf * tensors[0]).sum().backward()
        assert leaf.grad is not None
