"""Flow layers in other libraries: one density, computed by theirs and by ours, where they are installed."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal, TransformedDistribution

from deconv import flows
from deconv.flows import adapters

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::SyntaxWarning")


@pytest.fixture
def x():
    return torch.randn(3, 4, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def layer():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return flows.Sequential(flows.InverseUnit(4, 3), flows.AffineCoupling(4, 5)).double().eval()


def base(shape):
    zeros = torch.zeros(shape, dtype=torch.float64)
    return Independent(Normal(zeros, zeros + 1), len(shape))


def log_prob(layer, x, context=None):
    z, ladj = layer(x, context)
    return base(z.shape[1:]).log_prob(z) + ladj


def test_torch(layer, x):
    density = TransformedDistribution(base(x.shape[1:]), adapters.to_torch(layer).inv)
    assert density.event_shape == x.shape[1:]
    torch.testing.assert_close(density.log_prob(x), log_prob(layer, x))
    torch.testing.assert_close(density.log_prob(x.unflatten(0, (3, 1))), log_prob(layer, x)[:, None])
    with torch.no_grad():
        assert density.rsample((2, 5)).shape == (2, 5, *x.shape[1:])
    transform = adapters.to_torch(layer)
    torch.testing.assert_close(transform.inv(transform(x)), x)


def test_torch_with_shapes_that_change(x):
    model = flows.InverseFlow((1, 4, 4), levels=1, steps=1, width=4, num_classes=3).double().eval()
    labels = torch.tensor([0, 1, 2])
    density = TransformedDistribution(base((16,)), adapters.to_torch(model, labels).inv)
    assert density.event_shape == (1, 4, 4)
    images = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(density.log_prob(images), model.log_prob(images, labels))
    assert adapters.to_torch(flows.Squeeze()).forward_shape((7, 2, 4, 6)) == (7, 8, 2, 3)


def test_zuko(layer, x):
    zuko = pytest.importorskip("zuko")
    standard = zuko.lazy.UnconditionalDistribution(base, x.shape[1:], buffer=True)
    density = zuko.lazy.Flow(adapters.to_zuko(layer), standard)()
    torch.testing.assert_close(density.log_prob(x), log_prob(layer, x))
    assert density.sample((2,)).shape == (2, *x.shape[1:])


def test_nflows(layer, x):
    transforms = pytest.importorskip("nflows.transforms")
    composed = transforms.CompositeTransform([adapters.to_nflows(layer), adapters.to_nflows(flows.Squeeze())])
    z, ladj = composed(x)
    torch.testing.assert_close(base(z.shape[1:]).log_prob(z) + ladj, log_prob(layer, x))
    torch.testing.assert_close(composed.inverse(z)[0], x)


def test_normflows(layer, x):
    normflows = pytest.importorskip("normflows")

    class Base(torch.nn.Module):
        def log_prob(self, z):
            return base(z.shape[1:]).log_prob(z)

    model = normflows.NormalizingFlow(Base(), [adapters.to_normflows(layer)])
    torch.testing.assert_close(model.log_prob(x), log_prob(layer, x))
    torch.testing.assert_close(model.forward(model.inverse(x)), x)


def test_freia(layer, x):
    framework = pytest.importorskip("FrEIA.framework")
    network = framework.SequenceINN(4, 4, 6)
    network.append(adapters.to_freia(layer))
    network.append(adapters.to_freia(flows.Squeeze()))
    z, ladj = network(x)
    torch.testing.assert_close(base(z.shape[1:]).log_prob(z) + ladj, log_prob(layer, x))
    torch.testing.assert_close(network(z, rev=True)[0], x)


def test_freia_with_a_condition(x):
    framework = pytest.importorskip("FrEIA.framework")
    layer = flows.AffineCoupling(4, 5, num_classes=3).double()
    entry, condition = framework.InputNode(4, 4, 6), framework.ConditionNode()
    node = framework.Node(entry, adapters.to_freia(layer), {}, conditions=condition)
    network = framework.GraphINN([entry, condition, node, framework.OutputNode(node)])
    labels = torch.tensor([0, 1, 2])
    z, ladj = network(x, c=labels)
    expected, expected_ladj = layer(x, labels)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(ladj, expected_ladj)


@pytest.mark.parametrize(
    ("convert", "package"),
    [("to_zuko", "zuko"), ("to_nflows", "nflows"), ("to_normflows", "normflows"), ("to_freia", "FrEIA")],
)
def test_a_missing_library_is_named(convert, package, layer, monkeypatch):
    monkeypatch.setattr(adapters, "import_module", _refuse)
    with pytest.raises(ImportError, match=f"{package} is not installed"):
        getattr(adapters, convert)(layer)


def _refuse(name):
    raise ImportError(name)
