"""Checkpoints: tensors and a JSON record in one safetensors file, complete or not there, and checked when read.

The record is part of the file's metadata, beside the SHA-256 of itself and of every tensor.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..imaging.tensors import read_tensors, write_tensors

__all__ = ["read_checkpoint", "write_checkpoint"]

_RECORD = "deconv"
_CHECKSUM = "sha256"


def write_checkpoint(path: str | os.PathLike, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Put tensors and record under `path` in one step: whoever reads finds the old file or the new one.

    record: what JSON can say.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(record, sort_keys=True)
    write_tensors(path, tensors, {_RECORD: text, _CHECKSUM: _digest(tensors, text)})


def read_checkpoint(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the record.

    Raises
    ------
    FileNotFoundError: there is no such file.
    ValueError: it is not a checkpoint, or it is damaged; the message says why.
    """
    name = os.fspath(path)
    tensors, metadata = read_tensors(path)
    if _RECORD not in metadata:
        raise ValueError(f"{name}: a safetensors file, but not a checkpoint of this toolkit")
    if metadata.get(_CHECKSUM) != _digest(tensors, metadata[_RECORD]):
        raise ValueError(f"{name}: damaged, its contents do not match their checksum")
    return tensors, json.loads(metadata[_RECORD])


def _digest(tensors: Mapping[str, Tensor], record: str) -> str:
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
