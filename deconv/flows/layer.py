"""The contract of a flow layer, and how layers are put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from ..nn.precision import in_float32

if TYPE_CHECKING:
    from ..nn import InverseConv2d

__all__ = ["Flow", "Inverse", "Sequential", "per_image"]


class Flow(nn.Module, ABC):
    r"""An invertible map ``z = f(x)`` with a known log-determinant.

    `forward` is the density direction, image to latent, and `inverse` the sampling direction. Both return the
    result and the logarithm of the absolute determinant of *their own* Jacobian, summed over dimensions:

    .. math:: \mathrm{ladj} = \log\left|\det \frac{\partial z}{\partial x}\right|, \qquad
              \log p(x) = \log p(z) + \mathrm{ladj}

    Notes
    -----
    x and z are `(B, ...)`; ladj is `(B,)`, in x's dtype (float32 for half precision) and on its device, each image's
    independent of the rest of the batch. The context is what the density is conditioned on, one row per image; layers
    that are not conditional ignore it.
    """

    def __init__(self):
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Image to latent: ``(z, log |det dz/dx|)``."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent to image: ``(x, log |det dx/dz|)``."""


class Sequential(Flow):
    """Layers one after the other; `inverse` runs them backwards. Log-determinants add.

    Parameters
    ----------
    *layers : Flow
        In the order of `forward`; `deconv.InverseConv2d` is one, too.
    """

    def __init__(self, *layers: Flow | InverseConv2d):
        super().__init__()
        self.layers = cast("Sequence[Flow]", nn.ModuleList(layers))

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, ladj = layer(x, context)
            total = total + ladj
        return x, total

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(z.shape[0])
        for layer in reversed(self.layers):
            z, ladj = layer.inverse(z, context)
            total = total + ladj
        return z, total

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Flow:
        return self.layers[index]


class Inverse(Flow):
    """A layer with its two directions exchanged.

    Parameters
    ----------
    layer : Flow
        Its `inverse` becomes `forward`.
    """

    def __init__(self, layer: Flow | InverseConv2d):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.layer.inverse(x, context)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.layer(z, context)


def per_image(value: Tensor | float, x: Tensor) -> Tensor:
    """A log-determinant that is the same for all images of `x`, as `(B,)` in x's dtype."""
    if isinstance(value, Tensor):
        return value.to(x).expand(x.shape[0])
    return x.new_full((x.shape[0],), value)
