"""A density of images on the multi-scale architecture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from ..nn.clamp import clamp_closed
from ..nn.precision import at_least_float32
from .base import Base, StandardNormal
from .data_dependent import DataDependent
from .dequantisation import UniformDequantisation
from .layer import Flow
from .multiscale import MultiScale

__all__ = ["FlowModel"]


class FlowModel(MultiScale):
    r"""A density of images in [0, 1]: a multi-scale flow to a latent of known density.

    .. math:: \log p(x) = \log p(z) + \mathrm{ladj}

    Parameters
    ----------
    image_shape : sequence of int
        `(C, H, W)` to train on. Other sizes divisible by ``2 ** levels`` work too where the steps allow it.
    step : callable
        Makes a step of flow for images `(C, H, W)`.
    levels : int
        L.
    steps : int
        K, per level.
    preprocessing : Flow, optional
        The first layer, from [0, 1]; by default none.
    dequantisation : UniformDequantisation, optional
        See `deconv.flows.bits_per_dim`; uniform by default.
    base : StandardNormal or Logistic, optional
        Density of the latent; standard normal by default.
    config : dict, optional
        What rebuilds the model, see `build_flow`.

    Notes
    -----
    Images are `(B, C, H, W)`, latents `(B, D)` with D = C H W, log-determinants and log-densities `(B,)`.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017. Kingma and Dhariwal, "Glow:
    Generative Flow with Invertible 1x1 Convolutions", NeurIPS 2018.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        step: Callable[[tuple[int, int, int]], Flow],
        *,
        levels: int,
        steps: int,
        preprocessing: Flow | None = None,
        dequantisation: UniformDequantisation | None = None,
        base: Base | None = None,
        config: dict[str, Any] | None = None,
    ):
        super().__init__(image_shape, step, levels=levels, steps=steps, preprocessing=preprocessing)
        self.dequantisation = UniformDequantisation() if dequantisation is None else dequantisation
        self.base = StandardNormal() if base is None else base
        self.config = config

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Log-density of images.

        Parameters
        ----------
        x : Tensor
            Images in [0, 1], `(B, C, H, W)`.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.

        Returns
        -------
        Tensor
            `(B,)`, in nats; in the dtype of `x`, float32 at least.

        Raises
        ------
        TypeError
            No tensor.
        ValueError
            Images that do not lie in [0, 1] (not checked in compiled code, under transforms of `torch.func` and while
            a CUDA graph is captured).
        """
        check_range(x)
        z, ladj = self(at_least_float32(x), context)
        return self.base.log_prob(z) + ladj

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        temperature: float = 1.0,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Images drawn from the density.

        Parameters
        ----------
        n : int
            How many.
        temperature : float
            Standard deviation of the latent; less than 1 gives likelier, less varied images.
        context : Tensor, optional
            Labels `(n,)` of a conditional model.
        generator : torch.Generator, optional
            On the model's device.
        image_size : tuple of int, optional
            `(H, W)` of the images; by default that of `image_shape`.

        Returns
        -------
        Tensor
            `(n, C, H, W)`, clamped to [0, 1], in the dtype of the parameters.
        """
        if n < 1:
            raise ValueError(f"n: must be positive, given {n}")
        if temperature < 0:
            raise ValueError(f"temperature: must not be negative, given {temperature}")
        dimension = sum(c * h * w for c, h, w in self.latent_shapes(image_size))
        like = next(self.parameters())
        dtype = torch.promote_types(like.dtype, torch.float32)
        z = self.base.sample((n, dimension), generator=generator, device=like.device, dtype=dtype)
        return self.decode(temperature * z, context, image_size=image_size).clamp_(0, 1).to(like.dtype)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Images in [0, 1], `(B, C, H, W)`, to flat latents `(B, D)`."""
        return self(x, context)[0]

    def decode(self, z: Tensor, context: Tensor | None = None, *, image_size: tuple[int, int] | None = None) -> Tensor:
        """Flat latents to images; the inverse of `encode`, not clamped."""
        return self.inverse(z, context, image_size=image_size)[0]

    def interpolate(self, first: Tensor, second: Tensor, count: int = 8, context: Tensor | None = None) -> Tensor:
        r"""Images between two batches of images, along great circles of the latent space.

        .. math:: z_t = \left(\sum_i w_i(t) \min(|z_i|, r) + w_i(t)^4 \max(|z_i| - r, 0)\right)
                  \frac{\sum_i \sin(\alpha w_i(t)) \, z_i / |z_i|}{\sin \alpha}, \qquad w(t) = (1 - t, t)

        with the angle :math:`\alpha` between both latents, and the norm r of likely ones, :math:`\sqrt D` for the
        standard normal base. Where the images are unlikely, what their norms exceed r by fades on the way: far out and
        in other directions than theirs the model has learnt nothing, and `decode` gives values of any size.

        Parameters
        ----------
        first, second : Tensor
            Images in [0, 1], `(B, C, H, W)`.
        count : int
            How many, both ends included.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.

        Returns
        -------
        Tensor
            `(count, B, C, H, W)` in [0, 1]; what falls outside is clamped.
        """
        height, width = first.shape[-2:]
        ends = torch.stack([self.encode(first, context), self.encode(second, context)])
        lengths, directions = ends.norm(dim=2, keepdim=True), normalize(ends, dim=2)
        likely = self.base.deviation * math.sqrt(ends.shape[2])
        excess = relu(lengths - likely)
        cosine = directions.prod(0).sum(1, keepdim=True)
        # Between equal or opposite latents the slope of the angle is infinite: there it is a constant.
        cosine = torch.where(cosine.abs() < 1, cosine, cosine.detach().clamp(-1, 1))
        angle = clamp_closed(cosine.acos(), low=1e-4, high=math.pi - 1e-3)
        between = []
        for t in torch.linspace(0, 1, count).tolist():
            shares = ends.new_tensor([1 - t, t]).view(2, 1, 1)
            length = (shares * (lengths - excess) + shares**4 * excess).sum(0)
            direction = normalize(((shares * angle).sin() * directions).sum(0), dim=1)
            between.append(self.decode(length * direction, context, image_size=(height, width)))
        return clamp_closed(torch.stack(between), low=0, high=1)

    # Data-dependent initialisation

    def _data_dependent(self) -> list[DataDependent]:
        return [layer for layer in self.modules() if isinstance(layer, DataDependent)]

    @property
    def initialised(self) -> bool:
        """Whether the layers that start from data have seen some."""
        return all(bool(layer.initialised) for layer in self._data_dependent())

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start every layer that depends on data anew.

        Parameters
        ----------
        x : Tensor
            A batch of images in [0, 1], `(B, C, H, W)`.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.
        """
        for layer in self._data_dependent():
            layer.forget()
        mode = self.training
        self.train()(x, context)
        self.train(mode)


# How far beyond [0, 1] rounding, or decoding what was encoded, takes an image.
_BEYOND = 1e-3


def check_range(x: Tensor) -> None:
    """Refuse images of another range, and NaN, where their values can be read."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x: expected a tensor, given {type(x).__name__}")
    unread = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or x.is_meta
    if unread or not x.numel() or (x.is_cuda and torch.cuda.is_current_stream_capturing()):
        return
    low, high = (float(end) for end in x.detach().aminmax())
    if not (low >= -_BEYOND and high <= 1 + _BEYOND):
        raise ValueError(f"x: must be images in [0, 1], given values {low:.4g} ... {high:.4g}")
