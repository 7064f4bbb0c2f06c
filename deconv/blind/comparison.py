r"""A restoration held against its input: a wrong psf shows in what it leaves unexplained, and in rings beside edges.

With the observation y, its noise :math:`\sigma`, the psf h and the restored x,

.. math::
    m = \mathrm{rms}(h * x - y) / \sigma, \qquad
    r = \frac{\langle |\nabla x| \rangle_F / \langle |\nabla x| \rangle_E}
             {\langle |\nabla y| \rangle_F / \langle |\nabla y| \rangle_E} ,

where E are the edges of y, and F the flat pixels within reach of the psf of one: what is restored there is new.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.convolution import convolve
from ..imaging.srgb import to_linear
from ..restore.psf_components import PsfComponents
from ..restore.psf_field import PsfField
from .observation import effective_noise

__all__ = ["compare", "why_not_better"]

# On six photographs of scikit-image under three kinds of blur, m is 0.8 to 1.0 with the true psf and up to 1.4 with a
# wrong one; r is 0.1 to 2.0 with the true psf, up to 2.8 with an estimated one that gained 8 dB, and up to 14 with
# wrong ones. A good restoration that is held back costs more than a bad one that gets through: only gross faults count.
_MISFIT, _RINGING = 1.5, 5.0

# Pixels on each side that are looked at; the share of the pixels that are edges, and of those that are flat.
_SIDE, _EDGES, _FLAT = 1024, 0.1, 0.5

# From here on a value counts as clipped, as a share of the greatest.
_CLIPPED = 0.99


def why_not_better(
    observed: Tensor, restored: Tensor, psf: Tensor, *, sigma: Tensor | float = 0.0, linear: bool = False
) -> str | None:
    """Why a restoration is not to be trusted although its psf was, or None.

    Parameters
    ----------
    observed, restored : Tensor
        `(1, C, H, W)`.
    psf : Tensor
        `(kh, kw)`, or where it varies over the field `(gy, gx, kh, kw)`.
    sigma : Tensor or float
        Standard deviation of the noise that the restoration was told, one or one for each channel: a coder's errors are
        more than what `effective_noise` sees.
    linear : bool
        They are sRGB values, and their linear light was blurred.

    Returns
    -------
    str or None
    """
    if psf.ndim == 4:
        psf = _of_middle(psf, observed.shape[2:])
    observed, restored = _middle(observed), _middle(restored)
    if linear:
        observed, restored = to_linear(observed), to_linear(restored)
    misfit, ringing = compare(observed, restored, psf, sigma)
    if misfit > _MISFIT:
        return f"the restored picture does not explain the blurred one: what is left is {misfit:.1f} times the noise"
    if ringing > _RINGING:
        return f"the restored picture rings: {ringing:.1f} times as much beside edges as was there"
    return None


def compare(observed: Tensor, restored: Tensor, psf: Tensor, sigma: Tensor | float = 0.0) -> tuple[float, float]:
    """What is left unexplained, over the noise, and how much there is beside edges, over what was there.

    Parameters
    ----------
    observed, restored : Tensor
        `(1, C, H, W)`, in the light in which they were blurred.
    psf, sigma
        As for `why_not_better`.

    Returns
    -------
    misfit, ringing : float
        0 for what cannot be told.
    """
    y, x = (_middle(image.detach().float()).mean(1, keepdim=True) for image in (observed, restored))
    size = psf.shape[-2:]
    inside = [slice(n // 2, side - n // 2) for n, side in zip(size, y.shape[2:], strict=True)]
    if any(place.stop - place.start < n for place, n in zip(inside, size, strict=True)):
        return 0.0, 0.0
    left = (_blurred(x, psf.to(y)) - y)[..., inside[0], inside[1]]
    unclipped = y[..., inside[0], inside[1]] < _CLIPPED * y.max()
    told = float(torch.as_tensor(sigma, dtype=torch.float64).mean())
    noise = max(float(effective_noise(y).mean()), told)
    misfit = float(left[unclipped].square().mean().sqrt()) / noise if noise > 0 and unclipped.any() else 0.0
    smooth = _gradient(F.avg_pool2d(y, 3, 1, 1))
    order = smooth.flatten().sort().values
    edges = smooth > order[int((1 - _EDGES) * (len(order) - 1))]
    beside = _within(max(size) // 2, edges) & (smooth < order[int(_FLAT * (len(order) - 1))])
    if not edges.any() or not beside.any():
        return misfit, 0.0
    new, old = (float(g[beside].mean() / g[edges].mean().clamp_min(1e-12)) for g in (_gradient(x), _gradient(y)))
    return misfit, new / max(old, 1e-12)


def _middle(image: Tensor) -> Tensor:
    top, left = (max(n - _SIDE, 0) // 2 for n in image.shape[2:])
    return image[..., top : top + _SIDE, left : left + _SIDE]


def _of_middle(field: Tensor, frame: Sequence[int]) -> Tensor:
    """The psfs of a grid over the frame on as fine a grid over its middle."""
    of_frame, sides = PsfField(field), [min(n, _SIDE) for n in frame]
    centres = [
        [(n - side) / 2 + (index + 0.5) * side / count - 0.5 for index in range(count)]
        for n, side, count in zip(frame, sides, field.shape, strict=False)
    ]
    psfs = [of_frame(place, frame) for place in itertools.product(*centres)]
    return torch.stack(psfs).reshape(field.shape)


def _blurred(image: Tensor, psf: Tensor) -> Tensor:
    if psf.ndim == 2:
        return convolve(image, psf, boundary="replicate")
    components = PsfComponents.of(psf)
    weights = components.weights(image.shape[2:], [(0, 0), (0, 0)])
    parts = zip(weights.to(image), components.components.to(image), strict=True)
    return torch.stack([convolve(weight * image, h, boundary="replicate") for weight, h in parts]).sum(0)


def _within(reach: int, pixels: Tensor) -> Tensor:
    """Which pixels have one of these at most so far away along each axis; `(1, 1, H, W)`, bool."""
    near = pixels.float()
    for size, margin in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
        near = F.max_pool2d(near, size, 1, margin)
    return near > 0


def _gradient(image: Tensor) -> Tensor:
    down, right = image[..., 1:, :-1] - image[..., :-1, :-1], image[..., :-1, 1:] - image[..., :-1, :-1]
    return torch.hypot(down, right)
