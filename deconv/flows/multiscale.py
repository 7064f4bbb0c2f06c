"""The multi-scale architecture: squeeze, steps of flow, split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..nn.cache import compared_once
from ..nn.precision import at_least_float32, in_float32
from .coupling import SplitPrior
from .layer import Flow, Sequential
from .squeeze import Squeeze

__all__ = ["MultiScale"]


class MultiScale(Flow):
    r"""Levels of squeeze and steps of flow, with splits between the levels.

    At every level the image is squeezed (four times the channels, half the sides) and goes through the steps; half
    of its channels then leave, normalised given the other half (`SplitPrior`). What left, and what remains after the
    last level, is the latent, flat, with the dimension of the image.

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

    Notes
    -----
    Images are `(B, C, H, W)`, latents `(B, D)` with D = C H W, log-determinants `(B,)`.

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
    ):
        super().__init__()
        if len(image_shape) != 3 or min(image_shape) < 1:
            raise ValueError(f"image_shape: must be (C, H, W), given {tuple(image_shape)}")
        if levels < 1 or steps < 1:
            raise ValueError(f"levels, steps: must be positive, given {levels} and {steps}")
        channels, height, width = image_shape
        self.image_shape = (channels, height, width)
        self.levels = levels
        self._check_sides((height, width), "image_shape")
        self.preprocessing = Sequential() if preprocessing is None else preprocessing
        scales, priors = nn.ModuleList(), nn.ModuleList()
        for level in range(levels):
            channels, height, width = 4 * channels, height // 2, width // 2
            scales.append(Sequential(Squeeze(), *(step((channels, height, width)) for _ in range(steps))))
            if level < levels - 1:
                priors.append(SplitPrior(channels))
                channels //= 2
        self.scales, self.priors = cast("Sequence[Sequential]", scales), cast("Sequence[SplitPrior]", priors)

    # Shapes

    def _check_sides(self, sides: Sequence[int], name: str) -> None:
        if any(side % 2**self.levels for side in sides):
            raise ValueError(
                f"{name}: height and width must be divisible by {2**self.levels} for {self.levels} levels, "
                f"given {tuple(sides)}"
            )

    def latent_shapes(self, image_size: tuple[int, int] | None = None) -> list[tuple[int, int, int]]:
        """Shapes of the parts of a latent.

        Parameters
        ----------
        image_size : tuple of int, optional
            `(H, W)` of the images; by default that of `image_shape`.

        Returns
        -------
        list of tuple of int
            `(C, H, W)` of what leaves at each level.
        """
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
        """The parts of a flat latent.

        Parameters
        ----------
        z : Tensor
            `(B, D)`.
        image_size : tuple of int, optional
            `(H, W)` of the images; by default that of `image_shape`.

        Returns
        -------
        list of Tensor
            What leaves at each level, `(B, C, H, W)` each.
        """
        shapes = self.latent_shapes(image_size)
        sizes = [c * h * w for c, h, w in shapes]
        if z.ndim != 2 or z.shape[1] != sum(sizes):
            raise ValueError(
                f"z: must have shape (B, {sum(sizes)}) for images of {tuple(image_size or self.image_shape[1:])} "
                f"(image_size=(H, W) asks for others), given {tuple(z.shape)}"
            )
        return [part.unflatten(1, shape) for part, shape in zip(z.split(sizes, dim=1), shapes, strict=True)]

    # The two directions

    @compared_once
    def latents(self, x: Tensor, context: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """Images to the parts of their latents.

        Parameters
        ----------
        x : Tensor
            Images in [0, 1], `(B, C, H, W)`.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.

        Returns
        -------
        parts : list of Tensor
            What leaves at each level, `(B, C, H, W)` each.
        ladj : Tensor
            `(B,)`.
        """
        if x.ndim != 4 or x.shape[1] != self.image_shape[0] or not x.is_floating_point():
            raise ValueError(
                f"x: must be floating-point images (B, {self.image_shape[0]}, H, W) in [0, 1], "
                f"given {x.dtype} {tuple(x.shape)}"
            )
        self._check_sides(x.shape[-2:], "x")
        dtype = x.dtype
        x, total = self.preprocessing(at_least_float32(x), context)
        left = []
        for level, scale in enumerate(self.scales):
            x, ladj = scale(x, context)
            total = total + ladj
            if level < self.levels - 1:
                x, ladj = self.priors[level](x, context)
                total = total + ladj
                x, leaving = x.chunk(2, dim=1)
                left.append(leaving)
        return [part.to(dtype) for part in (*left, x)], total

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images to flat latents. The first call in training mode initialises (see `initialise`).

        Parameters
        ----------
        x : Tensor
            Images in [0, 1], `(B, C, H, W)`.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.

        Returns
        -------
        z : Tensor
            `(B, D)`.
        ladj : Tensor
            `(B,)`.
        """
        latents, ladj = self.latents(x, context)
        return torch.cat([z.flatten(1) for z in latents], dim=1), ladj

    @compared_once
    @in_float32
    def inverse(
        self, z: Tensor, context: Tensor | None = None, *, image_size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Flat latents to images.

        Parameters
        ----------
        z : Tensor
            `(B, D)`.
        context : Tensor, optional
            Labels `(B,)` of a conditional model.
        image_size : tuple of int, optional
            `(H, W)` of the images; by default that of `image_shape`.

        Returns
        -------
        x : Tensor
            `(B, C, H, W)`.
        ladj : Tensor
            `(B,)`.
        """
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
