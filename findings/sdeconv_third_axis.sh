#!/usr/bin/env bash
# sdeconv 1.0.4: its methods for volumes forget a part of the third axis. SWiener dims stacks, the more the larger beta;
# SRichardsonLucy turns the psf round along two axes of three, so that it diverges where the psf is not symmetric along
# the last one. For images SWiener is right, and SRichardsonLucy converges more slowly than it should: the psf that was
# turned round is a pixel beside its centre.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 torch==2.13.0 <<'PY'
import importlib.util
import subprocess
import sys
import types

# It asks for torchvision, for its learnt methods alone, whose package is passed over.
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "sdeconv==1.0.4"], check=True)
methods = types.ModuleType("sdeconv.deconv")
methods.__path__ = [importlib.util.find_spec("sdeconv").submodule_search_locations[0] + "/deconv"]
sys.modules["sdeconv.deconv"] = methods

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sdeconv.deconv.richardson_lucy import SRichardsonLucy
from sdeconv.deconv.wiener import SWiener


def point(shape):
    psf = np.zeros(shape)
    psf[tuple(n // 2 for n in shape)] = 1
    return psf


for shape in ((16, 20), (16, 20, 24)):
    for beta, level in ((1e-5, 99.999), (0.01, 99.0099), (0.1, 90.9091)):
        restored = SWiener(torch.from_numpy(point(shape)), beta)(torch.full(shape, 100.0))
        print(f"SWiener, {len(shape)} axes, no blur, beta {beta:g}: 100 becomes {restored.mean().item():.4f}")
        assert abs(restored - (100 if len(shape) == 2 else level)).max() < 1e-3


def own(blurred, otf, steps):
    """Richardson-Lucy, multiplied out."""
    found = blurred
    for _ in range(steps):
        again = np.fft.ifftn(np.fft.fftn(found) * otf).real
        found = found * np.fft.ifftn(np.fft.fftn(blurred / again) * otf.conj()).real
    return found


def errors(shape, skewed):
    """Of sdeconv and of the own one, relative to the contrast, after 100 steps without noise."""
    random = np.random.default_rng(0)
    truth = np.zeros(shape)
    for _ in range(12):
        truth[tuple(random.integers(4, n - 4) for n in shape)] = random.uniform(0.5, 1)
    truth = gaussian_filter(truth, 1.0) + 0.01
    psf = gaussian_filter(point(shape), 1.5)
    if skewed is not None:
        psf = psf + 0.7 * np.roll(psf, 4, skewed)
    psf /= psf.sum()
    otf = np.fft.fftn(np.fft.ifftshift(psf))
    blurred = np.fft.ifftn(np.fft.fftn(truth) * otf).real
    theirs = SRichardsonLucy(torch.from_numpy(psf), 100)(torch.from_numpy(blurred)).numpy()
    return [((found - truth) ** 2).mean() ** 0.5 / truth.std() for found in (theirs, own(blurred, otf, 100))]


for shape, skewed, least, most in [
    ((64, 64), None, 0.15, 0.12),
    ((32, 32, 32), None, 0.3, 0.3),
    ((32, 32, 32), 0, 0.42, 0.42),
    ((32, 32, 32), 2, 10.0, 0.45),
]:
    theirs, ours = errors(shape, skewed)
    kind = "symmetric" if skewed is None else f"skewed along axis {skewed}"
    print(f"SRichardsonLucy, {len(shape)} axes, psf {kind}: error {theirs:.3f}, multiplied out {ours:.3f}")
    assert theirs > least and ours < most
PY
