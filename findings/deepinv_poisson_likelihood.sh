#!/usr/bin/env bash
# deepinv 0.5.0: value, gradient and proximal operator of the Poisson likelihood belong to three different functions.
#
# `PoissonLikelihoodDistance` is sum -y log(x / gain + bkg) + x / gain + bkg - y. Its gradient is multiplied by the gain
# where it should be divided by it, and so right for a gain of 1. Its proximal operator multiplies a square root by
# 1 / (gain gamma) and subtracts it, in place of adding it as it is: also for a gain of 1 and no background it is another
# value, and for steps below about 1 a negative one, where the function is infinite. The value of each image of a batch
# holds the logarithms of all of them.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 <<'PY'
import importlib
import subprocess
import sys
import types
from pathlib import Path

import torch

# The likelihood needs torch alone; what its packages import besides, torchvision and more, is left out.
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "deepinv==0.5.0"], check=True)
site = next(path for path in map(Path, sys.path) if (path / "deepinv").is_dir())
for name in ("deepinv", "deepinv.optim", "deepinv.optim.utils"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(site.joinpath(*name.split(".")))]
sys.modules["deepinv.optim.utils"].gradient_descent = None  # for functions without a closed form
Likelihood = importlib.import_module("deepinv.optim.distance").PoissonLikelihoodDistance

torch.manual_seed(0)
x, y = 5 + torch.rand(2, 1, 1, 4, 4, dtype=torch.float64)

for gain in (1.0, 0.5, 4.0):
    likelihood = Likelihood(gain=gain, bkg=0.1)
    given = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(likelihood(given, y).sum(), given)
    ratio = (likelihood.grad(x, y) / gradient).mean().item()
    print(f"gain {gain:g}: gradient told / gradient of the value = {ratio:.4f}")
    assert abs(ratio - gain**2) < 1e-9

gamma, likelihood = 0.3, Likelihood()
told = likelihood.prox(x, y, gamma=gamma)
right = ((x - gamma) + ((x - gamma) ** 2 + 4 * gamma * y).sqrt()) / 2
residual = (right - x) / gamma + likelihood.grad(right, y)
print(f"prox of 5 to 6 photons: told {told.min():.2f} to {told.max():.2f}, minimum {right.min():.2f} to {right.max():.2f}")
assert (told < 0).all() and residual.abs().max() < 1e-12

alone, batch = likelihood(x, y).item(), likelihood(torch.cat([x, x]), torch.cat([y, y]))[0].item()
print(f"value of an image alone {alone:.2f}, in a batch of two {batch:.2f}")
assert abs(batch - alone) > 1
PY
