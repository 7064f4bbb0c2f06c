#!/usr/bin/env bash
# ModOpt 1.7.2: its measures of quality stretch both images to 0 to 1 first, so that one a tenth as bright, with an offset,
# counts as perfect; and an outlier in the restored image counts against all of it.
#
# mse, psnr, snr, nrmse and ssim of modopt.math.metrics do so, though documented as the measures of those names.
# modopt.math.stats.mse and its psnr with method="wiki" are those of the images as they are.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 modopt==1.7.2 <<'PY'
import numpy as np
from modopt.math import metrics, stats

random = np.random.default_rng(0)
truth = random.random((64, 64))
truth = (truth - truth.min()) / np.ptp(truth)
noisy = truth + 0.01 * random.normal(size=truth.shape)
outlier = noisy.copy()
outlier[0, 0] = 3


def usual(image):
    return -10 * np.log10(((image - truth) ** 2).mean())


for name, image, theirs, right in [
    ("noise of 1 %", noisy, 37, 40),
    ("a tenth of it plus 3", truth / 10 + 3, 280, -8.2),
    ("noise of 1 %, one pixel at 3", outlier, 8.3, 28),
]:
    found = metrics.psnr(image, truth)
    print(f"{name}: PSNR {found:.1f} dB, in the usual sense {usual(image):.1f} dB")
    assert abs(found - theirs) < 20 * (theirs > 100) + 2 and abs(usual(image) - right) < 1.5
assert metrics.mse(truth / 10 + 3, truth) < 1e-28
assert abs(stats.psnr(truth, outlier, method="wiki", max_pix=1) - usual(outlier)) < 1e-6
PY
