"""Named tensors and a JSON record in one safetensors file: complete or not there, and checked when read.

The record is part of the file's metadata, beside the SHA-256 of itself and of every tensor. Nothing is unpickled:
reading a file from a stranger runs nothing of theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .files import write_atomically

__all__ = ["read_tensors", "write_tensors"]

_RECORD = "deconv"
_CHECKSUM = "sha256"


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Put tensors and a record under `path` in one step: whoever reads finds the old file or the new one.

    Parameters
    ----------
    path : path-like
        Where to.
    tensors : mapping of str to Tensor
        On any device.
    record : mapping
        What else is to be known, as far as JSON can say it.
    """
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    text = json.dumps(record, sort_keys=True)
    write_atomically(path, save(whole, {_RECORD: text, _CHECKSUM: _digest(whole, text)}))


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the record of a file that `write_tensors` wrote.

    The file is opened once. The library's own reader opens it twice, for the head and for the values, and what it
    returns belongs to two files if another took the name in between.

    Parameters
    ----------
    path : path-like
        Of the file.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU.
    record : dict
        The record.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no safetensors file, one of another program, or a damaged one; the message names it and says why.
    """
    name = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{name}: there is no such file")
    data = Path(path).read_bytes()
    try:
        tensors = load(data)
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: damaged, or not a safetensors file ({error})") from None
    metadata = head.get("__metadata__", {})
    if _RECORD not in metadata:
        raise ValueError(f"{name}: a safetensors file, but none of this toolkit")
    if metadata.get(_CHECKSUM) != _digest(tensors, metadata[_RECORD]):
        raise ValueError(f"{name}: damaged, its contents do not match their checksum")
    try:
        record = json.loads(metadata[_RECORD])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: its record cannot be read ({error})") from None
    if not isinstance(record, dict):
        raise ValueError(f"{name}: its record is no dictionary")
    return tensors, record


def _digest(tensors: Mapping[str, Tensor], record: str) -> str:
    digest = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
