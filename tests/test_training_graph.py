"""The training step on tensors that keep their places: the same numbers, and nothing that a CUDA graph cannot hold."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_flow_precision import NoNumbers, NoWaiting, on_meta, small
from training_runs import splits

from deconv.training import BITS_PER_DIM, Batch, Settings, fit
from deconv.training.checkpoint import CHECKPOINT, read_checkpoint
from deconv.training.distributed import Workers
from deconv.training.graph import RandomSources, StaticStep
from deconv.training.trainer import Trainer

SETTINGS = Settings(
    steps=6, batch_size=8, shards=2, warmup=2, augmentation="dihedral", validate_every=3, validation_images=10
)


def run(folder, *, graph, steps=6, resume=False):
    folder.mkdir(exist_ok=True)
    model = small(preprocessing="logit", dequantisation="variational")
    settings = replace(SETTINGS, steps=steps, decay="none")
    fit(model, splits(), BITS_PER_DIM, settings, folder=folder, graph=graph, resume=resume, progress=False)
    return read_checkpoint(folder / CHECKPOINT)[0]


def test_static_tensors_give_the_numbers_of_fresh_ones(tmp_path):
    """Bit for bit, also where a run is taken up again in the other mode."""
    expected = run(tmp_path / "eager", graph=False)
    static = run(tmp_path / "static", graph=True)
    run(tmp_path / "broken", graph=True, steps=3)
    broken = run(tmp_path / "broken", graph=False, resume=True)
    for found in (static, broken):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_static_step_is_one_function_of_the_same_places():
    places, drawn = [], []

    def compute(batches, sources):
        places.append([batch.images.data_ptr() for batch in batches] + [id(source) for source in sources])
        drawn.append([torch.rand(2, generator=source.noise) for source in sources])
        return torch.stack([batch.images.sum() + batch.labels.sum() for batch in batches])

    step = StaticStep(compute, torch.device("cpu"))
    given = [[Batch(torch.full((2, 1, 3, 3), 3 * i + k), torch.full((2,), k)) for k in range(2)] for i in range(3)]
    for i, batches in enumerate(given):
        found = step(batches, [(i, 7), (i, 8)])
        assert found.tolist() == [18 * (3 * i + k) + 2 * k for k in range(2)]
    assert places[0] == places[1] == places[2]
    assert given[0][0].images.unique().tolist() == [0]  # they are ours, not those that were given
    seven = torch.rand(2, generator=torch.Generator().manual_seed(7))
    assert all(torch.equal(draws[0], seven) and not torch.equal(draws[1], seven) for draws in drawn)


@pytest.mark.parametrize("augmentation", ["none", "flip", "dihedral"])
@pytest.mark.parametrize("classes", [None, 3])
def test_losses_and_gradients_make_the_host_neither_copy_nor_wait(augmentation, classes, monkeypatch):
    """On the meta device: augmentation, loss, backward pass and the norm of the gradient."""
    model = on_meta(small(num_classes=classes, preprocessing="gaussianise"))
    settings = Settings(batch_size=8, shards=2, augmentation=augmentation, average=0)
    trainer = Trainer(model, splits(), BITS_PER_DIM, settings, Workers(0, 1, torch.device("meta")), None, {})
    monkeypatch.setattr(Trainer, "_precision", lambda self: torch.autocast("cpu", enabled=False))
    monkeypatch.setattr(torch.optim, "Adam", lambda *_, **__: SimpleNamespace(zero_grad=lambda: None))
    trainer._prepare()
    images = torch.zeros(4, 1, 8, 8, dtype=torch.uint8, device="meta")
    labels = None if classes is None else torch.zeros(4, dtype=torch.int64, device="meta")
    anywhere = SimpleNamespace(augmentation=None, noise=None)
    monkeypatch.setattr("deconv.training.augmentation._coin", lambda images, _: images[:, :1, :1, :1] > 0)
    with NoNumbers(), NoWaiting():
        found = trainer._gradient([Batch(images, labels)] * 2, [anywhere] * 2)
    assert found.shape == (3,)
    assert any(parameter.grad is not None for parameter in model.parameters())


def test_sources_are_seeded_anew():
    source = RandomSources(torch.device("cpu"))
    draws = [torch.rand(3, generator=source.seed(1, seed).noise) for seed in (2, 3, 2)]
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])


def test_several_processes_take_no_graph():
    with pytest.raises(ValueError, match="graph: several processes, here 2, exchange gradients"):
        fit(small(), splits(), BITS_PER_DIM, SETTINGS, graph=True, workers=Workers(0, 2, torch.device("cpu")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["inverse", "finc", "glow"])
def test_a_captured_step_gives_the_losses_of_an_eager_one(name):
    """Three steps before the capture, and three replayed."""
    device, losses = torch.device("cuda", 0), {}
    for graph in (False, True):
        trainer = Trainer(
            small(name, preprocessing="gaussianise").to(device), splits(), BITS_PER_DIM, SETTINGS,
            Workers(0, 1, device), None, {}, graph,
        )  # fmt: skip
        trainer.initialise()
        batches = trainer.batches(0)
        losses[graph] = torch.tensor([trainer.step(batches) for _ in range(6)])
        assert not graph or trainer._static._graph is not None
    torch.testing.assert_close(losses[True], losses[False], rtol=1e-4, atol=1e-4)
