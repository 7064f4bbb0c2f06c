"""The files of a run that hold tensors, see `deconv.imaging.tensors`."""

from __future__ import annotations

import os
from typing import Any

from torch import Tensor

from ..imaging.tensors import read_tensors

__all__ = ["CHECKPOINT", "MODEL", "read_checkpoint"]

CHECKPOINT = "checkpoint.safetensors"
"""All that is needed to go on."""

MODEL = "model.safetensors"
"""The model that did best in validation."""

# What records were called before version 0.2.
_FORMER_NAMES = {"plan": "run", "config": "model"}


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the record of a checkpoint; errors as `read_tensors`.

    Parameters
    ----------
    path : path-like
        Of the file.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU.
    record : dict
        ``run``: what `RunConfig.from_json` takes. ``model``: what builds the model. ``state``: how far it got.
    """
    tensors, record = read_tensors(path)
    return tensors, {_FORMER_NAMES.get(name, name): value for name, value in record.items()}
