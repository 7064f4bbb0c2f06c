"""Priors in files, and those that come with the package."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ..imaging.tensors import read_tensors, write_tensors

__all__ = ["SHIPPED", "PriorFile", "read_prior_file", "write_prior_file"]

SHIPPED = {"flow": "flow.safetensors", "gmm": "gmm.safetensors"}
"""The priors of the package by their names; a page beside them says what they were made of."""

_FORMER_NAMES = {"natural": "flow"}

_KIND, _CONFIG = "prior", "config"

_Prior = TypeVar("_Prior")


@dataclass(frozen=True)
class PriorFile:
    """What a file says of a prior.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    kind : str
        Which class of prior it is, see `ImagePrior.kind`.
    config : dict
        What the class is made with, besides the tensors.
    tensors : dict of str to Tensor
        Learnt.
    """

    name: str
    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def build(self, make: Callable[[Mapping[str, Tensor], Mapping[str, Any]], _Prior]) -> _Prior:
        """The prior that ``make(tensors, config)`` builds; ValueError with the file's name where it cannot."""
        for name, value in self.tensors.items():
            if not value.isfinite().all():
                raise ValueError(f"prior: {self.name}: {name} holds values that are not finite")
        try:
            return make(self.tensors, self.config)
        except KeyError as error:
            raise ValueError(f"prior: {self.name}: {error.args[0]} is missing") from None
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"prior: {self.name}: {' '.join(str(error).split())}") from None


def read_prior_file(prior: str | os.PathLike) -> PriorFile:
    """Read a prior of `SHIPPED` by its name, or one from a file.

    Parameters
    ----------
    prior : str or path-like
        A name or a file.

    Returns
    -------
    PriorFile
        What was read.

    Raises
    ------
    FileNotFoundError
        Neither a name nor a file.
    ValueError
        The file holds no prior, or a damaged one.
    """
    name = os.fspath(prior)
    if name in _FORMER_NAMES and not os.path.isfile(name):
        warnings.warn(f"prior: {name!r} is now called {_FORMER_NAMES[name]!r}", DeprecationWarning, stacklevel=4)
        name = _FORMER_NAMES[name]
    if name in SHIPPED:
        with as_file(files("deconv.prior") / "weights" / SHIPPED[name]) as path:
            return _read(path)
    if not Path(prior).is_file():
        allowed = ", ".join(map(repr, SHIPPED))
        raise FileNotFoundError(f"prior: {name!r} is neither a file nor one of {allowed}")
    return _read(Path(prior))


def _read(path: Path) -> PriorFile:
    try:
        tensors, record = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"prior: {error}") from None
    if not isinstance(record.get(_KIND), str) or not isinstance(record.get(_CONFIG), dict):
        raise ValueError(f"prior: {path} holds no prior; 'deconv export' makes one of a training run")
    return PriorFile(str(path), record[_KIND], record[_CONFIG], tensors)


def write_prior_file(
    path: str | os.PathLike, kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write a prior for `read_prior_file`; eigenvectors in half precision, which is all that they need."""
    small = {name: t.half() if name.endswith("vectors") else t for name, t in tensors.items()}
    write_tensors(path, small, {_KIND: kind, _CONFIG: dict(config)})
