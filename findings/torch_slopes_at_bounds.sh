#!/usr/bin/env bash
# torch 2.13.0: the gradient of max(x, 0) at x = 0 is 0, 1/2 or 1, depending on which of its names it is called by.
#
# Taps of a psf and pixels of an image are kept from getting negative by one of these, and many of them are exactly 0.
# With relu a tap at 0 has no gradient and stays there for ever; with clamp it can leave. (The slope of clamp is that of
# torch 2.13: later releases changed it.)
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 <<'PY'
import torch
from torch.nn import functional as F

zero = torch.zeros(1)
names = {
    "relu(x)": torch.relu,
    "F.threshold(x, 0, 0)": lambda x: F.threshold(x, 0, 0),
    "F.hardtanh(x, 0, 1)": lambda x: F.hardtanh(x, 0, 1),
    "where(x > 0, x, 0)": lambda x: torch.where(x > 0, x, 0),
    "maximum(x, 0)": lambda x: torch.maximum(x, zero),
    "stack([x, 0]).amax(0)": lambda x: torch.stack([x, zero]).amax(0),
    "clamp(x, min=0)": lambda x: x.clamp(min=0),
    "fmax(x, 0)": lambda x: torch.fmax(x, zero),
    "stack([x, 0]).max(0)": lambda x: torch.stack([x, zero]).max(0).values,
}
slopes = {}
for name, function in names.items():
    x = torch.zeros(1, requires_grad=True)
    function(x).sum().backward()
    slopes[name] = x.grad.item()
    print(f"{name:22} slope at 0: {slopes[name]}")
assert list(slopes.values()) == [0, 0, 0, 0, 0.5, 0.5, 1, 1, 1]
PY
