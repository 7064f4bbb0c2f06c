"""What evaluation caches is made anew after every change of the parameters, however it is made."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch

import deconv
from deconv.nn import cache
from deconv.nn.cache import cached, compared_once


def perturbed(model):
    generator = torch.Generator().manual_seed(1)
    return [p.detach() + 0.05 * torch.randn(p.shape, generator=generator).to(p) for p in model.parameters()]


def through_data(model):
    for parameter, value in zip(model.parameters(), perturbed(model), strict=True):
        parameter.data.copy_(value)


def in_place(model):
    for parameter, value in zip(model.parameters(), perturbed(model), strict=True):
        parameter.copy_(value)


def other_data(model):
    for parameter, value in zip(model.parameters(), perturbed(model), strict=True):
        parameter.data = value


def through_numpy(model):
    for parameter in model.parameters():
        parameter.numpy(force=True)[...] += 0.02


def by_fused_adam(model):
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05, fused=True)
    for parameter, value in zip(model.parameters(), perturbed(model), strict=True):
        parameter.grad = value
    optimiser.step()


def by_state(model):
    other = copy.deepcopy(model)
    in_place(other)
    model.load_state_dict(other.state_dict())


def replaced(model):
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(parameter + 0.02))


def swapped(model):
    """The values of two entries exchanged: sums and norms stay."""
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data.flip(-1) if parameter.ndim else parameter.data)


CHANGES = [through_data, in_place, other_data, through_numpy, by_fused_adam, by_state, replaced, swapped]
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@every_change
@pytest.mark.parametrize("name", ["inverse", "finc", "woodbury", "butterfly", "periodic", "snf"])
def test_a_model_notices(name, change):
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = deconv.build_flow(name, (1, 8, 8), levels=2, steps=2, width=8, seed=0)
    model.initialise(x)
    model.eval()
    with torch.no_grad():
        for _ in range(2):  # the second call finds what the first one cached
            before = model.log_prob(x)
            model.decode(model.encode(x))
        change(model)
        fresh = deconv.build_flow(**model.config).eval()
        fresh.load_state_dict(model.state_dict())
        assert (model.log_prob(x) - before).abs().max() > 1e-3
        torch.testing.assert_close(model.log_prob(x), fresh.log_prob(x))
        z = fresh.encode(x)
        torch.testing.assert_close(model.decode(z), fresh.decode(z))


@every_change
def test_a_layer_notices(change):
    x = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    layer = deconv.InverseConv2d(3, 3, anchor="plu", max_gain=5.0, generator=torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        layer(x)
        change(layer)
        z, ladj = layer(x)
        expected, expected_ladj = copy.deepcopy(layer).train()(x)
        torch.testing.assert_close(z, expected)
        torch.testing.assert_close(ladj, expected_ladj)
        torch.testing.assert_close(layer.inverse(z)[0], x)


def test_plain_tensors_in_the_place_of_parameters_are_noticed():
    """As where another network makes them."""
    x = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    layer = deconv.InverseConv2d(3, 3, generator=torch.Generator().manual_seed(0)).eval()
    taps = layer.taps.detach()
    del layer.taps
    with torch.no_grad():
        for factor in (1, 2, 3):
            layer.taps = factor * taps
            torch.testing.assert_close(layer(x)[0], copy.deepcopy(layer).train()(x)[0])
        layer.taps.mul_(2)
        torch.testing.assert_close(layer(x)[0], copy.deepcopy(layer).train()(x)[0])


class Doubled(torch.nn.Module):
    """Twice its weight, counting how often that is made."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(4.0))
        self.made = 0

    def _make(self):
        self.made += 1
        return 2 * self.weight

    def forward(self, *given):
        return cached(self, self._make, "weight", *given)


class Model(torch.nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    @compared_once
    def forward(self):
        return sum(layer() for layer in self.layers)


@torch.no_grad()
def test_an_unchanged_layer_makes_it_once():
    layer = Doubled().eval()
    for _ in range(3):
        assert torch.equal(layer(), 2 * layer.weight)
    assert layer.made == 1
    assert layer(7) is layer(7)
    assert layer.made == 2
    layer.double()
    assert layer(7).dtype == torch.float64
    layer.train()
    layer(7), layer(7)
    assert layer.made == 5


@torch.no_grad()
def test_an_unchanged_model_makes_it_once():
    shared = Doubled()
    first, second = Model(shared, Doubled()).eval(), Model(shared).eval()
    for _ in range(3):
        first()
    assert shared.made == 1
    second(), first(), second()
    assert torch.equal(second(), 2 * shared.weight)
    # Back to values that one of two models has seen last: what the other one made must not be taken for its own.
    old = shared.weight.clone()
    shared.weight.data.mul_(3)
    assert torch.equal(second(), 6 * old)
    shared.weight.data.copy_(old)
    assert torch.equal(first(), 2 * old + 2 * first.layers[1].weight)


@torch.no_grad()
def test_a_changed_model_makes_all_anew_once():
    model = Model(Doubled(), Doubled()).eval()
    model()
    model.layers[0].weight.data.add_(1)
    for _ in range(3):
        assert torch.equal(model(), 2 * (model.layers[0].weight + model.layers[1].weight))
    assert model.layers[0].made == 2


class Holder(torch.nn.Module):
    """Tensors of several kinds: contiguous, with channels last, a view with gaps, a buffer, an empty one."""

    def __init__(self):
        super().__init__()
        whole = torch.arange(24.0).reshape(1, 2, 3, 4)
        self.plain = torch.nn.Parameter(whole.clone())
        self.channels_last = torch.nn.Parameter(whole.clone().contiguous(memory_format=torch.channels_last))
        self.gaps = torch.nn.Parameter(whole[..., ::2])
        self.scalar = torch.nn.Parameter(torch.ones((), dtype=torch.bfloat16))
        self.empty = torch.nn.Parameter(torch.zeros(0, 3))
        self.register_buffer("flag", torch.tensor(False))
        self.child = torch.nn.Linear(2, 2)
        self.made_elsewhere = torch.ones(3)


EDITS = {
    "plain": lambda m: m.plain.data[0, 1, 2, 3].add_(1),
    "channels last": lambda m: m.channels_last.data[0, 1, 2, 3].add_(1),
    "view": lambda m: m.gaps.data[0, 1, 2, 1].add_(1),
    "half precision": lambda m: m.scalar.data.add_(1),
    "buffer": lambda m: m.flag.fill_(True),
    "child": lambda m: m.child.bias.data.add_(1),
    "plain tensor": lambda m: m.made_elsewhere.add_(1),
    "other plain tensor": lambda m: setattr(m, "made_elsewhere", torch.ones(3)),
    "other child": lambda m: setattr(m, "child", torch.nn.Linear(2, 2)),
    "other parameter": lambda m: setattr(m, "scalar", torch.nn.Parameter(m.scalar.detach().clone())),
    "other shape": lambda m: setattr(m.plain, "data", m.plain.data.reshape(1, 2, 4, 3)),
    "other dtype": lambda m: m.double(),
    "no parameter": lambda m: setattr(m, "scalar", None),
}


@torch.no_grad()
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("on_cpu", [True, False])
def test_a_snapshot_tells_every_change(edit, on_cpu, monkeypatch):
    module = Holder()
    snapshot = cache._Snapshot([module])
    if not on_cpu:  # the way of accelerators
        snapshot._on_cpu = False
        snapshot._values = snapshot._read()
    assert snapshot.holds()
    EDITS[edit](module)
    assert not snapshot.holds()


@torch.no_grad()
def test_the_cache_is_no_part_of_the_module():
    layer = Doubled().eval()
    before = set(vars(layer))
    layer()
    assert set(vars(layer)) == before
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(), layer())
    gone = weakref.ref(layer)
    del layer, twin
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("backend", ["aot_eager"])
def test_compiled_code_neither_reads_nor_writes_the_cache(backend):
    layer = deconv.InverseConv2d(2, 3, anchor="plu").eval()
    x = torch.rand(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        compiled = torch.compile(layer, fullgraph=True, backend=backend)
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
        through_data(layer)
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
