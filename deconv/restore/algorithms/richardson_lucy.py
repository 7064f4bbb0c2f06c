"""Maximum likelihood for photon counts: the method of microscopes and telescopes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from typing_extensions import Unpack

from ...choices import check_choice
from ...ops.tracking import is_tracked
from ..agreement_of_halves import AgreementOfHalves, reciprocal
from ..arguments import check_weight
from ..common_options import CommonOptions, explain_common_options
from ..compiled import compiled_smoothing
from ..contour_weight import contour_weight, least_contour_weight
from ..convergence import Minimisation
from ..derivatives import Gradient
from ..heavy_ball import HeavyBall
from ..held_out_weight import held_out_part, liveliest_piece
from ..negative_values import warn_of_negative_values
from ..problem import Problem
from ..run import Image, run
from ..shrinkage import length, squared

__all__ = ["iterates", "richardson_lucy"]

Stop = Literal["consensus", "discrepancy"]

# Slopes count as flat below this times tv times the brightness. Smaller, and the factor that is to shorten contours
# overshoots from step to step, which no extrapolation survives; larger, and it only blurs.
_FLAT = 10.0

# A third of the iterations, and so many at least, tell what is a good weight: earlier ones tell too little of noise,
# later ones are fitted to that of the voxels that are shown. Without acceleration all: noise comes late.
_DECIDED = 10

# What divides by the curvature of contours is at least this.
_LEAST_SMOOTHING = 0.1


@explain_common_options
def richardson_lucy(
    image: Image | Sequence[Image],
    psf: Any = None,
    *,
    tv: float | Tensor | None = None,
    accelerate: bool = True,
    damping: float = 0.0,
    background: float | Tensor = 0.0,
    stop: Stop | None = None,
    num_iter: int = 30,
    **common: Unpack[CommonOptions],
) -> Image:
    r"""Deblur by the Richardson-Lucy iteration, for images and psfs that are nowhere negative.

    .. math:: x \leftarrow \frac{x}{H^T w} \cdot H^T \frac{w\,y}{H x + b} \cdot
        \frac{1}{1 - \tau\,\mathrm{div}(\nabla x / |\nabla x|)}

    Climbs the likelihood of Poisson counts, w being the mask and b the background; brightness is conserved and nothing
    gets negative. Without the last factor the noise grows with the iterations, and their number is the regularisation;
    with it they converge. Negative values of the image count as zero. Where the background has been taken off, so that
    the noise reaches below zero, that adds light: give a constant back to the image, and the same as `background`.

    Parameters
    ----------
    image : array or Tensor
        `H x W`, with channels or as a batch, or a volume; see `deconv.imaging.arrays`.
    psf : array or Tensor, optional
        `(kh, kw)` or `(kd, kh, kw)`, centred, of sum 1; behind two more axes one for each sample and channel. Where it
        varies over the field, `psf_field` takes its place.
    tv : float or Tensor, optional
        :math:`\tau`, the weight of the total variation; 0.002 to 0.02 is usual, 0 leaves it out; by default chosen from
        the noise and the size of the structures beside the psf, see `deconv.restore.contour_weight`. Of a volume, a
        part of that where a restoration under it better predicts voxels that it is not shown: the part s of 1, 0.3, 0.1
        and 0.03 for which :math:`\sum_i u_i - y_i \log u_i` is least, with :math:`u = H x_s + b` and the sum over the
        voxels held out of its liveliest piece, see `deconv.restore.held_out_weight`; all tiles have the same.
    accelerate : bool
        Longer steps with momentum, `deconv.restore.heavy_ball`: what takes n steps without takes about
        :math:`2\sqrt n` with it.
    damping : float
        Residuals below so many standard deviations of the noise are taken for noise and not fitted; 0: off.
    background : float or Tensor
        b, what the image has beside the blurred light, in its unit: sky, or the camera's offset. The result is without
        it, and its light that of the image above b. A number, `(B,)` or `(B, C)`; of frames also a list.
    stop : {None, "consensus", "discrepancy"}
        Stop by itself before the noise is fitted, channel by channel; `tv` then is 0 by default. ``"consensus"``: as
        soon as the two halves of the pixels, like the fields of a chessboard, pull the latent image against each other;
        the noise need not be known. ``"discrepancy"``: as soon as the residual's mean square is that of the noise,
        :math:`\overline{(y - H x - b)^2} \le \sigma^2`, for a `sigma` that is well known.
    num_iter : int
        Iterations, at most.
    **common : CommonOptions
        What all take, such as sigma, boundary, mask, frames and psf_field.

    Returns
    -------
    array or Tensor
        The restored image: kind of array, layout, dtype and range of `image`. Floats are not clipped.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was given and what is allowed.

    References
    ----------
    Richardson, J. Opt. Soc. Am. 1972; Lucy, Astron. J. 1974.
    Total variation: Dey et al., "Richardson-Lucy algorithm with total variation regularization for 3D confocal
    microscope deconvolution", Microsc. Res. Tech. 2006.
    Held-out voxels: Stone, "Cross-validatory choice and assessment of statistical predictions", J. R. Stat. Soc. B
    1974.
    Acceleration: Wang and Miller, "Scaled heavy-ball acceleration of the Richardson-Lucy algorithm for 3D microscopy
    image restoration", IEEE Trans. Image Process. 2014, with other weights, see `deconv.restore.heavy_ball`.
    Stopping: Morozov, "Methods for solving incorrectly posed problems", Springer 1984; by the agreement of halves of
    the data as in Manton's "Richardson-Lucy gradient consensus", 2023, which splits photons in place of pixels.
    Damping: White, "Image restoration using the damped Richardson-Lucy method", SPIE 1994, with the noise's
    variance in place of the counts'.
    """
    return run(
        image,
        psf,
        lambda problem: iterates(
            problem, tv=tv, accelerate=accelerate, damping=damping, background=background, stop=stop
        ),
        num_iter=num_iter,
        name="richardson_lucy",
        opponents=False,
        apart=False,
        **common,
    )


def iterates(
    problem: Problem,
    *,
    tv: float | Tensor | None = None,
    accelerate: bool = True,
    damping: float = 0.0,
    background: float | Tensor = 0.0,
    stop: Stop | None = None,
) -> Iterator[Tensor]:
    """Latent images of `richardson_lucy`."""
    if damping < 0:
        raise ValueError(f"damping: expected 0 or more standard deviations, given {damping}")
    check_choice("stop", stop, (None, *get_args(Stop)))
    floor = problem.per_channel(background, name="background")
    start = problem.domain.start()
    warn_of_negative_values(problem)
    if tv is not None:
        check_weight(tv, name="tv")
    elif stop is not None:
        tv = 0.0
    else:
        tv, limit = contour_weight(problem, floor, start), problem.statistics.contour_limit
        if limit is None and problem.space == 3 and problem.domain.forward.shares is None:
            limit = contour_limit(liveliest_piece(problem), floor, accelerate=accelerate, damping=damping)
        tv = tv if limit is None else torch.minimum(tv, limit)
    return _climb(problem, start, floor, tv, accelerate=accelerate, damping=damping, stop=stop)


def contour_limit(piece: Problem, floor: Tensor, **steps: Any) -> Tensor:
    """The weight that is good for a piece of a volume where that is a part of its `contour_weight`, else infinity, `(B,
    C, 1, 1, 1)`; floor: the background, in the problem's unit; steps: how to climb, accelerate and damping."""
    weight = contour_weight(piece, floor).detach()
    least = least_contour_weight(piece, floor) / weight.clamp_min(torch.finfo(weight.dtype).tiny)
    if not bool((least < 1).any()):
        return torch.full_like(weight, torch.inf)
    most = piece.num_iter
    count = max(most // 3, min(most, _DECIDED)) if steps.get("accelerate", True) else most

    start: Tensor | None = None

    def climb(shown: Problem, part: Tensor) -> Iterator[Tensor]:
        nonlocal start  # what is shown is the same under every part
        start = shown.domain.start() if start is None else start
        return itertools.islice(_climb(shown, start, floor, part * weight, **steps), count)

    part = held_out_part(piece, floor, least.clamp_max(1), climb).detach()
    return torch.where(part < 1, part * weight, torch.inf)


def _climb(
    problem: Problem,
    start: Tensor,
    floor: Tensor,
    tv: float | Tensor,
    *,
    accelerate: bool = True,
    damping: float = 0.0,
    stop: Stop | None = None,
) -> Iterator[Tensor]:
    """Latent images under a weight, from the first guess on; the background is in the problem's unit."""
    domain, statistics = problem.domain, problem.statistics
    tiny = torch.finfo(domain.observed.dtype).tiny
    dark = 1e-6 * statistics.brightness  # what division takes for zero; products with it are still normal numbers
    seen = domain.project(domain.blur_adjoint(domain.mask.expand_as(domain.observed)))
    noise = statistics.sigma / domain.shares.sqrt()  # of each frame
    gradient = Gradient(problem.space)
    shortened = not (isinstance(tv, int | float) and tv == 0)
    # A factor cannot raise what is zero, and what is below the background at first may have light.
    least = torch.where(domain.combine(floor) > 0, dark, 0)
    # Below a background counts mean something; otherwise what is negative counts as zero.
    counts = torch.where(floor > 0, domain.observed, domain.observed.clamp_min(0)) - domain.mask * floor
    light = domain.combine(counts).sum(domain.axes, keepdim=True)
    explained = torch.zeros_like(light, dtype=torch.bool)

    positive = domain.observed if bool((domain.observed >= 0).all()) else domain.observed.clamp_min(0)
    known = reciprocal(seen)
    above = bool((floor > 0).any())
    halves = AgreementOfHalves(domain, seen) if stop == "consensus" else None

    def correction(latent: Tensor) -> tuple[Tensor, Tensor]:
        """The factor that explains the observation better, and which channels are explained to the noise."""
        blurred = domain.blur(latent)
        blurred = (blurred.add_(floor) if above else blurred).clamp_min_(dark)
        counted = domain.active(blurred)
        mask, observed = counted.mask, positive if counted is domain else counted.observed.clamp_min(0)
        ratio = observed / blurred
        if damping:
            residual = (observed - mask * blurred) / (damping * noise).clamp_min(tiny)
            ratio = mask + (ratio - mask) * _trust(residual)
        total = seen if counted is domain else domain.project(domain.blur_adjoint(mask))
        returned = domain.project(domain.blur_adjoint(ratio))
        inverse, unseen = known if total is seen else reciprocal(total)
        factor = (returned * inverse).clamp_min_(0).masked_fill_(unseen, 1)
        if stop is None:
            return factor, explained
        if halves is not None:
            return factor, halves.broken(latent, ratio, returned, mask, total)
        excess = mask * ((counted.observed - mask * blurred).square() - noise.square())
        return factor, domain.combine(excess).sum(domain.axes, keepdim=True) <= 0

    weight = torch.as_tensor(tv, dtype=light.dtype, device=light.device)
    flat = _FLAT * weight * statistics.brightness

    def smoothed(latent: Tensor, ahead: Tensor) -> Tensor:
        """A latent image times the factor that shortens the contours of the one before."""
        compiled = compiled_smoothing(weight, flat, ahead)
        if compiled is not None and not is_tracked(latent):
            return compiled(latent, ahead, weight, flat, _LEAST_SMOOTHING)
        slopes = gradient.parts(ahead)
        scale = (squared(slopes).clamp_min_(tiny).sqrt() + flat).reciprocal_()
        curvature = gradient.adjoint(slope * scale for slope in slopes)
        return latent / (curvature * weight).add_(1).clamp_min_(_LEAST_SMOOTHING)

    def balance(latent: Tensor) -> Tensor:
        r"""The factor that keeps the light: :math:`w^T H x = (H^T w)^T x`, and `seen` is the latter's factor."""
        blurred = (seen * latent).sum(domain.axes, keepdim=True)
        return (light / blurred.clamp_min(tiny)).clamp(0.5, 2)

    def steps() -> Iterator[Tensor]:
        nonlocal explained
        ahead = (start - domain.combine(floor)).clamp_min(least)
        ahead = ahead if domain.clipped is not None else ahead * balance(ahead)
        ball = HeavyBall(domain.axes)
        while True:
            factor, done = correction(ahead)
            latent = ahead * factor
            del factor  # buffers of a whole volume, which need not wait for the next step
            if shortened:
                latent = smoothed(latent, ahead)
            if stop is not None:
                explained = explained | done
                latent = torch.where(explained, ahead, latent)
            if domain.clipped is None:
                latent = latent * balance(latent)
            yield latent
            if stop is not None and bool(explained.all()):
                return
            following = ball.step(ahead, latent) if accelerate else latent
            ahead = following if stop is None else torch.where(explained, latent, following)

    def objective(latent: Tensor) -> Tensor:
        """Minus the logarithm of the likelihood, from its least value on, plus the total variation of what is seen."""
        blurred = (domain.blur(latent) + floor).clamp_min(dark)
        target, blurred = domain.target(blurred).clamp_min(0), domain.mask * blurred
        divergence = blurred - target + torch.xlogy(target, target / blurred.clamp_min(dark * 1e-6))
        contours = seen * tv * length(gradient.analyse(latent))
        return (domain.combine(divergence) + contours).flatten(1).sum(1)

    return steps() if damping else Minimisation(steps(), objective, degree=1.0)


def _trust(residual: Tensor) -> Tensor:
    """White's damping function: 0 for residuals near zero, 1 from one standard deviation on, flat at both."""
    u = residual.square().clamp_max(1)
    return u**9 * (10 - 9 * u)
