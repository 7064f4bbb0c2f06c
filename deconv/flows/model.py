"""The multi-scale backbone: squeeze, steps of flow, split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .base import StandardNormal
from .coupling import SplitPrior
from .data_dependent import DataDependent
from .dequantisation import UniformDequantisation
from .layer import Flow, Sequential
from .squeeze import Squeeze

__all__ = ["FlowModel"]


class FlowModel(Flow):
    r"""A density of images in [0, 1]: levels of squeeze and steps of flow, with splits between the levels.

    At every level the image is squeezed (four times the channels, half the sides) and goes through the steps; half
    of its channels then leave, normalised given the other half (`SplitPrior`). What left, and what remains after the
    last level, is the latent, flat, with the dimension of the image and a standard normal density.

    Parameters
    ----------
    image_shape: `(C, H, W)` to train on. Other sizes divisible by ``2 ** levels`` work too where the steps allow it.
    step: makes a step of flow for images `(C, H, W)`.
    levels, steps: L, and K per level.
    preprocessing: the first layer, from [0, 1]; by default none.
    dequantisation: see `deconv.flows.bits_per_dim`; uniform by default.
    base: density of the latent.
    config: what rebuilds the model, see `build_flow`.

    Shapes
    ------
    x `(B, C, H, W)`, z `(B, D)` with `D = C H W`, ladj and log_prob `(B,)`.

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
        dequantisation: nn.Module | None = None,
        base: nn.Module | None = None,
        config: dict[str, Any] | None = None,
    ):
        super().__init__()
        if len(image_shape) != 3 or min(image_shape) < 1:
            raise ValueError(f"image_shape: must be (C, H, W), given {tuple(image_shape)}")
        if levels < 1 or steps < 1:
            raise ValueError(f"levels, steps: must be positive, given {levels} and {steps}")
        self.image_shape: tuple[int, int, int] = tuple(image_shape)
        self.levels = levels
        self.config = config
        self._check_sides(self.image_shape[1:], "image_shape")
        self.preprocessing = Sequential() if preprocessing is None else preprocessing
        self.dequantisation = UniformDequantisation() if dequantisation is None else dequantisation
        self.base = StandardNormal() if base is None else base
        self.scales, self.priors = nn.ModuleList(), nn.ModuleList()
        channels, height, width = self.image_shape
        for level in range(levels):
            channels, height, width = 4 * channels, height // 2, width // 2
            self.scales.append(Sequential(Squeeze(), *(step((channels, height, width)) for _ in range(steps))))
            if level < levels - 1:
                self.priors.append(SplitPrior(channels))
                channels //= 2

    # Shapes

    def _check_sides(self, sides: Sequence[int], name: str) -> None:
        if any(side % 2**self.levels for side in sides):
            raise ValueError(
                f"{name}: height and width must be divisible by {2**self.levels} for {self.levels} levels, "
                f"given {tuple(sides)}"
            )

    def latent_shapes(self, image_size: tuple[int, int] | None = None) -> list[tuple[int, int, int]]:
        """`(C, H, W)` of what leaves at each level, for images of `image_size`, by default that of `image_shape`."""
        height, width = self.image_shape[1:] if image_size is None else image_size
        self._check_sides((height, width), "image_size")
        shapes, channels = [], self.image_shape[0]
        for level in range(self.levels):
            channels, height, width = 4 * channels, height // 2, width // 2
            if level < self.levels - 1:
                channels //= 2
            shapes.append((channels, height, width))
        return shapes

    def unflatten(self, z: Tensor, image_size: tuple[int, int] | None = None) -> list[Tensor]:
        """A flat latent `(B, D)` as the list of what leaves at each level, `(B, C, H, W)` each."""
        shapes = self.latent_shapes(image_size)
        sizes = [c * h * w for c, h, w in shapes]
        if z.ndim != 2 or z.shape[1] != sum(sizes):
            raise ValueError(
                f"z: must have shape (B, {sum(sizes)}) for images of {tuple(image_size or self.image_shape[1:])} "
                f"(image_size=(H, W) asks for others), given {tuple(z.shape)}"
            )
        return [part.unflatten(1, shape) for part, shape in zip(z.split(sizes, dim=1), shapes, strict=True)]

    # The two directions

    def latents(self, x: Tensor, context: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """As `forward`, with z as a list, one `(B, C, H, W)` per level."""
        if x.ndim != 4 or x.shape[1] != self.image_shape[0] or not x.is_floating_point():
            raise ValueError(
                f"x: must be floating-point images (B, {self.image_shape[0]}, H, W) in [0, 1], "
                f"given {x.dtype} {tuple(x.shape)}"
            )
        self._check_sides(x.shape[-2:], "x")
        x, total = self.preprocessing(x, context)
        left = []
        for level, scale in enumerate(self.scales):
            x, ladj = scale(x, context)
            total = total + ladj
            if level < self.levels - 1:
                x, ladj = self.priors[level](x, context)
                total = total + ladj
                x, leaving = x.chunk(2, dim=1)
                left.append(leaving)
        return [*left, x], total

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] to a flat latent. The first call in training mode initialises (see `initialise`)."""
        latents, ladj = self.latents(x, context)
        return torch.cat([z.flatten(1) for z in latents], dim=1), ladj

    def inverse(
        self, z: Tensor, context: Tensor | None = None, *, image_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """A flat latent to images of `image_size`, by default that of `image_shape`."""
        *left, x = self.unflatten(z, image_size)
        total = z.new_zeros(z.shape[0])
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                x, ladj = self.priors[level].inverse(torch.cat([x, left[level]], dim=1), context)
                total = total + ladj
            x, ladj = self.scales[level].inverse(x, context)
            total = total + ladj
        x, ladj = self.preprocessing.inverse(x, context)
        return x, total + ladj

    # Densities and samples

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Log-density of images in [0, 1], `(B,)`, in nats."""
        z, ladj = self(x, context)
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
        """`n` images in [0, 1] (what falls outside is clamped), `(n, C, H, W)`.

        temperature: standard deviation of the latent; less than 1 gives likelier, less varied images.
        context: labels `(n,)` of a conditional model. generator: on the model's device.
        """
        if n < 1:
            raise ValueError(f"n: must be positive, given {n}")
        if temperature < 0:
            raise ValueError(f"temperature: must not be negative, given {temperature}")
        dimension = sum(c * h * w for c, h, w in self.latent_shapes(image_size))
        like = next(self.parameters())
        z = self.base.sample((n, dimension), generator=generator, device=like.device, dtype=like.dtype)
        return self.decode(temperature * z, context, image_size=image_size).clamp_(0, 1)

    def encode(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Images in [0, 1] to their flat latents."""
        return self(x, context)[0]

    def decode(self, z: Tensor, context: Tensor | None = None, *, image_size: tuple[int, int] | None = None) -> Tensor:
        """Flat latents to images; the inverse of `encode`, not clamped."""
        return self.inverse(z, context, image_size=image_size)[0]

    def interpolate(self, first: Tensor, second: Tensor, count: int = 8, context: Tensor | None = None) -> Tensor:
        """Images between two batches of images, `(count, B, C, H, W)`, both ends included.

        Along great circles of the latent space, where the lengths of latents stay those of likely images.
        """
        ends = self.encode(first, context), self.encode(second, context)
        cosine = torch.nn.functional.cosine_similarity(*ends, dim=1).clamp(-1, 1)
        angle = cosine.acos().clamp_min(1e-4)[:, None]
        between = [
            self.decode(
                (((1 - t) * angle).sin() * ends[0] + (t * angle).sin() * ends[1]) / angle.sin(),
                context,
                image_size=tuple(first.shape[-2:]),
            )
            for t in torch.linspace(0, 1, count).tolist()
        ]
        return torch.stack(between)

    # Data-dependent initialisation

    def _data_dependent(self) -> list[DataDependent]:
        return [layer for layer in self.modules() if isinstance(layer, DataDependent)]

    @property
    def initialised(self) -> bool:
        """Whether the layers that start from data have seen some."""
        return all(bool(layer.initialised) for layer in self._data_dependent())

    @torch.no_grad()
    def initialise(self, x: Tensor, context: Tensor | None = None) -> None:
        """Start every layer that depends on data anew from a batch of images in [0, 1]."""
        for layer in self._data_dependent():
            layer.forget()
        mode = self.training
        self.train()(x, context)
        self.train(mode)
