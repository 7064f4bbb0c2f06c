"""How well a model does on images: the mean of its figure and how sure it is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from .data import Batch, ImageSet
from .distributed import Workers
from .objective import Objective
from .order import Stream, generator_for

__all__ = ["Score", "evaluate"]


class Score(NamedTuple):
    """mean: over the images. standard_error: of that mean. count: of images."""

    mean: float
    standard_error: float
    count: int


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: ImageSet,
    objective: Objective,
    *,
    limit: int = 0,
    batch_size: int = 100,
    seed: int = 0,
    workers: Workers | None = None,
) -> Score:
    """The figure of `objective` on `images`, or on the first `limit` of them, in evaluation mode.

    seed: of the noise; a batch's depends on its place only, so that two evaluations agree, with any number of
        processes. The mode of the model is left as it was.
    """
    workers = workers or Workers(0, 1, next(model.parameters()).device)
    count = min(limit, len(images)) if limit else len(images)
    training = model.training
    model.eval()
    total = torch.zeros(2, dtype=torch.float64, device=workers.device)
    try:
        for number, start in enumerate(range(0, count, batch_size)):
            if number % workers.count != workers.rank:
                continue
            batch: Batch = images.__getitems__(range(start, min(start + batch_size, count))).to(workers.device)
            generator = generator_for(workers.device, seed, Stream.EVALUATION, number)
            figures = objective.loss(model, batch, generator).double()
            total += torch.stack([figures.sum(), figures.square().sum()])
    finally:
        model.train(training)
    first, second = (float(value) / count for value in workers.sum(total))
    variance = max(0.0, second - first**2) * count / max(1, count - 1)
    return Score(first, math.sqrt(variance / count), count)
