"""A loss or gradient that is not finite ends a run with the name of the layer, and leaves the last good state."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from training_runs import splits

from deconv.training import Objective, Settings, fit
from deconv.training.checkpoint import CHECKPOINT, read_checkpoint
from deconv.training.nonfinite import first_nonfinite_gradient


class _InfiniteSlope(torch.autograd.Function):
    """Adds nothing, and says that the slope is infinite."""

    @staticmethod
    def forward(ctx, y, bias):
        return y.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, torch.full((1,), torch.inf)


class Brittle(nn.Module):
    """Fails from a step on, in its second layer or in its gradient."""

    def __init__(self, fails_in: str):
        super().__init__()
        self.first, self.second = nn.Linear(64, 8), nn.Linear(8, 1)
        self.calls, self.fails_in = 0, fails_in
        self.second.register_forward_hook(self._break)

    def _break(self, module, inputs, output):
        if self.calls > 4 and self.fails_in == "output":
            return output / 0
        if self.calls > 4 and self.fails_in == "error":
            raise FloatingPointError("too large a gain")
        return None

    def forward(self, x):
        self.calls += self.training and torch.is_grad_enabled()
        y = self.second(self.first(x.flatten(1)))
        return _InfiniteSlope.apply(y, self.second.bias) if self.calls > 4 and self.fails_in == "gradient" else y


@pytest.mark.parametrize(
    ("fails_in", "message"),
    [
        ("output", r"step 4: the loss is not finite, and first so in layer second \(Linear\)"),
        ("error", r"step 4: the loss is not finite, and first so in layer second \(Linear: too large a gain\)"),
        ("gradient", r"step 4: the gradient of second.bias is not finite"),
    ],
)
def test_what_is_not_finite_is_named_and_the_checkpoint_remains(tmp_path, fails_in, message):
    def loss(model, batch, generator):
        return model(batch.images / 255).square()[:, 0]

    settings = Settings(steps=10, batch_size=4, validate_every=2)
    with pytest.raises(FloatingPointError, match=rf"{message}.*checkpoint.safetensors holds the last good state"):
        fit(Brittle(fails_in), splits(), Objective("square", loss), settings, folder=tmp_path, progress=False)
    tensors, record = read_checkpoint(tmp_path / CHECKPOINT)
    assert record["state"]["step"] == 4
    assert all(value.isfinite().all() for value in tensors.values())


def test_gradients_whose_norm_alone_overflows_are_told_apart():
    layer = nn.Linear(2, 1)
    layer.weight.grad = torch.full((1, 2), 3e38)
    assert first_nonfinite_gradient(layer) == "the gradient of no single parameter, but their norm"
