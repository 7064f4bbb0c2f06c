r"""Maximum likelihood of a causal blur, from the blurred image alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..imaging.arrays import as_image_batch
from ..imaging.convolution import psf_to_otf
from ..ops import causal_log_abs_det, inverse_conv2d

__all__ = ["fit_causal", "sparse_gradients"]

# Degrees of freedom of the default prior: tails heavier than Cauchy's.
_FREEDOM = 0.5
_LEAST_ANCHOR = 0.5
# The likelihood is flatter along the parameters of the blur than along those of softness; stretched, they are alike.
_STRETCH = 10.0
# Pixels that are mirrored around the scene before its softness is undone.
_MIRRORED = 16
# The waves that the softness is made of reach so far. With fewer, more of it is taken for the blur; with more, more of
# the blur for it.
_REACH = 4
_WAVES = tuple(
    (i, j)
    for i in range(_REACH + 1)
    for j in range(-_REACH, _REACH + 1)
    if (i, j) > (0, 0) and i * i + j * j <= _REACH**2
)
# The least squared scale of the default prior, over the mean square: where a third of the differences vanish, as they
# may in sharp pictures of whole grey values, the likeliest one is zero.
_LEAST_SCALE = 1e-8
# Stands for what is not finite; no image has so many nats a pixel.
_REFUSED = 1e6
# When the scale has settled, in its logarithm.
_SETTLED = 1e-9


class _CausalBlur(nn.Module):
    r"""A causal blur with positive taps of sum 1, of which the pixel's own, the anchor, is more than half.

    These are the blurs whose inverse is bounded, by :math:`1 / (2 t - 1)` for an anchor t. ``forward()`` gives the
    kernel `(1, 1, kh, kw)` as `deconv.causal_conv2d` takes it.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.anchor = nn.Parameter(torch.tensor(0.0))
        self.others = nn.Parameter(torch.zeros(kernel_size[0] * kernel_size[1] - 1))

    def forward(self) -> Tensor:
        anchor = _LEAST_ANCHOR + (1 - _LEAST_ANCHOR) * (_STRETCH * self.anchor).sigmoid()
        taps = torch.cat([(1 - anchor) * (_STRETCH * self.others).softmax(0), anchor[None]])
        return taps.view(1, 1, *self.kernel_size)


class _Softness(nn.Module):
    r"""The softness that a photograph has of its own, from lens and sensor: a symmetric filter S with

    .. math:: \log S(\omega) = - \sum_m c_m \, (1 - \cos m \cdot \omega) ,

    m being the whole-numbered vectors of a length of at most four, one of each opposite pair.

    ``forward(x)`` gives :math:`S^{-1} x`; `log_abs_det` is :math:`\log|\det S^{-1}|` of a pixel, the sum of all c,
    since each cosine is zero in the mean.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(len(_WAVES)))

    @property
    def log_abs_det(self) -> Tensor:
        return self.coefficients.sum()

    def forward(self, scene: Tensor) -> Tensor:
        wide = F.pad(scene, [_MIRRORED] * 4, "reflect")
        logarithm = self.coefficients.new_zeros(2 * _REACH + 1, 2 * _REACH + 1)
        logarithm[_REACH, _REACH] = self.log_abs_det
        for sign in (-1, 1):
            rows, columns = ([_REACH + sign * n for n in axis] for axis in zip(*_WAVES, strict=True))
            logarithm[rows, columns] = -self.coefficients / 2
        gain = psf_to_otf(logarithm, wide.shape[2:]).real.exp().to(scene)
        sharp = torch.fft.irfft2(gain * torch.fft.rfft2(wide), s=wide.shape[2:])
        return sharp[..., _MIRRORED:-_MIRRORED, _MIRRORED:-_MIRRORED]


def sparse_gradients(image: Tensor) -> Tensor:
    r"""Log-likelihood of an image under heavy-tailed differences of neighbours, the mean of both directions.

    Each is a proper density of the image: differences along an axis have a unit triangular matrix. They follow
    Student's distribution with half a degree of freedom, at the scale at which they are likeliest, so that the unit of
    the image does not matter.

    image: `(B, C, H, W)`. Returns a scalar, in double precision.
    """
    total = image.new_zeros((), dtype=torch.float64)
    for axis in (-2, -1):
        squared = image.diff(dim=axis).double().square()
        scale = torch.maximum(_likeliest_scale(squared.detach()), _LEAST_SCALE * squared.mean().clamp_min(1e-20))
        surprise = (_FREEDOM + 1) / 2 * (squared / (_FREEDOM * scale)).log1p() + scale.log() / 2
        total = total - surprise.mean() * image.numel() / 2
    return total


def _likeliest_scale(squared: Tensor) -> Tensor:
    """The squared scale at which values of these squares are likeliest under Student's distribution."""
    logarithm = squared.mean().clamp_min(1e-20).log()
    for _ in range(50):  # Newton's method
        spread = _FREEDOM * logarithm.exp()
        share = squared / (spread + squared)
        excess, slope = (_FREEDOM + 1) * share.mean() - 1, (_FREEDOM + 1) * (share * (1 - share)).mean()
        step = (excess / slope.clamp_min(1e-20)).clamp(-2, 2)
        logarithm = logarithm + step
        if float(step.abs()) < _SETTLED:
            break
    return logarithm.exp()


def fit_causal(
    image: Any,
    kernel_size: int | tuple[int, int],
    log_prior: Callable[[Tensor], Tensor] = sparse_gradients,
    *,
    softness: bool = True,
    determinant: bool = True,
    num_iter: int = 200,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    r"""The causal blur A under which an image y = A S x is likeliest, x being distributed as `log_prior` says.

    .. math:: \max_{A, S} \; \log p(S^{-1} A^{-1} y) + \log |\det A^{-1}| + \log |\det S^{-1}|

    by descent along its gradient (L-BFGS) through the exact inverse. The determinant is what makes this a likelihood:
    without it no blur at all wins, as that leaves the smoothest x. S is the softness that the scene would have without
    the blur, a symmetric filter of 24 parameters: the magnitude of a causal blur of minimum phase is tied to its phase,
    that of a symmetric one is not, which a prior that is not Gaussian can see. What asymmetry the photograph has of its
    own counts as blur: turned by half a turn before it is blurred, it errs to the other side. No noise is modelled.

    Parameters
    ----------
    image: array or tensor, one image or a batch under the same blur, dark outside of its frame.
    kernel_size: of the causal kernel, a number or `(kh, kw)`, rows above and columns to the left included.
    log_prior: maps images `(B, C, H, W)` to their log density, summed or one for each sample.
    softness: False for S = 1: the scene is known to be as soft as the prior expects, or not soft at all.
    determinant: False leaves the determinant out, and S, to see what it is for.
    num_iter: steps, at most; fewer where nothing gets any better.
    callback: called as ``callback(iteration, kernel)``, stops by returning True.

    Returns
    -------
    Kernel `(kh, kw)`, positive, of sum 1, its anchor ``[-1, -1]`` above one half: `weight[0, 0]` of
    `deconv.causal_conv2d`.

    Raises
    ------
    TypeError, ValueError: naming the argument.
    """
    from scipy.optimize import minimize

    size = tuple(kernel_size) if isinstance(kernel_size, tuple | list) else (kernel_size, kernel_size)
    batch, _ = as_image_batch(image)
    if len(size) != 2 or any(not isinstance(n, int) or n < 1 for n in size) or size == (1, 1):
        raise ValueError(f"kernel_size: expected a whole number from 2 on, or two, given {kernel_size!r}")
    if any(s > n for s, n in zip(size, batch.shape[2:], strict=True)):
        raise ValueError(f"kernel_size: {size} is larger than the image, {tuple(batch.shape[2:])}")
    if softness and determinant and min(batch.shape[2:]) <= _MIRRORED:
        raise ValueError(f"image: expected more than {_MIRRORED} pixels a side, given {tuple(batch.shape[2:])}")
    if num_iter < 1:
        raise ValueError(f"num_iter: expected at least 1, given {num_iter}")
    stack = batch.detach().reshape(-1, 1, *batch.shape[2:])
    blur = _CausalBlur(size).double()
    soft = _Softness().double() if softness and determinant else None
    parameters = [*blur.parameters(), *(soft.parameters() if soft else ())]

    def kernel_at(point: np.ndarray) -> Tensor:
        vector_to_parameters(torch.from_numpy(point), parameters)
        return blur()

    @torch.enable_grad()
    def likelihood(point: np.ndarray) -> Tensor:
        kernel = kernel_at(point).to(stack)
        scene = inverse_conv2d(stack, kernel)
        gain = -len(stack) * causal_log_abs_det(kernel, *scene.shape[2:]).double() if determinant else 0.0
        if soft is not None:
            scene, gain = soft(scene), gain + scene.numel() * soft.log_abs_det
        return (log_prior(scene.view_as(batch)).sum() + gain) / stack.numel()

    def surprise(point: np.ndarray) -> tuple[float, np.ndarray]:
        try:
            value = likelihood(point)
            slope = parameters_to_vector(torch.autograd.grad(value, parameters)).numpy()
            if np.isfinite(slope).all() and torch.isfinite(value):
                return -float(value.detach()), -slope
        except FloatingPointError:  # the inverse has overflown
            pass
        return _REFUSED, np.zeros_like(point)  # a step too long: the line search takes a shorter one

    steps = itertools.count()

    def report(point: np.ndarray) -> None:
        if callback is not None and callback(next(steps), kernel_at(point).detach()[0, 0].to(batch)):
            raise StopIteration

    start = parameters_to_vector(parameters).detach().numpy()
    if not torch.isfinite(likelihood(start).detach()):
        raise ValueError("log_prior: not finite where the descent begins")
    options = {"maxiter": num_iter, "maxfun": 4 * num_iter, "maxcor": 30, "ftol": 1e-12, "gtol": 1e-7}
    found = minimize(surprise, start, jac=True, method="L-BFGS-B", callback=report, options=options)
    return kernel_at(found.x).detach()[0, 0].to(batch)
