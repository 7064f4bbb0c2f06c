r"""Psfs of a grid registered with each other.

Shifting a psf one way and the latent image the other way explains an observation as well, so psfs that were estimated
each on its own tile lie anywhere, and an image restored with them is torn, or doubled, where tiles meet. From the shift
:math:`s_{ij}` between neighbours, where their correlation is greatest, all are moved by the least squares

.. math:: \min_t \sum_{ij} c_{ij} \, | t_j - t_i - s_{ij} |^2, \qquad \sum_i t_i = 0,

each weighted by how well the two fit.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from ..imaging.convolution import fast_length
from ..imaging.psf.shift import shifted

__all__ = ["registered", "shift_between"]

# Shifts are found in steps of this part of a pixel; by less than one nothing is moved, which would cost sharpness.
_STEPS = 16
_LEAST = 0.1


def registered(psfs: Tensor) -> Tensor:
    """Psfs `(gy, gx, kh, kw)` moved onto each other, to a part of a pixel; what leaves the window is lost.

    Their mean position stays; each has sum 1, and nothing negative.
    """
    rows, columns = psfs.shape[:2]
    places = list(itertools.product(range(rows), range(columns)))
    pairs = [(p, q) for p in places for q in ((p[0] + 1, p[1]), (p[0], p[1] + 1)) if q in places]
    if not pairs:
        return psfs
    equations, sought = torch.zeros(len(pairs), len(places), dtype=torch.float64), []
    for number, (p, q) in enumerate(pairs):
        shift, fit = shift_between(psfs[p], psfs[q])
        equations[number, places.index(q)], equations[number, places.index(p)] = fit, -fit
        sought.append([fit * shift[0], fit * shift[1]])
    # Of all solutions that of least norm, whose mean is zero.
    moves = torch.linalg.pinv(equations) @ torch.tensor(sought, dtype=torch.float64)
    moved = []
    for (p, q), move in zip(places, moves.tolist(), strict=True):
        if max(map(abs, move)) < _LEAST:
            moved.append(psfs[p, q])
            continue
        psf = shifted(psfs[p, q].cpu(), [-move[0], -move[1]]).clamp_min(0)
        moved.append((psf / psf.sum()).to(psfs))
    return torch.stack(moved).reshape(psfs.shape)


def shift_between(first: Tensor, second: Tensor) -> tuple[tuple[float, float], float]:
    """By how much the second psf is to the lower right of the first, in pixels, and their normalised correlation
    there."""
    a, b = first.double().cpu(), second.double().cpu()
    grid = [fast_length(2 * n) for n in a.shape]
    spectrum = torch.fft.fft2(b, s=grid) * torch.fft.fft2(a, s=grid).conj()
    whole = divmod(int(torch.fft.ifft2(spectrum).real.argmax()), grid[1])
    whole = tuple(w - n if w > n // 2 else w for w, n in zip(whole, grid, strict=True))
    offsets = torch.arange(-_STEPS, _STEPS + 1, dtype=torch.float64) / _STEPS
    waves = []
    for w, n in zip(whole, grid, strict=True):
        frequencies = torch.fft.fftfreq(n, dtype=torch.float64)
        waves.append(torch.exp(2j * torch.pi * (w + offsets)[:, None] * frequencies))
    near = (waves[0] @ spectrum @ waves[1].T).real / (grid[0] * grid[1])
    row, column = divmod(int(near.argmax()), len(offsets))
    shift = (whole[0] + float(offsets[row]), whole[1] + float(offsets[column]))
    return shift, max(float(near.max() / (a.norm() * b.norm())), 1e-3)
