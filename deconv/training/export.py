"""A trained flow's sampler as a file that runs without this toolkit: sampling is plain convolutions."""

from __future__ import annotations

import io
import math
import os
import warnings
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..flows import FlowModel
from ..imaging.files import write_atomically
from .families import model_config

__all__ = ["SUFFIXES", "Sampler", "export_sampler"]

SUFFIXES = (".pt2", ".onnx")


class Sampler(nn.Module):
    """From noise `(B, D)`, standard normal times the temperature, to images `(B, C, H, W)` in [0, 1].

    Parameters
    ----------
    model : FlowModel
        What draws.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = cast(FlowModel, model)

    def forward(self, noise: Tensor) -> Tensor:
        images, _ = self.model.inverse(noise)
        return images.clamp(0, 1)  # for pictures, not for gradients: its slope at the bounds is that of the release


def export_sampler(model: nn.Module, path: str | os.PathLike) -> None:
    """Write the sampler of a flow to `path`, for batches of any size.

    ``.pt2``: `torch.export`; read it by ``torch.export.load(path).module()``. ``.onnx``: for any ONNX runtime; needs
    the packages onnx and onnxscript.

    Parameters
    ----------
    model : nn.Module
        With ``inverse(z) -> (images, ladj)`` and ``config["image_shape"]``; it is moved to the CPU for this.
    path : path-like
        Where to.

    Raises
    ------
    ValueError
        Another kind of file, a conditional flow, or ONNX without its packages.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{os.fspath(path)}: kind of file {suffix!r}, allowed here are {', '.join(SUFFIXES)}")
    config = model_config(model)
    if config.get("num_classes"):
        raise ValueError("model: it is conditional; only a sampler without labels can be exported")
    sampler = Sampler(model.cpu().eval())
    noise = torch.randn(2, math.prod(config["image_shape"]), generator=torch.Generator().manual_seed(0))
    batch = {"noise": {0: torch.export.Dim("batch")}}
    with torch.no_grad():
        sampler(noise)  # what is made of the parameters alone is made now, and enters as constants
        if suffix == ".onnx":
            _write_onnx(sampler, noise, path, batch)
        else:
            program = torch.export.export(sampler, (noise,), dynamic_shapes=batch)
            with warnings.catch_warnings():  # of constants that are parts of one tensor, which matters off the CPU only
                warnings.filterwarnings("ignore", "No complete tensor found in the group", UserWarning)
                torch.export.save(program, written := io.BytesIO())
            write_atomically(path, written.getvalue())


def _write_onnx(sampler: Sampler, noise: Tensor, path: str | os.PathLike, batch: dict) -> None:
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"{os.fspath(path)}: ONNX needs the package {error.name} (pip install onnx onnxscript)"
        ) from None
    torch.onnx.export(sampler, (noise,), os.fspath(path), dynamo=True, dynamic_shapes=batch, verbose=False)
