"""Symmetries of images, applied at random to a batch."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["Augmentation", "augment"]

Augmentation: TypeAlias = Literal["none", "flip", "dihedral"]


def augment(images: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """Images, each turned by a symmetry drawn evenly.

    Parameters
    ----------
    images : Tensor
        `(B, C, H, W)`.
    kind : {"none", "flip", "dihedral"}
        ``"flip"``: left to right or not; ``"dihedral"``: the eight symmetries of the square, four of them for images
        that are not square.
    generator : torch.Generator
        Source of the draws.

    Returns
    -------
    Tensor
        Like `images`.
    """
    if kind == "none":
        return images
    axes = [(3,)]
    if kind == "dihedral":
        axes.append((2,))
    for axis in axes:
        images = torch.where(_coin(images, generator), images.flip(axis), images)
    if kind == "dihedral" and images.shape[2] == images.shape[3]:
        images = torch.where(_coin(images, generator), images.transpose(2, 3), images)
    return images


def _coin(images: Tensor, generator: torch.Generator) -> Tensor:
    heads = torch.rand(len(images), generator=generator, device=generator.device) < 0.5
    return heads.to(images.device)[:, None, None, None]
