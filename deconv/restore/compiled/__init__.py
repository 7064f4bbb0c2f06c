"""Where passes over memory are compiled: those of splitting, and the total variation of Richardson-Lucy."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...ops.tracking import is_tracked
from ..derivatives import Gradient, Hessian
from ..forward import Convolution
from ..shrinkage import Shrinkage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..padded_domain import PaddedDomain
    from ..splitting import Term
    from .passes import Variables

    DivideBySmoothing = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]

__all__ = ["are_compiled", "compiled_data", "compiled_smoothing", "compiled_solution", "compiled_variables"]

# Below so many pixels, importing numba and loading what it compiled takes longer than it saves. The size alone decides,
# so that the same image gives the same digits whatever has been imported.
_LEAST_PIXELS = 2**18


def compiled_variables(
    terms: Sequence[Term], latent: Tensor, seen: Sequence[int], relaxation: float
) -> Variables | None:
    """Those of differences of two axes under shrinkage, one for all pixels of a channel; None for anything else.

    Parameters
    ----------
    terms : sequence of Term
        Of a sparse penalty.
    latent : Tensor
        x to start from; no gradient asks for anything that is computed from it.
    seen, relaxation
        As for `deconv.restore.compiled.passes.Variables`.
    """
    if not _large_here(latent) or latent.ndim != 4:
        return None
    orders = [(Gradient, Hessian).index(type(term.analysis)) for term in terms if _usual(term)]
    if len(orders) != len(terms) or orders not in ([0], [0, 1]) or not _numba_works():
        return None
    if len({(term.prox.kind, term.prox.exponent) for term in terms if isinstance(term.prox, Shrinkage)}) > 1:
        return None
    from .passes import Variables

    return Variables(terms, latent, seen, relaxation)


def compiled_data(
    domain: PaddedDomain, seen: Tensor, blurred: Tensor, wanted: Tensor, shares: Tensor
) -> Callable[..., None] | None:
    """`deconv.restore.compiled.passes.update_data` for an observation, else None."""
    tensors = (seen, blurred, wanted, shares, domain.observed)
    if not _large_here(blurred) or is_tracked(*tensors) or not _numba_works():
        return None
    if any(each.shape != blurred.shape or each.dtype != blurred.dtype for each in (seen, wanted, domain.observed)):
        return None
    given, clipped, bounds = [seen, blurred, wanted, domain.observed], domain.clipped, None
    if clipped is not None:
        given, bounds = [clipped.channels(each) for each in given], (clipped.side, clipped.limit)
        if any(each.shape != given[0].shape or each.dtype != blurred.dtype for each in bounds):
            return None
    from .passes import update_data

    def update(*, relaxation: float, penalty: float) -> None:
        parameters = {"space": len(domain.shape), "relaxation": relaxation, "penalty": penalty}
        update_data(*given, shares if clipped is None else clipped.weights(shares), bounds=bounds, **parameters)
        if clipped is not None and clipped.colours:
            blurred.copy_(clipped.samples(given[1]))
            wanted.copy_(clipped.samples(given[2]))

    return update


def compiled_solution(
    domain: PaddedDomain,
    wanted: Tensor,
    pull: Tensor | float,
    power: Tensor,
    smoothing: Tensor | float,
    *,
    penalty: float,
) -> Tensor | None:
    """The spectrum of x by `deconv.restore.compiled.passes.solve_spectrum`, of an observation by one convolution, given
    u + multipliers; else None."""
    forward = domain.forward
    if not isinstance(forward, Convolution) or forward.shares is not None or not _large_here(wanted):
        return None
    if not (torch.is_tensor(pull) and torch.is_tensor(smoothing)) or not _numba_works():
        return None
    if is_tracked(wanted, pull, forward.otf, power, smoothing):
        return None
    space = len(domain.shape)
    frequencies = forward.otf.shape[-space:]
    fits = pull.shape == (*wanted.shape[:-space], *frequencies) and pull.is_contiguous() and not pull.is_conj()
    if not fits or any(each.dtype != wanted.dtype or each.shape[-space:] != frequencies for each in (power, smoothing)):
        return None
    from .passes import solve_spectrum

    spectrum = domain.fft(wanted).contiguous()
    solve_spectrum(spectrum, pull, forward.otf, power, smoothing, space=space, penalty=penalty)
    return spectrum


def passes_are_compiled(pixels: int) -> bool:
    """Whether those of an image with so many pixels are, on the CPU."""
    return pixels >= _LEAST_PIXELS and _numba_works()


def _usual(term: Term) -> bool:
    """Whether a term is of differences of two axes under one shrinkage for all pixels of a channel."""
    analysis, prox = term.analysis, term.prox
    if not isinstance(analysis, Gradient | Hessian) or len(analysis.axes) != 2 or not isinstance(prox, Shrinkage):
        return False
    return _constant(prox.weight) and _constant(term.penalty)


def are_compiled(image: Tensor, least: int) -> bool:
    """Whether passes over an image of so many pixels at least are compiled where it is, for its type."""
    return _usual_here(image) and image.numel() >= least and _numba_works()


def _large_here(image: Tensor) -> bool:
    """Whether an image is on the CPU, and of a type and size that passes are compiled for."""
    return _usual_here(image) and image.numel() >= _LEAST_PIXELS


def _usual_here(image: Tensor) -> bool:
    return image.device.type == "cpu" and image.dtype in (torch.float32, torch.float64)


def compiled_smoothing(weight: Tensor, flat: Tensor, latent: Tensor) -> DivideBySmoothing | None:
    """`deconv.restore.compiled.contours.divide_by_smoothing`, where weight and f are one for all pixels of a channel,
    else None."""
    space = latent.ndim - 2
    if is_tracked(latent) or not _large_here(latent):
        return None
    if not (_constant(weight, space) and _constant(flat, space) and _numba_works()):
        return None
    from .contours import divide_by_smoothing

    return divide_by_smoothing


def _constant(value: Tensor | float, space: int = 2) -> bool:
    """Whether a number is one for all pixels of a channel, and no gradient asks for it."""
    if not torch.is_tensor(value):
        return True
    return not is_tracked(value) and (value.numel() == 1 or tuple(value.shape[-space:]) == (1,) * space)


@functools.cache
def _numba_works() -> bool:
    from ...solvers.registry import SOLVERS

    return importlib.util.find_spec("numba") is not None and SOLVERS["compiled"].available()[0]
