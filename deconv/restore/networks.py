"""Trained networks in files, and the one that comes with the package."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch

from ..imaging.tensors import read_tensors, write_tensors
from ..ops.lasting import lasting
from .unrolled import UnrolledDeconvolution, check_config

__all__ = ["SHIPPED", "load_network", "save_network"]

SHIPPED = {"photographs": "network.safetensors"}
"""The networks of the package by their names; a page beside them says what they were made of."""

_CONFIG = "restoration"


def load_network(network: str | os.PathLike | UnrolledDeconvolution) -> UnrolledDeconvolution:
    """A network by its name or from a file.

    Parameters
    ----------
    network : str or path-like or UnrolledDeconvolution
        A name of `SHIPPED`, a file that `save_network` wrote, or a network, which is given back as it is.

    Returns
    -------
    UnrolledDeconvolution
        In evaluation mode, without gradients for its parameters, on the CPU.

    Raises
    ------
    FileNotFoundError
        Neither a name nor a file.
    ValueError
        The file holds no network, or a damaged one.
    """
    if isinstance(network, UnrolledDeconvolution):
        return network
    name = os.fspath(network)
    if name in SHIPPED:
        return _shipped(name)
    if not Path(network).is_file():
        raise FileNotFoundError(f"network: {name!r} is neither a file nor one of {', '.join(map(repr, SHIPPED))}")
    return _read(Path(network))


def save_network(
    network: UnrolledDeconvolution, path: str | os.PathLike, *, record: Mapping[str, Any] | None = None
) -> None:
    """Write a network to a safetensors file, in half precision and with a checksum.

    Parameters
    ----------
    network : UnrolledDeconvolution
        What to write.
    path : path-like
        Where to; the file is there as a whole or not at all.
    record : mapping, optional
        What else is to be known of it, as far as JSON can say it: recipe, data, seed, figures.
    """
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    write_tensors(path, tensors, {**(record or {}), _CONFIG: network.config})


@functools.cache
def _shipped(name: str) -> UnrolledDeconvolution:
    with as_file(files("deconv.restore") / "weights" / SHIPPED[name]) as path:
        return _read(path)


@lasting
def _read(path: Path) -> UnrolledDeconvolution:
    try:
        tensors, record = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"network: {error}") from None
    config = record.get(_CONFIG)
    if not isinstance(config, dict):
        raise ValueError(f"network: {path} holds none; 'deconv export' makes one of a training run")
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise ValueError(f"network: {path}: {name} holds values that are not finite")
    try:
        check_config(config, sum(value.numel() for value in tensors.values()))
        network = UnrolledDeconvolution(**config)
        network.load_state_dict({name: value.to(torch.float32) for name, value in tensors.items()})
    except KeyError as error:
        raise ValueError(f"network: {path}: {error.args[0]} is missing") from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"network: {path}: {' '.join(str(error).split())}") from None
    return network.eval().requires_grad_(False)
