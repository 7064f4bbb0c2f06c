#!/usr/bin/env bash
# scipy 1.17.1: the valid part of an image under a psf larger than the image is that of the psf under the image.
#
# In mode "valid", `scipy.signal.convolve`, `fftconvolve` and `convolve2d` exchange their arguments where the second is the
# larger one along both axes. An image of 8 x 8 under a psf of 15 x 15 has no pixel that the psf sees completely; the result
# has 8 x 8, as many as the image, without a warning. torch refuses it.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 torch==2.13.0 <<'PY'
import numpy as np
import torch
from scipy import signal

image, psf = np.random.default_rng(0).random((8, 8)), np.full((15, 15), 1 / 225)
for name in ("convolve", "fftconvolve", "convolve2d"):
    result = getattr(signal, name)(image, psf, mode="valid")
    print(f"scipy.signal.{name:12} 8 x 8 under 15 x 15: {result.shape}, all equal: {bool(np.ptp(result) < 1e-12)}")
    assert result.shape == (8, 8)
    assert np.allclose(result, image.sum() / 225)
try:
    torch.nn.functional.conv2d(torch.from_numpy(image)[None, None], torch.from_numpy(psf)[None, None])
    raise SystemExit("torch takes kernels larger than the image now")
except RuntimeError as error:
    print("torch:", str(error).splitlines()[0][:100])
PY
