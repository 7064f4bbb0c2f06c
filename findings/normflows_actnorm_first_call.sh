#!/usr/bin/env bash
# normflows 1.7.3: an ActNorm that is first used for sampling normalises the noise, and never the data. Seen with torch
# 2.13.0.
#
# ActNorm sets its scale and shift from the first batch, whichever way that goes. Drawing a few samples before training, as
# for a picture of step 0, or counting the layers by a call, initialises it from white noise: it becomes the identity, and
# the images that come afterwards stay as they are.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 normflows==1.7.3 <<'PY'
import torch
from normflows.flows import ActNorm

torch.manual_seed(0)
data, noise = 5 + 3 * torch.randn(1000, 4), torch.randn(1000, 4)
results = {}
for first in ("density", "sampling"):
    layer = ActNorm((4,))
    if first == "sampling":
        layer.forward(noise)  # in normflows, forward is from the noise to the data
    normalised = layer.inverse(data)[0]
    results[first] = (float(normalised.mean()), float(normalised.std()))
    print(f"first call {first:8}: mean {results[first][0]:5.2f}, deviation {results[first][1]:.2f} of the normalised data")
assert abs(results["density"][0]) < 0.01
assert abs(results["density"][1] - 1) < 0.01
assert results["sampling"][0] > 4.5
assert results["sampling"][1] > 2.5
PY
