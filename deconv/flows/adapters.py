"""Layers and models of this package in other libraries of flows, each imported when it is asked for.

An adapter shares the layer's parameters, mode and data-dependent initialisation; it only follows another library's
calling convention. Log-determinants are summed over dimensions in all of them.
"""

from __future__ import annotations

import copy
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.distributions import Transform, constraints

from .layer import Flow
from .model import FlowModel

__all__ = ["to_freia", "to_nflows", "to_normflows", "to_torch", "to_zuko"]


def to_torch(layer: Flow, context: Tensor | None = None) -> Transform:
    """A `torch.distributions.Transform` from image to latent, whose ``.inv`` goes from latent to image.

    ``TransformedDistribution(base, to_torch(layer).inv)`` is the density of images.

    Parameters
    ----------
    layer : Flow
        A layer or a model.
    context : Tensor, optional
        One row per image where the axes before the event are a single batch, or one row for all.

    Returns
    -------
    Transform
        Its event is `(C, H, W)`, the flat axis for the latent of a `FlowModel`; any number of axes may come before it.
    """
    return _ImageTransform(layer, context)


def to_zuko(layer: Flow) -> nn.Module:
    """A `zuko.lazy.LazyTransform` of a layer.

    Parameters
    ----------
    layer : Flow
        A layer or a model.

    Returns
    -------
    zuko.lazy.LazyTransform
        The context that zuko passes goes to the layer.

    Raises
    ------
    ImportError
        zuko is not installed.
    """
    lazy = _library("zuko.lazy", "zuko")

    class LazyFlow(lazy.LazyTransform):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, c: Tensor | None = None) -> Transform:
            return to_torch(self.layer, c)

    return LazyFlow()


def to_nflows(layer: Flow) -> nn.Module:
    """An `nflows.transforms.Transform` of a layer; there, too, `forward` is the density direction.

    Parameters
    ----------
    layer : Flow
        A layer or a model.

    Returns
    -------
    nflows.transforms.Transform
        With the layer as its attribute ``layer``.

    Raises
    ------
    ImportError
        nflows is not installed.
    """
    transforms = _library("nflows.transforms", "nflows")

    class NFlowsTransform(transforms.Transform):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.layer(inputs, context)

        def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.layer.inverse(inputs, context)

    return NFlowsTransform()


def to_normflows(layer: Flow) -> nn.Module:
    """A `normflows.flows.Flow` of a layer; there `forward` is the sampling direction.

    Parameters
    ----------
    layer : Flow
        A layer or a model.

    Returns
    -------
    normflows.flows.Flow
        With the layer as its attribute ``layer``.

    Raises
    ------
    ImportError
        normflows is not installed.
    """
    normflows = _library("normflows", "normflows")

    class NormFlow(normflows.flows.Flow):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.layer.inverse(z, context)

        def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.layer(z, context)

    return NormFlow()


def to_freia(layer: Flow) -> type[nn.Module]:
    """A subclass of `FrEIA.modules.InvertibleModule` around this layer, for `Node` or `SequenceINN.append`.

    Parameters
    ----------
    layer : Flow
        A layer or a model. A condition node, where the graph has one, is its context.

    Returns
    -------
    type
        To be instantiated by FrEIA.

    Raises
    ------
    ImportError
        FrEIA is not installed.
    """
    modules = _library("FrEIA.modules", "FrEIA")

    class FreiaModule(modules.InvertibleModule):
        def __init__(self, dims_in, dims_c=None):
            super().__init__(dims_in, dims_c)
            if len(self.dims_in) != 1 or len(self.dims_c) > 1:
                raise ValueError(
                    "dims_in, dims_c: a layer takes one input and at most one condition, "
                    f"given {len(self.dims_in)} and {len(self.dims_c)}"
                )
            self.layer = layer

        def forward(self, x_or_z, c=None, rev: bool = False, jac: bool = True):
            direction = self.layer.inverse if rev else self.layer
            result, ladj = direction(x_or_z[0], c[0] if c else None)
            return (result,), ladj

        def output_dims(self, input_dims):
            return [_event_shape(self.layer, tuple(shape)) for shape in input_dims]

    return FreiaModule


class _ImageTransform(Transform):
    bijective = True

    def __init__(self, layer: Flow, context: Tensor | None):
        super().__init__(cache_size=0)
        self.layer, self.context = layer, context

    @property
    def domain(self):
        return constraints.independent(constraints.real, 3)

    @property
    def codomain(self):
        return constraints.independent(constraints.real, 1 if isinstance(self.layer, FlowModel) else 3)

    def _apply(self, direction, value: Tensor, event_dim: int) -> tuple[Tensor, Tensor]:
        batch = value.shape[:-event_dim]
        context = self.context
        if context is not None:
            context = context.expand(*batch, *context.shape[1:]).reshape(-1, *context.shape[1:])
        result, ladj = direction(value.reshape(-1, *value.shape[-event_dim:]), context)
        return result.reshape(*batch, *result.shape[1:]), ladj.reshape(batch)

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both at once, as zuko asks for them."""
        return self._apply(self.layer, x, self.domain.event_dim)

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self._apply(self.layer.inverse, y, self.codomain.event_dim)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]

    def forward_shape(self, shape: torch.Size) -> torch.Size:
        shape = torch.Size(shape)
        return shape[:-3] + torch.Size(_event_shape(self.layer, shape[-3:]))

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        shape, dims = torch.Size(shape), self.codomain.event_dim
        return shape[:-dims] + torch.Size(_event_shape(self.layer, shape[-dims:], inverse=True))


@torch.no_grad()
def _event_shape(layer: Flow, shape: tuple[int, ...], inverse: bool = False) -> tuple[int, ...]:
    """What one direction makes of a shape, found by trying it on a copy, which sees no data."""
    trial = copy.deepcopy(layer).eval()
    like = next(trial.parameters(), torch.zeros(()))
    zeros = torch.zeros(1, *shape, device=like.device, dtype=like.dtype)
    # Conditional layers take a label; the others ignore it.
    label = torch.zeros(1, dtype=torch.int64, device=like.device)
    return tuple((trial.inverse if inverse else trial)(zeros, label)[0].shape[1:])


def _library(name: str, package: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{package} is not installed, or cannot be imported here: {error}") from error
