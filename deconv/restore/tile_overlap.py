"""How far a tile is restored beyond its own pixels."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..foreign_arrays import as_tensor
from ..imaging.psf.moments import centroid, deviations
from .methods import Method
from .psf_field import PsfField

__all__ = ["tile_overlap", "usual_iterations"]

# The least overlap of two tiles on either side of their border, of images and of volumes. It is a few sizes of the psf.
_LEAST = {2: 48, 3: 16}


def tile_overlap(method: Method, field: PsfField, frame: Sequence[int], options: Mapping[str, Any]) -> list[int]:
    r"""How far apart pixels are that do not see each other, along each spatial axis.

    So many sizes of the psf as the method says. The n iterations of one that blurs and transposes, and no more, are a
    walk of 2n steps as long as the psf is wide: there :math:`d \sigma \sqrt{n}` is enough, with the psf's standard
    deviation and the method's `deconv.restore.methods.Method.diffusion`, d.

    Parameters
    ----------
    method : Method
        Row of the table.
    field : PsfField
        Of one psf its own, of several the widest counts.
    frame : sequence of int
        Size of the image along the spatial axes.
    options : mapping
        The method's keywords; num_iter counts.

    Returns
    -------
    list of int
        Pixels, 48 at least, 16 of volumes.
    """
    space = len(frame)
    reach = [method.reach * s for s in field.size(frame)]
    num_iter = options.get("num_iter", usual_iterations(method))
    if method.diffusion is not None and isinstance(num_iter, int) and num_iter > 0:
        walks = [_walk(psf, space, method.diffusion * math.sqrt(num_iter)) for psf in _samples(field, frame)]
        reach = [min(r, max(along)) for r, along in zip(reach, zip(*walks, strict=True), strict=True)]
    return [max(_LEAST[space], r) for r in reach]


def usual_iterations(method: Method) -> Any:
    """How many iterations a method makes where it is not told."""
    given = inspect.signature(method.load()).parameters.get("num_iter")
    return method.options.get("num_iter", None if given is None else given.default)


def _samples(field: PsfField, frame: Sequence[int]) -> list[Any]:
    """The psf in the middle; of a field also those in the corners."""
    places = [[(n - 1) / 2 for n in frame]]
    if field.varies:
        places += [list(corner) for corner in itertools.product(*[(0.0, n - 1.0) for n in frame])]
    return [field(place, frame) for place in places]


def _walk(psf: Any, space: int, steps: float) -> list[int]:
    """So many standard deviations of a psf, and how far its centre of mass is off its centre."""
    light = as_tensor(psf, name="psf")[0].detach().double().abs()
    light = light.reshape(-1, *light.shape[light.ndim - space :])
    far = centroid(light, space=space).abs() + steps * deviations(light, space=space)
    return [math.ceil(r) for r in torch.nan_to_num(far, posinf=0).amax(0).tolist()]
