"""From whole numbers to images in [0, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layer import per_image

__all__ = ["UniformDequantisation", "check_whole_numbers"]


class UniformDequantisation(nn.Module):
    r"""``x = (n + u) / levels`` with u uniform on [0, 1).

    The mean over u of ``log p(x) + ladj``, with ``ladj = -D log levels``, is a lower bound of the log-likelihood of the
    whole numbers n.

    Parameters
    ----------
    levels : int
        How many grey levels there are: images hold 0 ... `levels` - 1.

    References
    ----------
    Theis, van den Oord and Bethge, "A note on the evaluation of generative models", ICLR 2016.
    """

    def __init__(self, levels: int = 256):
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels: must be at least 2, given {levels}")
        self.levels = levels

    def forward(
        self, images: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Whole numbers to images in [0, 1).

        Parameters
        ----------
        images : Tensor
            `(B, C, H, W)`, whole numbers 0 ... `levels` - 1 of an integer dtype.
        context : Tensor, optional
            Not used here.
        generator : torch.Generator, optional
            Source of u, on the device of `images`.

        Returns
        -------
        x : Tensor
            `(B, C, H, W)`, of torch's default dtype.
        ladj : Tensor
            `(B,)`.
        """
        check_whole_numbers(images, self.levels)
        dtype = torch.get_default_dtype()
        noise = torch.rand(images.shape, generator=generator, device=images.device, dtype=dtype)
        x = join(images, noise, self.levels)
        return x, per_image(-images[0].numel() * math.log(self.levels), x)

    def inverse(self, x: Tensor) -> Tensor:
        """The whole numbers that images came from.

        Parameters
        ----------
        x : Tensor
            In [0, 1], any shape.

        Returns
        -------
        Tensor
            In the shape of `x`; uint8, or int64 for more than 256 levels.
        """
        whole = (x * self.levels).floor().clamp(0, self.levels - 1)
        return whole.to(torch.uint8 if self.levels <= 256 else torch.int64)


def join(images: Tensor, noise: Tensor, levels: int) -> Tensor:
    """``(images + noise) / levels``, below the next level also where the sum is rounded."""
    whole = images.to(noise.dtype)
    total, following = whole + noise, whole + 1
    # Where it is rounded up, the sum is a constant; else its slope in the noise is one.
    return torch.where(total < following, total, torch.nextafter(following, whole)) / levels


def check_whole_numbers(images: Tensor, levels: int) -> None:
    """Refuse what is not a batch of images of whole numbers in range."""
    if images.is_floating_point() or images.is_complex() or images.dtype == torch.bool:
        raise TypeError(f"images: must be whole numbers such as uint8, given {images.dtype}")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(f"images: must be (B, C, H, W), given the shape {tuple(images.shape)}")
    if images.dtype != torch.uint8 or levels < 256:
        low, high = (int(end) for end in images.aminmax())
        if low < 0 or high >= levels:
            raise ValueError(f"images: must lie in 0 ... {levels - 1}, given {low} ... {high}")
