"""The order of the images, and all that is random: the same at any step, however a run got there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from deconv.training.augmentation import augment
from deconv.training.order import ShardOrder, Stream, generator_for, permutation, seed_for


@pytest.mark.parametrize(("size", "batch", "shards"), [(24, 6, 3), (10, 4, 2), (3, 8, 4)])
def test_every_epoch_shows_every_image_once(size, batch, shards):
    """The shards together see epoch after epoch; each starts again at any step where it would have been."""
    steps = 4 * size
    orders = [
        ShardOrder(size, batch, range(s, s + 1), shards, seed=3, first_step=0, last_step=steps) for s in range(shards)
    ]
    parts = [list(order) for order in orders]
    assert all(len(part) == steps == len(order) for part, order in zip(parts, orders, strict=True))
    stream = [i for step in zip(*parts, strict=True) for part in step for i in part]
    for epoch in range(len(stream) // size):
        seen = stream[epoch * size : (epoch + 1) * size]
        assert sorted(seen) == list(range(size))
    if size > 5:
        assert stream[:size] != stream[size : 2 * size] != list(range(size))
    alone = ShardOrder(size, batch, range(shards), shards, seed=3, first_step=2, last_step=steps)
    assert [i for part in alone for i in part] == stream[2 * batch :]


def test_seeds_tell_places_apart():
    seeds = [
        seed_for(s, stream, *place) for s in (0, 1) for stream in Stream for place in ((), (0,), (1,), (0, 1), (1, 0))
    ]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**63
    assert not np.array_equal(permutation(0, 0, 50), permutation(0, 1, 50))
    first, again = (torch.rand(3, generator=generator_for("cpu", 5, Stream.NOISE, 7)) for _ in range(2))
    assert torch.equal(first, again)


def test_augmentations_are_the_symmetries_of_the_square():
    image = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 3, 3)
    orbit = {
        tuple(turned.flatten().tolist()) for k in range(4) for turned in (image[0, 0].rot90(k), image[0, 0].rot90(k).T)
    }
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(tuple(x.flatten().tolist()) for x in augment(image.repeat(800, 1, 1, 1), "dihedral", generator))
    assert set(drawn) == orbit
    assert min(drawn.values()) > 60
    flipped = Counter(tuple(x.flatten().tolist()) for x in augment(image.repeat(400, 1, 1, 1), "flip", generator))
    assert set(flipped) == {tuple(image.flatten().tolist()), tuple(image.flip(3).flatten().tolist())}
    assert augment(image, "none", generator) is image
    assert augment(torch.zeros(4, 1, 3, 5), "dihedral", generator).shape == (4, 1, 3, 5)
