r"""Maximum likelihood of a causal blur, from the blurred image alone."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ..choices import check_choice, pair_of_sizes
from ..foreign_arrays import as_tensor
from ..imaging.arrays import as_image_batch
from ..ops import causal_conv2d, causal_log_abs_det, inverse_conv2d
from .intrinsic_blur import MIRRORED, IntrinsicBlur

__all__ = ["causal_to_psf", "fit_causal", "sparse_gradients"]

_LEAST_ANCHOR = 0.5
# Rows above and columns on the left that do not count: where it is not known what lies outside, the inverse settles
# in them.
_BOUNDARIES = {"zero": 0, "unknown": 16}
# The likelihood is flatter along the parameters of the causal blur than along those of the intrinsic one; stretched,
# they are alike.
_STRETCH = 10.0
# The least squared scale of the default prior, over the mean square: where half of the differences vanish, as they may
# in sharp pictures of whole grey values, the likeliest one is zero.
_LEAST_SCALE = 1e-8
# Stands for what is not finite; no image has so many nats a pixel.
_REFUSED = 1e6
# Weight, for each pixel, of the density of intrinsic blurs: neither are pixels independent nor is their density more
# than roughly right, so that its share must not vanish with their number.
_INTRINSIC_WEIGHT = 1e-4
# When the scale has settled, in its logarithm.
_SETTLED = 1e-9


class _CausalBlur(nn.Module):
    r"""A causal blur with positive taps of sum 1, of which the pixel's own, the anchor, is more than half.

    These are the blurs whose inverse is bounded, by :math:`1 / (2 t - 1)` for an anchor t. ``forward()`` gives the
    kernel `(1, 1, kh, kw)` as `deconv.causal_conv2d` takes it. Its parameters live on the CPU, as L-BFGS does.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        count = kernel_size[0] * kernel_size[1]
        self.anchor = nn.Parameter(torch.zeros((), dtype=torch.float64, device="cpu"))
        self.others = nn.Parameter(torch.zeros(count - 1, dtype=torch.float64, device="cpu"))

    def forward(self) -> Tensor:
        anchor = _LEAST_ANCHOR + (1 - _LEAST_ANCHOR) * (_STRETCH * self.anchor).sigmoid()
        taps = torch.cat([(1 - anchor) * (_STRETCH * self.others).softmax(0), anchor[None]])
        return taps.view(1, 1, *self.kernel_size)


def causal_to_psf(kernel: Any) -> Tensor:
    """Centred psf of a causal kernel: the blur that `fit_causal` finds, for every function that takes a psf.

    A causal kernel is stored in correlation order with its anchor last; a psf is the response to a point, here at the
    centre, which leaves the image where it is.

    Parameters
    ----------
    kernel : array_like
        `(kh, kw)`, ``weight[0, 0]`` of `deconv.causal_conv2d` for the corner ``"tl"``.

    Returns
    -------
    Tensor
        `(2 kh - 1, 2 kw - 1)`, zero above and on the left of its centre, which is the anchor.

    Raises
    ------
    TypeError, ValueError
        Not floats of two axes.

    Examples
    --------
    >>> import torch
    >>> causal_to_psf(torch.tensor([[0.25, 0.75]]))
    tensor([[0.0000, 0.7500, 0.2500]])
    """
    taps, _ = as_tensor(kernel, name="kernel")
    if taps.ndim != 2 or taps.numel() == 0 or not taps.is_floating_point():
        raise ValueError(f"kernel: expected floats (kh, kw), given {taps.dtype} of shape {tuple(taps.shape)}")
    kh, kw = taps.shape
    impulse = taps.new_zeros(1, 1, 2 * kh - 1, 2 * kw - 1)
    impulse[..., kh - 1, kw - 1] = 1
    return causal_conv2d(impulse, taps[None, None])[0, 0]


def sparse_gradients(image: Tensor) -> Tensor:
    r"""Log-likelihood of an image under heavy-tailed differences of neighbours, the mean of both directions.

    Each is a proper density of the image: differences along an axis have a unit triangular matrix. They follow
    Cauchy's distribution, at the scale at which they are likeliest, so that the unit of the image does not matter.

    Parameters
    ----------
    image : Tensor
        `(B, C, H, W)`.

    Returns
    -------
    Tensor
        A scalar, in double precision.
    """
    total = image.new_zeros((), dtype=torch.float64)
    for axis in (-2, -1):
        squared = image.diff(dim=axis).double().square()
        scale = torch.maximum(_likeliest_scale(squared.detach()), _LEAST_SCALE * squared.mean().clamp_min(1e-20))
        negative_log = (squared / scale).log1p() + scale.log() / 2
        total = total - negative_log.mean() * image.numel() / 2
    return total


def _likeliest_scale(squared: Tensor) -> Tensor:
    """The squared scale at which values of these squares are likeliest under Cauchy's distribution."""
    logarithm = squared.mean().clamp_min(1e-20).log()
    for _ in range(50):  # Newton's method
        share = squared / (logarithm.exp() + squared)
        step = ((share.mean() - 0.5) / (share * (1 - share)).mean().clamp_min(1e-20)).clamp(-2, 2)
        logarithm = logarithm + step
        if float(step.abs()) < _SETTLED:
            break
    return logarithm.exp()


def fit_causal(
    image: Any,
    kernel_size: int | tuple[int, int],
    log_prior: Callable[[Tensor], Tensor] = sparse_gradients,
    *,
    boundary: Literal["zero", "unknown"] = "zero",
    intrinsic_blur: bool = True,
    determinant: bool = True,
    num_iter: int = 300,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    r"""Fit the causal blur A under which an image y = A S x is likeliest, x being distributed as `log_prior` says.

    .. math:: \max_{A, S} \; \log p(S^{-1} A^{-1} y) + \log |\det A^{-1}| + \log |\det S^{-1}| + w \log p(S)

    by descent along its gradient (L-BFGS) through the exact inverse. The first determinant is what makes this a
    likelihood: without it no blur at all wins, as that leaves the smoothest x.

    S is the blur that the latent image would have without A, a filter of 24 symmetric parameters and 24 of asymmetry,
    fitted in two passes. The first has w = 0 and a symmetric S: the magnitude of a causal blur of minimum phase is tied
    to its phase, that of a symmetric filter is not, which a prior that is not Gaussian can see. But the asymmetry of
    the photograph counts as causal blur there. So the second goes on with all of S, and with p(S), its distribution
    over photographs, at a weight w of 1e-4 for each pixel; only from the end of the first does it find the narrow peak
    of a sharp picture in whole grey values. As p(S) was measured under `sparse_gradients`, any other prior has the
    first pass only. No noise is modelled.

    Parameters
    ----------
    image : array_like
        One image or a batch under the same blur; see `deconv.imaging.arrays`.
    kernel_size : int or tuple of int
        Of the causal kernel, a number or `(kh, kw)`, rows above and columns to the left included.
    log_prior : callable
        Maps images `(B, C, H, W)` to their log density, summed or one for each sample.
    boundary : {"zero", "unknown"}
        What lies outside the frame. ``"zero"``: nothing, as in `deconv.causal_conv2d`; the sharp edges above and on the
        left then tell most of the blur. ``"unknown"``: the image was cut out of a larger one; its first 16 rows and
        columns, in which the inverse settles, do not count. The inside alone gives a kernel to 3 to 26 % only.
    intrinsic_blur : bool
        Fit S. False for S = 1: the latent image is known to be as blurred as the prior expects, or not at all.
    determinant : bool
        False leaves the determinant out, and S, to see what it is for.
    num_iter : int
        Steps of both passes, at most; fewer where nothing gets any better.
    callback : callable, optional
        Called as ``callback(iteration, kernel)``, stops by returning True.

    Returns
    -------
    Tensor
        The kernel `(kh, kw)` in correlation order, ``weight[0, 0]`` of `deconv.causal_conv2d`: positive, of sum 1, its
        anchor ``[-1, -1]`` above one half; dtype and device of the image. `causal_to_psf` makes a centred psf of it,
        such as `fit` and `estimate` return.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.
    """
    if boundary == "dark":
        warnings.warn('fit_causal: boundary="dark" is now called "zero"', DeprecationWarning, stacklevel=2)
        boundary = "zero"
    check_choice("boundary", boundary, _BOUNDARIES)
    size = pair_of_sizes(kernel_size)
    batch, _ = as_image_batch(image)
    if size == (1, 1):
        raise ValueError(f"kernel_size: expected a whole number from 2 on, or two, given {kernel_size!r}")
    if any(s > n for s, n in zip(size, batch.shape[2:], strict=True)):
        raise ValueError(f"kernel_size: {size} is larger than the image, {tuple(batch.shape[2:])}")
    settling = _BOUNDARIES[boundary]
    own = IntrinsicBlur() if intrinsic_blur and determinant else None
    least = settling + (0 if own is None else MIRRORED)
    if min(batch.shape[2:]) <= least:
        raise ValueError(f"image: expected more than {least} pixels a side, given {tuple(batch.shape[2:])}")
    if num_iter < 1:
        raise ValueError(f"num_iter: expected at least 1, given {num_iter}")
    stack = batch.detach().reshape(-1, 1, *batch.shape[2:])
    blur = _CausalBlur(size)

    def likelihood() -> Tensor:
        weight = blur().to(stack)
        latent = inverse_conv2d(stack, weight)[..., settling:, settling:]
        gain: Tensor | float = 0.0
        if determinant:
            gain = -len(stack) * causal_log_abs_det(weight, *latent.shape[2:]).double()
        if own is not None:
            latent, gain = own(latent), gain + latent.numel() * own.log_abs_det
        return (log_prior(latent.reshape(*batch.shape[:2], *latent.shape[2:])).sum() + gain) / latent.numel()

    def kernel() -> Tensor:
        return blur().detach()[0, 0].to(batch)

    with torch.no_grad():
        if not torch.isfinite(likelihood()):
            raise ValueError("log_prior: not finite where the descent begins")
    steps = itertools.count()

    def goes_on() -> bool:
        step = next(steps)
        return not (callback is not None and callback(step, kernel())) and step + 1 < num_iter

    parameters = [*blur.parameters(), *(own.parameters() if own is not None else ())]
    unfinished = _ascend(likelihood, parameters, goes_on)
    if unfinished and own is not None and log_prior is sparse_gradients:
        own.asymmetry.requires_grad_()
        _ascend(lambda: likelihood() + _INTRINSIC_WEIGHT * own.log_prob(), parameters, goes_on)
    return kernel()


def _ascend(objective: Callable[[], Tensor], parameters: list[nn.Parameter], goes_on: Callable[[], bool]) -> bool:
    """Climb to a maximum of ``objective()`` by L-BFGS, over those of `parameters` that are to be trained.

    ``goes_on()`` is asked after each step. Returns its last word.
    """
    from scipy.optimize import minimize

    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    going = True

    def negative(point: np.ndarray) -> tuple[float, np.ndarray]:
        vector_to_parameters(torch.from_numpy(point), parameters)
        try:
            with torch.enable_grad():
                value = objective()
            gradient = parameters_to_vector(torch.autograd.grad(value, parameters)).numpy()
            if np.isfinite(gradient).all() and torch.isfinite(value):
                return -float(value.detach()), -gradient
        except FloatingPointError:  # the inverse has overflowed
            pass
        return _REFUSED, np.zeros_like(point)  # a step too long: the line search takes a shorter one

    def report(point: np.ndarray) -> None:
        nonlocal going
        vector_to_parameters(torch.from_numpy(point), parameters)
        going = goes_on()
        if not going:
            raise StopIteration

    start = parameters_to_vector(parameters).detach().numpy()
    options = {"maxcor": 30, "ftol": 1e-9, "gtol": 1e-6}
    found = minimize(negative, start, jac=True, method="L-BFGS-B", callback=report, options=options)
    vector_to_parameters(torch.from_numpy(found.x), parameters)
    return going
