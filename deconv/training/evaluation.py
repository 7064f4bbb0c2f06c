"""How well a model does on images: the mean of its figure and how sure it is."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from .data import ImageSet
from .distributed import Workers
from .objective import Objective
from .order import Stream, generator_for

__all__ = ["Score", "evaluate"]


class Score(NamedTuple):
    """The figure of a model on a set of images.

    Parameters
    ----------
    mean : float
        Over the images.
    standard_error : float or None
        Of that mean. One image does not tell how much images differ: None.
    count : int
        Of images.
    """

    mean: float
    standard_error: float | None
    count: int

    @property
    def text(self) -> str:
        """``1.1440 ± 0.0021``."""
        if self.standard_error is None:
            return f"{self.mean:.4f} (its error cannot be known from one image)"
        return f"{self.mean:.4f} ± {self.standard_error:.4f}"


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
    """The figure of an objective on images, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Its mode is left as it was.
    images : ImageSet
        What it is evaluated on.
    objective : Objective
        What is measured.
    limit : int
        Only so many images, the first; 0: all.
    batch_size : int
        Images evaluated together.
    seed : int
        Of the noise; that of a batch depends on its place only, so that two evaluations agree, with any number of
        processes.
    workers : Workers, optional
        The processes that evaluate together; by default this one alone.

    Returns
    -------
    Score
        Mean and standard error.
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
            batch = images.__getitems__(range(start, min(start + batch_size, count))).to(workers.device)
            generator = generator_for(workers.device, seed, Stream.EVALUATION, number)
            figures = objective.loss(model, batch, generator).double()
            total += torch.stack([figures.sum(), figures.square().sum()])
    finally:
        model.train(training)
    first, second = (float(value) / count for value in workers.sum(total))
    if count == 1:
        return Score(first, None, count)
    variance = max(0.0, second - first**2) * count / (count - 1)
    return Score(first, math.sqrt(variance / count), count)
