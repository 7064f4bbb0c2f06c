r"""Pixels that were clipped, as bounds on the blurred latent image.

Where a pixel was clipped, at white say, it tells no more than :math:`h * x \ge y`, and there is no misfit where that
holds. It is of one colour; where the samples are opponent colours, it ties three of them together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .colours import join, split

__all__ = ["ClippedPixels"]

# So far beyond white or black a blurred latent image has to be before a clipped pixel allows for it, in parts of white.
# Paper is white and no more, letters are up to 0.5 dB worse for not being told, and noise leaves some below white.
# Where nearly all around a pixel are clipped, it is brighter, and its surroundings are up to 2 dB better for less.
_BEYOND_PAPER, _BEYOND_WHITE, _BEYOND_BLACK = 0.05, 0.01, 0.01
_AROUND, _NEARLY_ALL, _FULLY = 5, 0.9, 0.999


class ClippedPixels:
    """Those of an observation.

    Parameters
    ----------
    image : Tensor
        The observation, samples and channels before the spatial axes.
    ends : Tensor
        1 where the blurred latent image is at least what was observed, -1 where at most, 0 elsewhere; for opponent
        colours those of the colours, `(B, 3, H, W)`.
    space : int
        Number of spatial axes.
    colours : bool
        The samples are opponent colours.

    Attributes
    ----------
    side, limit : Tensor
        `ends`, and the value from which on a clipped pixel is explained, both of `channels`.
    """

    def __init__(self, image: Tensor, ends: Tensor, *, space: int, colours: bool) -> None:
        self.colours = colours
        self.side = ends.to(image)
        values = self.channels(image)
        white = values.abs().amax(tuple(range(-space - 1, 0)), keepdim=True)
        bright = _surrounded((self.side > 0) & (values >= _FULLY * white), space)
        beyond = torch.where(bright, _BEYOND_WHITE, _BEYOND_PAPER)
        self.limit = values + white * torch.where(ends > 0, beyond, -_BEYOND_BLACK)

    def channels(self, values: Tensor) -> Tensor:
        """Values as they may be clipped: those of the samples, or of the colours that these are opponents of."""
        return join(values) if self.colours else values

    def samples(self, channels: Tensor) -> Tensor:
        """The inverse of `channels`."""
        return split(channels) if self.colours else channels

    def weights(self, weights: Tensor) -> Tensor:
        """Weights of pixels that samples share, as they broadcast against `channels`."""
        return weights[::3] if self.colours and len(weights) > 1 else weights

    def explained(self, channels: Tensor) -> Tensor:
        """Which of them a blurred latent image explains, being beyond them: bool, of `channels`."""
        return self.side * (channels - self.limit) > 0

    def any_of(self, chosen: Tensor) -> Tensor:
        """In which samples something is chosen of `channels`: in all three opponent colours, if in a colour."""
        return chosen.any(1, keepdim=True).repeat_interleave(3, 0) if self.colours else chosen


def _surrounded(chosen: Tensor, space: int) -> Tensor:
    """Where nearly all pixels around are chosen, too."""
    mean = F.avg_pool2d if space == 2 else F.avg_pool3d
    planes = chosen.float().reshape(-1, 1, *chosen.shape[-space:])
    return (mean(planes, _AROUND, 1, _AROUND // 2, count_include_pad=False) >= _NEARLY_ALL).view_as(chosen)
