"""Point spread functions: tensors `(kh, kw)`, float32, sum 1, centred on pixel ``((kh - 1) // 2, (kw - 1) // 2)``.

Shapes with an edge are integrated over each pixel, so their parameters need not be whole numbers; smooth ones are
sampled at the pixel centres, which keeps their transfer function. A size asked for may be even: the array then ends
with a row of zeros, and the blur moves nothing.
"""

from .atmosphere import kolmogorov, moffat
from .beads import Beads, from_beads
from .confocal import confocal
from .microscope import gibson_lanni, vectorial
from .moments import widths
from .optics import airy, defocus, zernike, zernike_polynomial
from .resample import resample
from .shake import camera_shake, inertial_shake, polyline_shake
from .shapes import box, disk, gaussian, motion
from .shift import centre
from .spec import forms, parse
from .stored import Normalisation, from_file, normalise

__all__ = [
    "Beads",
    "Normalisation",
    "airy",
    "box",
    "camera_shake",
    "centre",
    "confocal",
    "defocus",
    "disk",
    "forms",
    "from_beads",
    "from_file",
    "gaussian",
    "gibson_lanni",
    "inertial_shake",
    "kolmogorov",
    "moffat",
    "motion",
    "normalise",
    "parse",
    "polyline_shake",
    "resample",
    "vectorial",
    "widths",
    "zernike",
    "zernike_polynomial",
]
