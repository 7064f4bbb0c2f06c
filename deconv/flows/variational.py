"""Variational dequantisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ..nn.precision import at_least_float32
from .base import StandardNormal
from .dequantisation import UniformDequantisation, check_whole_numbers, join
from .networks import ConvNet

__all__ = ["VariationalDequantisation"]


class VariationalDequantisation(UniformDequantisation):
    r"""``x = (n + u) / levels`` with noise u on (0, 1) that depends on the image, by a flow that is learnt.

    .. math:: u = \sigma(f_n(\epsilon)), \qquad \mathrm{ladj} = -\log q(u | n) - D \log \mathrm{levels}

    The bound on the log-likelihood of n is that of uniform noise, or better. f is a chain of affine couplings on
    checkerboards of pixels, whose networks see the image; it starts as the identity.

    Parameters
    ----------
    channels : int
        C of the images `(B, C, H, W)`.
    couplings : int
        Length of the chain.
    width : int
        Hidden channels of its networks.
    levels : int
        How many grey levels there are: images hold 0 ... `levels` - 1.

    References
    ----------
    Ho, Chen, Srinivas, Duan and Abbeel, "Flow++: Improving Flow-Based Generative Models with Variational
    Dequantization and Architecture Design", ICML 2019.
    """

    def __init__(self, channels: int, *, couplings: int = 4, width: int = 32, levels: int = 256):
        super().__init__(levels)
        self.networks = nn.ModuleList(ConvNet(2 * channels + 1, 2 * channels, width) for _ in range(couplings))
        # The logistic's spread, so that the noise starts nearly uniform.
        self.log_scale = nn.Parameter(torch.full((), math.log(1.7)))

    def forward(
        self, images: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Whole numbers to images in (0, 1).

        Parameters
        ----------
        images : Tensor
            `(B, C, H, W)`, whole numbers 0 ... `levels` - 1 of an integer dtype.
        context : Tensor, optional
            Not used here.
        generator : torch.Generator, optional
            Source of the normal variables, on the device of `images`.

        Returns
        -------
        x : Tensor
            `(B, C, H, W)`, in the dtype of the parameters, float32 at least.
        ladj : Tensor
            `(B,)`.
        """
        check_whole_numbers(images, self.levels)
        like = at_least_float32(self.log_scale)
        epsilon = torch.randn(images.shape, generator=generator, device=images.device, dtype=like.dtype)
        log_q = StandardNormal().log_prob(epsilon.flatten(1))
        seen = images.to(like.dtype) / (self.levels - 1) - 0.5
        height, width = images.shape[-2:]
        rows = torch.arange(height, device=images.device)[:, None]
        board = (rows + torch.arange(width, device=images.device)) % 2
        noise = epsilon * like.exp()
        log_q = log_q - images[0].numel() * like
        for index, network in enumerate(self.networks):
            given = (board == index % 2).to(like.dtype)
            inputs = torch.cat([noise * given, seen, given.expand(len(images), 1, -1, -1)], dim=1)
            shift, raw = network(inputs).chunk(2, dim=1)
            log_scale = torch.tanh(raw) * (1 - given)
            noise = noise * log_scale.exp() + shift * (1 - given)
            log_q = log_q - log_scale.sum((1, 2, 3))
        log_q = log_q - (logsigmoid(noise) + logsigmoid(-noise)).sum((1, 2, 3))
        x = join(images, torch.sigmoid(noise), self.levels)
        return x, -log_q - images[0].numel() * math.log(self.levels)
