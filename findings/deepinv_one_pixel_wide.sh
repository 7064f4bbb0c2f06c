#!/usr/bin/env bash
# deepinv 0.5.0: the adjoint of its blur is wrong, or cannot be had, for a psf one pixel wide along an axis, such as that
# of a straight horizontal or vertical motion, wherever the image is extended beyond its border.
#
# `conv_transpose2d` (that of `Blur.A_adjoint`) folds back onto the image what reached into its extension. An extension by
# no pixels makes it fold a whole axis, or none of it: with `padding="replicate"` <x, A'y> is then about twice <Ax, y> for
# positive images, without a word, and with "circular" and "reflect" it raises that shapes do not match. "valid" and
# "constant" have nothing to fold, and wider psfs are right. Descent along A'(Ax - y) goes astray in the first case;
# autograd through `conv2d` gives the right gradient wherever `conv2d` can be computed.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 torch==2.13.0 <<'PY'
import importlib
import subprocess
import sys
import types
from pathlib import Path

import torch

# Its two functions need torch alone; what its packages import besides, torchvision and more, is left out.
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "deepinv==0.5.0"], check=True)
site = next(path for path in map(Path, sys.path) if (path / "deepinv").is_dir())
for name in ("deepinv", "deepinv.utils", "deepinv.physics", "deepinv.physics.functional"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(site.joinpath(*name.split(".")))]
blur = importlib.import_module("deepinv.physics.functional.convolution")

torch.manual_seed(0)
x, y = torch.rand(2, 1, 1, 16, 17, dtype=torch.float64)


def mismatch(psf, padding):
    """|<Ax, y> - <x, A'y>| relative to <Ax, y>; none where A'y cannot be computed."""
    try:
        forward, backward = blur.conv2d(x, psf, padding=padding), blur.conv_transpose2d(y, psf, padding=padding)
    except RuntimeError:
        return None
    return float(((forward * y).sum() - (x * backward).sum()).abs() / (forward * y).sum())


for shape in ((3, 5), (1, 5), (5, 1)):
    psf = torch.rand(1, 1, *shape, dtype=torch.float64)
    psf /= psf.sum()
    found = {padding: mismatch(psf, padding) for padding in ("constant", "replicate", "reflect", "circular")}
    print(shape, ", ".join(f"{padding} {'raises' if e is None else f'{e:.0e}'}" for padding, e in found.items()))
    assert found["constant"] < 1e-14
    if 1 in shape:
        assert found["replicate"] > 1e-2
        assert found["reflect"] is found["circular"] is None
    else:
        assert max(found.values()) < 1e-14

    given = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((blur.conv2d(given, psf, padding="replicate") * y).sum(), given)
    assert abs((gradient * x).sum() / (blur.conv2d(x, psf, padding="replicate") * y).sum() - 1) < 1e-14
PY
