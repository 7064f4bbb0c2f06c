"""The network of a step of the prior's flow, and its gradient written out, on compiled kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import pad

from ...solvers.compiled.parallel import run
from ...solvers.compiled.prepared import register_bytes
from ...solvers.compiled.vector import F32, F64
from .features import PLANES, adjoint_filters, adjoint_kernel, feature_filters, feature_kernel
from .gates import adjoint_gate_kernel, gate_kernel
from .winograd import (
    ACTIVATE,
    ADD,
    MARGIN,
    SCALE,
    TILE,
    convolution_kernel,
    scratch_bytes,
    tiles_of_task,
    transformed_filters,
)

__all__ = ["Network", "shifts_and_scales"]


@dataclass(frozen=True)
class _Tiled:
    """Images in memory: whole tiles with a margin around them, channels innermost."""

    batch: int
    height: int
    width: int

    @property
    def tiles(self) -> tuple[int, int]:
        return -(-self.height // TILE), -(-self.width // TILE)

    @property
    def rows(self) -> int:
        return TILE * self.tiles[0]

    @property
    def columns(self) -> int:
        return TILE * self.tiles[1]

    def empty(self, channels: int, like: Tensor) -> Tensor:
        return like.new_empty(self.batch, self.rows + 2 * MARGIN, self.columns + 2 * MARGIN, channels)

    def clear_margin(self, image: Tensor) -> None:
        """Zeros on all that is outside of the image."""
        for axis, size in ((1, self.height), (2, self.width)):
            image.narrow(axis, 0, MARGIN).zero_()
            image.narrow(axis, MARGIN + size, image.shape[axis] - MARGIN - size).zero_()


class Network:
    """The parameters of a step's network as the kernels read them, channels padded with zeros to whole registers.

    Parameters
    ----------
    energies, linear : Tensor
        Filters of the first layer, `(width, given + 1, 3, 3)` and `(gates, given + 1, 3, 3)`.
    layers : sequence of Tensor
        Those of the hidden ones, `(width, width, 3, 3)`, and of the last, `(changed * (1 + gates), width, 3, 3)`.
    """

    def __init__(self, energies: Tensor, linear: Tensor, layers: Sequence[Tensor]) -> None:
        itemsize = energies.element_size()
        self.lanes = register_bytes() // itemsize
        self.kind = (F32 if itemsize == 4 else F64) + self.lanes
        self.given, self.gates, outputs = energies.shape[1] - 1, len(linear), len(layers[-1])
        self.changed = outputs // (1 + self.gates)
        self.vectors = -(-max(len(energies), outputs) // self.lanes)
        self.linear_vectors = -(-self.gates // self.lanes)
        self.channels, self.linear_channels = self.vectors * self.lanes, self.linear_vectors * self.lanes
        features = torch.cat([_padded(energies, self.channels, PLANES), _padded(linear, self.linear_channels, PLANES)])
        self.features = feature_filters(features)
        self.features_adjoint = adjoint_filters(features, self.lanes)
        filters = [_padded(weight, self.channels, self.channels) for weight in layers]
        self.filters = [transformed_filters(weight) for weight in filters]
        self.adjoints = [transformed_filters(weight.transpose(0, 1).flip(2, 3)) for weight in filters]
        self._size: _Tiled | None = None
        self._free: dict[int, list[Tensor]] = {}

    def take(self, tiled: _Tiled, channels: int, like: Tensor) -> Tensor:
        """Memory for images, not written yet; that of images of the same size before, whose pages are there already."""
        free = self._free.get(channels) if tiled == self._size else None
        try:
            return free.pop() if free else tiled.empty(channels, like)
        except IndexError:  # another thread has taken it
            return tiled.empty(channels, like)

    def give(self, tiled: _Tiled, images: Sequence[Tensor]) -> None:
        """Give back memory that nobody reads any more."""
        if tiled != self._size:
            self._size, self._free = tiled, {}
        for image in images:
            self._free.setdefault(image.shape[3], []).append(image)

    def convolve(
        self, tiled: _Tiled, source: Tensor, filters: Tensor, purpose: int, other: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """A layer or its adjoint, see `convolution_kernel`, of an image that is zero outside, as it is made to be."""
        tiled.clear_margin(source)
        target = self.take(tiled, self.channels, source)
        tiles = tiled.batch * tiled.tiles[0] * tiled.tiles[1]
        tasks = -(-tiles // tiles_of_task(self.vectors))
        threads = max(1, min(torch.get_num_threads(), tasks))
        size = scratch_bytes(self.kind, self.vectors)
        scratch = source.new_empty(threads * size // source.element_size())
        words = (
            *(each.data_ptr() for each in (source, target, other)),
            *(*tiled.tiles, tiles, filters.data_ptr()),
            *((0, 0) if bias is None else _of_images(bias)),
            *(purpose, scratch.data_ptr(), size),
        )
        run(convolution_kernel(self.kind, self.vectors), words, tasks, threads)
        return target


def shifts_and_scales(
    network: Network,
    image: Tensor,
    biases: Sequence[Tensor],
    plain: Callable[[Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """What a network makes of an image; can be differentiated with respect to it.

    Parameters
    ----------
    network : Network
        Its parameters.
    image : Tensor
        The given details and the low band, `(B, given + 1, H, W)`.
    biases : sequence of Tensor
        Of the energies, of each hidden layer and of the outputs, `(B, channels)` or `(1, channels)`.
    plain : callable
        The same by torch, where a gradient is to be differentiated again.

    Returns
    -------
    shifts, scales : Tensor
        The latter before any function, `(B, changed, H, W)`.
    """
    padded = [pad(bias, (0, network.channels - bias.shape[1])) for bias in biases]
    return _ShiftsAndScales.apply(image, network, padded, plain)


@dataclass
class _Kept:
    """What the gradient needs. Its memory goes back to the network when the graph is gone, which may be used twice."""

    network: Network
    tiled: _Tiled
    derivatives: list[Tensor]
    outputs: Tensor
    linear: Tensor

    def __del__(self) -> None:
        self.network.give(self.tiled, [*self.derivatives, self.outputs, self.linear])


class _ShiftsAndScales(Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, network: Network, biases: list[Tensor], plain: Callable[[Tensor], Any]
    ) -> tuple[Tensor, Tensor]:
        tiled = _Tiled(len(image), *image.shape[2:])
        hidden, derivative, linear = _features(network, tiled, image, biases[0])
        derivatives = [derivative]
        for filters, bias in zip(network.filters[:-1], biases[1:-1], strict=True):
            derivatives.append(network.take(tiled, network.channels, image))
            following = network.convolve(tiled, hidden, filters, ACTIVATE, derivatives[-1], bias)
            network.give(tiled, [hidden])
            hidden = following
        outputs = network.convolve(tiled, hidden, network.filters[-1], ADD, hidden, biases[-1])
        network.give(tiled, [hidden])
        shifts, scales = (image.new_empty(len(image), network.changed, *image.shape[2:]) for _ in range(2))
        words = _gate_words(network, tiled, outputs, linear, shifts, scales)
        _run_rows(gate_kernel(image.element_size()), words, tiled.batch * tiled.height)
        ctx.plain, ctx.kept = plain, _Kept(network, tiled, derivatives, outputs, linear)
        ctx.save_for_backward(image)
        return shifts, scales

    @staticmethod
    def backward(ctx: Any, of_shifts: Tensor, of_scales: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():  # to be differentiated again
            (image,) = ctx.saved_tensors
            made = ctx.plain(image)
            (gradient,) = torch.autograd.grad(made, image, (of_shifts, of_scales), create_graph=True)
            return gradient, None, None, None
        kept: _Kept = ctx.kept
        network, tiled, outputs, linear = kept.network, kept.tiled, kept.outputs, kept.linear
        of_shifts, of_scales = of_shifts.contiguous(), of_scales.contiguous()
        gradient, of_linear = (network.take(tiled, each.shape[3], each) for each in (outputs, linear))
        words = _gate_words(network, tiled, outputs, linear, of_shifts, of_scales)
        words += gradient.data_ptr(), of_linear.data_ptr()
        _run_rows(adjoint_gate_kernel(gradient.element_size()), words, tiled.batch * tiled.height)
        for filters, derivative in zip(reversed(network.adjoints), reversed(kept.derivatives), strict=True):
            following = network.convolve(tiled, gradient, filters, SCALE, derivative)
            network.give(tiled, [gradient])
            gradient = following
        of_image = _features_adjoint(network, tiled, gradient, of_linear)
        network.give(tiled, [gradient, of_linear])
        return of_image, None, None, None


def _features(network: Network, tiled: _Tiled, around: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log(1 + energies^2) + bias, its derivative with respect to the root of these, and the linear features."""
    margins = (1, tiled.columns + 1 - tiled.width, 1, tiled.rows + 1 - tiled.height)
    planes = pad(pad(around, margins, mode="replicate"), (0, 0, 0, 0, 0, PLANES - around.shape[1]))
    planes = planes.permute(0, 2, 3, 1).contiguous()
    hidden, derivative = (network.take(tiled, network.channels, around) for _ in range(2))
    linear = network.take(tiled, network.linear_channels, around)
    words = (
        *(each.data_ptr() for each in (planes, hidden, derivative, linear)),
        *(tiled.rows, tiled.columns, network.features.data_ptr(), *_of_images(bias)),
    )
    kernel = feature_kernel(network.kind, network.vectors, network.linear_vectors)
    _run_rows(kernel, words, tiled.batch * tiled.rows)
    return hidden, derivative, linear


def _features_adjoint(network: Network, tiled: _Tiled, of_energies: Tensor, of_linear: Tensor) -> Tensor:
    """The gradient with respect to the image, what its continuation beyond the borders contributes included."""
    tiled.clear_margin(of_energies)
    tiled.clear_margin(of_linear)
    planes = of_energies.new_empty(tiled.batch, tiled.rows + 2, tiled.columns + 2, PLANES)
    words = (
        *(each.data_ptr() for each in (of_energies, of_linear, planes)),
        *(tiled.rows, tiled.columns, network.features_adjoint.data_ptr()),
    )
    kernel = adjoint_kernel(network.kind, network.vectors, network.linear_vectors)
    _run_rows(kernel, words, tiled.batch * (tiled.rows + 2))
    for axis, size in ((1, tiled.height), (2, tiled.width)):
        for inside, outside in ((1, 0), (size, size + 1)):
            planes.narrow(axis, inside, 1).add_(planes.narrow(axis, outside, 1))
    inner = planes[:, 1 : tiled.height + 1, 1 : tiled.width + 1, : network.given + 1]
    return inner.permute(0, 3, 1, 2).contiguous()


def _gate_words(
    network: Network, tiled: _Tiled, outputs: Tensor, linear: Tensor, shifts: Tensor, scales: Tensor
) -> tuple[int, ...]:
    return (
        *(outputs.data_ptr(), linear.data_ptr(), network.channels, network.linear_channels),
        *(*outputs.shape[1:3], shifts.data_ptr(), scales.data_ptr()),
        *(tiled.height, tiled.width, network.changed, network.gates),
    )


def _run_rows(kernel: Any, words: tuple[int, ...], rows: int) -> None:
    run(kernel, words, rows, max(1, min(torch.get_num_threads(), rows)))


def _of_images(bias: Tensor) -> tuple[int, int]:
    """Where biases `(B, channels)` begin, and the bytes from those of an image to the next."""
    return bias.data_ptr(), 0 if len(bias) == 1 else bias.stride(0) * bias.element_size()


def _padded(weight: Tensor, outputs: int, inputs: int) -> Tensor:
    """Filters of zeros added."""
    return pad(weight.detach(), (0, 0, 0, 0, 0, inputs - weight.shape[1], 0, outputs - weight.shape[0]))
