#!/usr/bin/env bash
# pyotf 0.0.3: of an odd number of planes, the one in focus is the one after the middle, in both of its models.
#
# Restored with such a psf, a stack comes back a plane higher or lower. With an even number it is plane n / 2. Without
# vectorial corrections SheppardPSF takes no notice of `condition`, which changes HanserPSF by up to 7 % of the peak.
. "$(dirname "$0")/environment.sh"
with_packages numpy==2.4.6 scipy==1.17.1 pyotf==0.0.3 <<'PY'
import numpy as np
from pyotf.otf import HanserPSF, SheppardPSF

microscope = dict(wl=520, na=1.2, ni=1.33, res=80, size=64, zres=160)
for model in (HanserPSF, SheppardPSF):
    for planes in (10, 11, 12, 13):
        focus = int(model(**microscope, zsize=planes).PSFi.max((1, 2)).argmax())
        print(f"{model.__name__}, {planes} planes: in focus is {focus} of 0 to {planes - 1}")
        assert focus == (planes + 1) // 2

for model, corrections, changes in (
    (HanserPSF, "none", True),
    (HanserPSF, "total", True),
    (SheppardPSF, "none", False),
    (SheppardPSF, "total", True),
):
    options = dict(**microscope, zsize=24, vec_corr=corrections)
    psfs = [model(**options, condition=condition).PSFi for condition in ("none", "herschel")]
    none, herschel = (psf / psf.sum() for psf in psfs)
    change = abs(herschel - none).max() / none.max()
    print(f"{model.__name__}, corrections {corrections}: condition changes it by {change:.3f} of the peak")
    assert (change > 0.03) == changes and (changes or change == 0)
PY
