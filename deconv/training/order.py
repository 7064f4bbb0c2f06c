"""Randomness counted, not carried: everything random in a run is a function of its seed and of where it is.

The order of the images, the noise of a step, the pictures that are drawn: each has a generator seeded by
`(seed, stream, position)`. A run that is taken up again at a step thus needs no stored state to go on bit for bit, and
what a step computes does not depend on the process that computes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import IntEnum

import numpy as np
import torch
from torch.utils.data import Sampler

__all__ = ["ShardOrder", "Stream", "generator_for", "permutation", "seed_for"]


class Stream(IntEnum):
    """What the randomness is for."""

    ORDER = 0
    NOISE = 1
    AUGMENTATION = 2
    MODEL = 3
    EVALUATION = 4
    SAMPLES = 5


def seed_for(seed: int, stream: Stream, *place: int) -> int:
    """A seed below 2^63 for this place; two places share one with probability 2^-63."""
    text = ",".join(map(str, (seed, int(stream), *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator_for(device: torch.device | str, seed: int, stream: Stream, *place: int) -> torch.Generator:
    """A generator on `device` for this place."""
    return torch.Generator(device).manual_seed(seed_for(seed, stream, *place))


def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order of `size` images in an epoch."""
    return np.random.default_rng(seed_for(seed, Stream.ORDER, epoch)).permutation(size)


class ShardOrder(Sampler[list[int]]):
    """The indices of the images that this process sees: one list for each step and shard.

    The epochs' permutations follow one another in one long sequence; step t takes the next `batch_size` of it, and
    shard s of S the s-th of the S equal parts of that.

    Parameters
    ----------
    size : int
        Images in the set.
    batch_size : int
        Images of a step, over all shards.
    shards : range
        The shards of this process, in their order.
    of : int
        The number of shards, S.
    seed : int
        Of the run.
    first_step, last_step : int
        Steps from the one up to the other, which is left out.
    """

    def __init__(
        self, size: int, batch_size: int, shards: range, of: int, *, seed: int, first_step: int, last_step: int
    ) -> None:
        self.size, self.batch_size, self.shards, self.of = size, batch_size, shards, of
        self.seed, self.first_step, self.last_step = seed, first_step, last_step

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * len(self.shards)

    def __iter__(self) -> Iterator[list[int]]:
        orders: dict[int, np.ndarray] = {}
        share = self.batch_size // self.of
        for step in range(self.first_step, self.last_step):
            for shard in self.shards:
                start = step * self.batch_size + shard * share
                epochs, places = np.divmod(np.arange(start, start + share), self.size)
                needed = np.unique(epochs).tolist()
                orders = {
                    epoch: orders[epoch] if epoch in orders else permutation(self.seed, epoch, self.size)
                    for epoch in needed
                }
                yield [int(orders[epoch][place]) for epoch, place in zip(epochs.tolist(), places, strict=True)]
