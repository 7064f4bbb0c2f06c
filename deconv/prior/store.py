"""Priors in files, and those that come with the package."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

from torch import Tensor

from ..imaging.tensors import read_tensors, write_tensors
from .flow import FlowPrior
from .image_prior import ImagePrior
from .mixture import GaussianMixturePrior

__all__ = ["SHIPPED", "load_prior", "save_prior"]

SHIPPED = {"natural": "natural.safetensors", "flow": "natural.safetensors", "gmm": "gmm.safetensors"}
"""The priors of the package by their names, of which the flow has two; a page beside says what they were made of."""

_FORMAT = "deconv-prior"
_MIXTURE = ("weights", "values", "vectors")


def save_prior(prior: ImagePrior, path: str | os.PathLike) -> None:
    """Write a prior to a safetensors file. Eigenvectors are kept in half precision; reading makes them orthogonal.

    The file is there as a whole or not at all.
    """
    small = {name: t.half() if name.endswith("vectors") else t for name, t in prior.state_dict().items()}
    config = prior.config if isinstance(prior, FlowPrior) else {}
    kind = "flow" if isinstance(prior, FlowPrior) else "gmm"
    write_tensors(path, small, {"format": _FORMAT, "kind": kind, "config": json.dumps(config)})


def load_prior(prior: str | os.PathLike | ImagePrior) -> ImagePrior:
    """A prior by its name, `SHIPPED`, or from a file that `save_prior` wrote; one that is a prior already as it is.

    Raises FileNotFoundError for neither a name nor a file, ValueError for a file that holds no prior.
    """
    if not isinstance(prior, (str, os.PathLike)):
        return prior
    if str(prior) in SHIPPED:
        path = files(__package__) / "weights" / SHIPPED[str(prior)]
    else:
        path = Path(prior)
        if not path.is_file():
            allowed = ", ".join(map(repr, SHIPPED))
            raise FileNotFoundError(f"prior: {str(prior)!r} is neither a file nor one of {allowed}")
    try:
        tensors, metadata = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"prior: {error}") from None
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"prior: {path} holds no prior of this package")
    if metadata["kind"] == "gmm":
        return _mixture(tensors).eval()
    loaded = FlowPrior(_mixture(tensors, "base."), **json.loads(metadata["config"]))
    loaded.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("base.")}, strict=False)
    return loaded.eval().requires_grad_(False)


def _mixture(tensors: dict[str, Tensor], prefix: str = "") -> GaussianMixturePrior:
    return GaussianMixturePrior(*(tensors[prefix + name] for name in _MIXTURE))
