"""Small things to train, for the tests of several files and for the processes that they begin."""

from __future__ import annotations

import torch
from torch import nn

from deconv.training import Batch, Objective, RunConfig, Settings, Splits, StoredImages

CONFIG = RunConfig(
    model={"name": "inverse", "levels": 1, "steps": 1, "width": 8},
    options={"size": 8},
    settings=Settings(steps=12, batch_size=8, warmup=3, validate_every=5, validation_images=50, augmentation="flip"),
)


def noise_images(count: int, seed: int = 0, shape=(1, 8, 8)) -> StoredImages:
    generator = torch.Generator().manual_seed(seed)
    return StoredImages(torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8))


def splits(count: int = 64) -> Splits:
    return Splits(noise_images(count), noise_images(30, seed=1), noise_images(30, seed=2))


class Mean(nn.Module):
    """Learns the mean of the pixels."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1, 8, 8))


def squares(model: nn.Module, batch: Batch, generator: torch.Generator) -> torch.Tensor:
    return (batch.images / 255 - model.mean).square().flatten(1).mean(1)


SQUARES = Objective("mean square", squares)
