r"""Maximum likelihood of a causal blur, from the blurred image alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..imaging.arrays import as_image_batch
from ..ops import causal_log_abs_det, inverse_conv2d

__all__ = ["fit_causal", "sparse_gradients"]

# Degrees of freedom of the default prior: tails heavier than Cauchy's.
_FREEDOM = 0.5
_LEAST_ANCHOR = 0.5
# Step of Adam for the blur, and for the softness, whose few numbers weigh on every pixel.
_RATE, _SOFTNESS_RATE = 0.08, 0.05
# Pixels that are mirrored around the scene before its softness is undone.
_MIRRORED = 16
# The waves that the softness is made of. With those of one row and column alone, more of it is taken for the blur.
_WAVES = tuple((i, j) for i in range(3) for j in range(-2, 3) if (i, j) > (0, 0))


class _CausalBlur(nn.Module):
    r"""A causal blur with positive taps of sum 1, of which the pixel's own, the anchor, is more than half.

    These are the blurs whose inverse is bounded, by :math:`1 / (2 t - 1)` for an anchor t. ``forward()`` gives the
    kernel `(1, 1, kh, kw)` as `deconv.causal_conv2d` takes it.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.anchor = nn.Parameter(torch.tensor(1.0))
        self.others = nn.Parameter(torch.zeros(kernel_size[0] * kernel_size[1] - 1))

    def forward(self) -> Tensor:
        anchor = _LEAST_ANCHOR + (1 - _LEAST_ANCHOR) * self.anchor.sigmoid()
        taps = torch.cat([(1 - anchor) * self.others.softmax(0), anchor[None]])
        return taps.view(1, 1, *self.kernel_size)


class _Softness(nn.Module):
    r"""The softness that a photograph has of its own, from lens and sensor: a symmetric filter S with

    .. math:: \log S(\omega) = - \sum_m c_m \, (1 - \cos m \cdot \omega) ,

    m being the whole-numbered vectors of at most two rows and columns, one of each opposite pair.

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
        rows, columns = (
            2 * math.pi * frequency(n, dtype=scene.dtype, device=scene.device)
            for n, frequency in zip(wide.shape[2:], (torch.fft.fftfreq, torch.fft.rfftfreq), strict=True)
        )
        gain = sum(
            c * (1 - (i * rows[:, None] + j * columns).cos())
            for c, (i, j) in zip(self.coefficients, _WAVES, strict=True)
        ).exp()
        sharp = torch.fft.irfft2(gain * torch.fft.rfft2(wide), s=wide.shape[2:])
        return sharp[..., _MIRRORED:-_MIRRORED, _MIRRORED:-_MIRRORED]


def sparse_gradients(image: Tensor) -> Tensor:
    r"""Log-likelihood of an image under heavy-tailed differences of neighbours, the mean of both directions.

    Each is a proper density of the image: differences along an axis have a unit triangular matrix. They follow
    Student's distribution with half a degree of freedom, at the scale at which they are likeliest, so that the unit of
    the image does not matter.

    image: `(B, C, H, W)`. Returns a scalar.
    """
    total = image.new_zeros(())
    for axis in (-2, -1):
        slopes = image.diff(dim=axis)
        with torch.no_grad():
            squared = slopes.square()
            scale = squared.mean().clamp_min(1e-20)
            for _ in range(20):  # expectation-maximisation
                scale = ((_FREEDOM + 1) * squared / (_FREEDOM + squared / scale)).mean().clamp_min(1e-20)
        surprise = (_FREEDOM + 1) / 2 * (slopes.square() / (_FREEDOM * scale)).log1p() + scale.log() / 2
        total = total - surprise.mean() * image.numel() / 2
    return total


@torch.enable_grad()
def fit_causal(
    image: Any,
    kernel_size: int | tuple[int, int],
    log_prior: Callable[[Tensor], Tensor] = sparse_gradients,
    *,
    softness: bool = True,
    determinant: bool = True,
    num_iter: int = 300,
    callback: Callable[[int, Tensor], bool | None] | None = None,
) -> Tensor:
    r"""The causal blur A under which an image y = A S x is likeliest, x being distributed as `log_prior` says.

    .. math:: \max_{A, S} \; \log p(S^{-1} A^{-1} y) + \log |\det A^{-1}| + \log |\det S^{-1}|

    by gradient descent through the exact inverse. The determinant is what makes this a likelihood: without it no blur
    at all wins, as that leaves the smoothest x. S is the softness that the scene would have without the blur, a
    symmetric filter of twelve parameters: the magnitude of a causal blur of minimum phase is tied to its phase, that of
    a symmetric one is not, which a prior that is not Gaussian can see. No noise is modelled.

    Parameters
    ----------
    image: array or tensor, one image or a batch under the same blur, dark outside of its frame.
    kernel_size: of the causal kernel, a number or `(kh, kw)`, rows above and columns to the left included.
    log_prior: maps images `(B, C, H, W)` to their log density, summed or one for each sample.
    softness: False for S = 1: the prior knows how soft photographs are, or the scene is not soft at all.
    determinant: False leaves the determinant out, and S, to see what it is for.
    num_iter: steps of Adam.
    callback: called as ``callback(iteration, kernel)``, stops by returning True.

    Returns
    -------
    Kernel `(kh, kw)`, positive, of sum 1, its anchor ``[-1, -1]`` above one half: `weight[0, 0]` of
    `deconv.causal_conv2d`.

    Raises
    ------
    TypeError, ValueError: naming the argument.
    """
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
    channels = batch.shape[1]
    stack = batch.detach().reshape(-1, 1, *batch.shape[2:])
    blur = _CausalBlur(size).to(batch)
    soft = _Softness().to(batch) if softness and determinant else None
    groups = [{"params": blur.parameters()}]
    if soft is not None:
        groups.append({"params": soft.parameters(), "lr": _SOFTNESS_RATE})
    optimiser = torch.optim.Adam(groups, lr=_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, num_iter)
    for iteration in range(num_iter):
        kernel = blur()
        scene = inverse_conv2d(stack, kernel)
        gain = -len(stack) * causal_log_abs_det(kernel, *scene.shape[2:]) if determinant else 0.0
        if soft is not None:
            scene, gain = soft(scene), gain + scene.numel() * soft.log_abs_det
        evidence = log_prior(scene.view(-1, channels, *scene.shape[2:])).sum() + gain
        optimiser.zero_grad()
        (-evidence / stack.numel()).backward()
        optimiser.step()
        schedule.step()
        if callback is not None and callback(iteration, blur().detach()[0, 0]):
            break
    return blur().detach()[0, 0]
