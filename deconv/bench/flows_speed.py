"""How long the flows take, and how much memory: sampling, density, training step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import torch

from ..flows import FlowModel, Sequential, bits_per_dim
from ..nn.cache import compared_once
from .flows_models import Backbone, Contestant, images
from .memory import asked_of_a_process, peak_allocated, peak_resident
from .timing import interleaved_medians

__all__ = ["Speed", "growth", "measure_speed"]


@dataclass(frozen=True)
class Speed:
    """Of one flow; times in seconds.

    Attributes
    ----------
    error : float
        Largest difference between images and the decoded latents of these images.
    exact : bool
        Whether the error is rounding.
    sample_1, sample_100 : float
        Sampling so many images.
    linear_100 : float
        Of `sample_100`, all but the couplings.
    forward_100 : float
        Latents and density of 100 images.
    step : float
        A training step with a batch, without the optimiser.
    memory : int or None
        Bytes at the peak of a training step, beyond parameters and images; None where the system cannot tell.
    """

    name: str
    width: int
    parameters: int
    error: float
    exact: bool
    sample_1: float
    sample_100: float
    linear_100: float
    forward_100: float
    step: float
    memory: int | None


def measure_speed(
    flows: Sequence[Contestant], backbone: Backbone, *, batch: int, device: str, seconds: float, memory: bool
) -> list[Speed]:
    """Each time is a median over runs that take turns among the flows."""
    shape = backbone.shape
    some, one, dimension = images(100, shape, device), images(batch, shape, device), torch.Size(shape).numel()
    z = torch.randn(100, dimension, generator=torch.Generator().manual_seed(0)).to(device)

    def medians(make: Callable[[FlowModel], Callable[[], object]]) -> dict[str, float]:
        functions = {flow.name: make(flow.model) for flow in flows}
        return interleaved_medians(functions, seconds=seconds * len(flows), rounds=(3, 50), device=device)

    for flow in flows:
        flow.model.eval()
    errors = {flow.name: _error(flow.model, some[:16] / 255) for flow in flows}
    sample_1 = medians(lambda model: lambda: _decode(model, z[:1]))
    sample_100 = medians(lambda model: lambda: _decode(model, z))
    linear_100 = medians(lambda model: lambda: _linear_parts(model, z))
    forward_100 = medians(lambda model: lambda: _density(model, some / 255))
    for flow in flows:
        flow.model.train()
    step = medians(lambda model: lambda: training_step(model, one))
    peaks = _memory(flows, backbone, batch, device) if memory else [None] * len(flows)
    return [
        Speed(
            flow.name, flow.width, flow.parameters, errors[flow.name], errors[flow.name] < 1e-4, sample_1[flow.name],
            sample_100[flow.name], linear_100[flow.name], forward_100[flow.name], step[flow.name], peak,
        )
        for flow, peak in zip(flows, peaks, strict=True)
    ]  # fmt: skip


def growth(
    backbones: dict[int, Backbone], names: Sequence[str], *, batch: int, device: str, seconds: float
) -> list[tuple[int, str, float, float]]:
    """Sampling time and training-step time over a series of backbones: ``(value, flow, sampling, step)``."""
    points = []
    for value, backbone in backbones.items():
        some = images(batch, backbone.shape, device)
        dimension = torch.Size(backbone.shape).numel()
        z = torch.randn(batch, dimension, generator=torch.Generator().manual_seed(0)).to(device)
        models = {name: backbone.build(name, device=device) for name in names}
        times = []
        for training, function, data in ((False, _decode, z), (True, training_step, some)):
            functions = {
                name: lambda model=model, function=function, data=data: function(model, data)
                for name, model in models.items()
            }
            for model in models.values():
                model.train(training)
            times.append(interleaved_medians(functions, seconds=seconds * len(names), rounds=(3, 50), device=device))
        points += [(value, name, times[0][name], times[1][name]) for name in names]
    return points


def training_step(model: FlowModel, batch: torch.Tensor) -> None:
    """Bits per dimension and all their gradients."""
    for parameter in model.parameters():
        parameter.grad = None
    bits_per_dim(model, batch).mean().backward()


@torch.no_grad()
def _decode(model: FlowModel, z: torch.Tensor) -> torch.Tensor:
    return model.decode(z)


@torch.no_grad()
def _density(model: FlowModel, x: torch.Tensor) -> torch.Tensor:
    return model.log_prob(x)


@torch.no_grad()
@compared_once
def _linear_parts(model: FlowModel, z: torch.Tensor) -> None:
    """The steps of flow on latents of the right shapes, without their couplings."""
    x = z.reshape(len(z), *model.image_shape)
    for level, scale in enumerate(model.scales):
        squeeze, *steps = scale
        x = squeeze(x)[0]
        for step in steps:
            linear, _ = cast("Sequential", step)
            linear.inverse(x)
        if level < model.levels - 1:
            x = x.chunk(2, dim=1)[0]


@torch.no_grad()
def _error(model: FlowModel, x: torch.Tensor) -> float:
    return float((model.decode(model.encode(x)) - x).abs().max())


def _memory(flows: Sequence[Contestant], backbone: Backbone, batch: int, device: str) -> list[int | None]:
    if device != "cpu":
        one = images(batch, backbone.shape, device)
        return [peak_allocated(lambda model=flow.model: training_step(model, one)) for flow in flows]
    widths = [(flow.name, flow.width) for flow in flows]
    request = {"backbone": asdict(backbone), "flows": widths, "batch": batch}
    return asked_of_a_process(__name__, request) or [None] * len(flows)


def _serve() -> None:
    """In a process of its own, as `deconv.bench.memory` explains."""
    torch.set_num_threads(1)
    request = json.load(sys.stdin)
    backbone = Backbone(**request["backbone"])
    one, peaks = images(request["batch"], backbone.shape), []
    for name, width in request["flows"]:
        model = backbone.build(name, width=width)
        training_step(model, one)
        peaks.append(peak_resident(lambda model=model: training_step(model, one)))
    json.dump(peaks, sys.stdout)


if __name__ == "__main__":
    _serve()
