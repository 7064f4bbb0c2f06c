#!/usr/bin/env bash
# Asked for an array of even size, five psf generators put the centre in three places: GalSim 2.8.5 and poppy 1.1.2 between
# pixels, hcipy 0.7.1 and prysm 0.21.1 on pixel n/2, psfmodels 0.3.3 a sixth of a pixel before the middle.
#
# psfmodels samples each pixel three times and averages, and with an even number of pixels the middle one of the fine
# samples is no middle. So a psf made by one and used where another is expected moves the restored image by a part of a
# pixel, and nothing says so: the arrays look alike. Odd sizes agree.
. "$(dirname "$0")/environment.sh"
# prysm and poppy import pkg_resources, which later releases of setuptools leave out.
with_packages numpy==2.4.6 "setuptools<80" psfmodels==0.3.3 GalSim==2.8.5 poppy==1.1.2 hcipy==0.7.1 prysm==0.21.1 <<'PY'
import galsim
import hcipy
import numpy as np
import poppy
import psfmodels
from prysm.coordinates import cart_to_polar, make_xy_grid
from prysm.geometry import circle
from prysm.propagation import focus


def by_poppy():
    system = poppy.OpticalSystem(oversample=1)
    system.add_pupil(poppy.CircularAperture(radius=1.0))
    system.add_detector(pixelscale=0.02, fov_pixels=32)
    return system.calc_psf(1e-6)[0].data


def by_hcipy():
    pupil, focal = hcipy.make_pupil_grid(64), hcipy.make_focal_grid(4, 4)
    wave = hcipy.Wavefront(hcipy.make_circular_aperture(1)(pupil))
    return np.asarray(hcipy.FraunhoferPropagator(pupil, focal).forward(wave).power.shaped)


def by_prysm():
    x, y = make_xy_grid(64, diameter=2)
    return np.abs(focus(circle(1, cart_to_polar(x, y)[0]), 1)) ** 2


psfs = {
    "psfmodels": psfmodels.make_psf(1, nx=32, dxy=0.1, dz=0.25, NA=1.2)[0],
    "GalSim": galsim.Airy(lam=500, diam=1.0).drawImage(nx=32, ny=32, scale=0.02).array,
    "poppy": by_poppy(),
    "hcipy": by_hcipy(),
    "prysm": by_prysm(),
}


def centre(psf):
    """Along the first axis, from n/2: the phase of the lowest frequency tells where a symmetric psf is."""
    n = psf.shape[0]
    wave = np.exp(-2j * np.pi * (np.arange(n) - n / 2) / n)
    return -float(np.angle((psf.sum(1) * wave).sum())) * n / (2 * np.pi)


for name, psf in psfs.items():
    n = psf.shape[0]
    assert n % 2 == 0
    print(f"{name:10} {n} x {n}: centre at n/2 {centre(psf):+.2f}")
offsets = [centre(psf) for psf in psfs.values()]
assert np.allclose(offsets, [-2 / 3, -0.5, -0.5, 0.0, 0.0], atol=0.03), offsets
PY
