"""Named tensors in safetensors files. Nothing is unpickled: reading a file from a stranger runs nothing of theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .files import write_atomically

__all__ = ["read_tensors", "write_tensors"]


def write_tensors(path: str | os.PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Put tensors and metadata under `path` in one step: whoever reads finds the old file or the new one."""
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(whole, dict(metadata)))


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    The file is opened once. The library's own reader opens it twice, for the head and for the values, and what it
    returns belongs to two files if another took the name in between.

    Raises
    ------
    FileNotFoundError: there is no such file.
    ValueError: it is not a safetensors file, or one cut short.
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
    return tensors, head.get("__metadata__", {})
