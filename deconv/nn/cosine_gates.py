"""A network that weighs the cosine coefficients of the blocks of an image by what it sees in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, gelu

from ..ops.dct import dct_matrix

__all__ = ["CosineGates"]

_SIZE = 8  # of the blocks
_BANDS = _SIZE**2 - 1  # the means are left alone


class CosineGates(nn.Module):
    r"""A sum of images whose cosine coefficients are multiplied by learnt gains, block by block.

    .. math:: f(x_0, \dots, x_n) = \tfrac{1}{m} \sum_p P_p^T \sum_i g_i(p) \odot P_p x_i

    P takes the 63 cosine coefficients, without the mean, of the block of 8 x 8 pixels at p, m blocks cover a pixel, and
    the gains :math:`|g_i| < 1` come from the coefficients in units of their noise, there and in the blocks around: of
    each its energy, and whether it agrees in sign with that of :math:`x_0`. This is an empirical Wiener filter whose
    gains are learnt. Unit and sign of the images make no difference, constants give zero, and so does an untrained one.

    Parameters
    ----------
    images : int
        n + 1.
    width : int
        Channels of the hidden layers.
    stride : int
        Rows and columns between blocks, 1, 2, 4 or 8. It may be changed after training: the blocks that are looked at
        around one stay 4 apart.
    """

    def __init__(self, images: int, width: int = 128, stride: int = 4) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Linear((2 * images - 1) * _BANDS, width)
        self.noise = nn.Linear((images - 1) * _BANDS, width, bias=False)
        self.around = nn.Conv2d(width, width, 3, padding=4 // stride, dilation=4 // stride)
        self.last = nn.Linear(width, images * _BANDS)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Apply it.

        Parameters
        ----------
        images : Tensor
            `(B, n + 1, H, W)`, H and W multiples of 8.
        noise : Tensor
            Covariance of the noise in all but the first image between pixels up to 7 apart, `(B, n, 15, 15)`.
        sigma : Tensor
            A scale of the noise, by which to compare that in the bands, `(B, 1)`.

        Returns
        -------
        Tensor
            `(B, 1, H, W)`; each pixel that is 8 or more off the border is covered by all m blocks.
        """
        rows = dct_matrix(_SIZE).to(images)
        basis = torch.kron(rows, rows)[1:].view(_BANDS, 1, _SIZE, _SIZE)
        deviation = _deviation(noise, basis)
        planes = conv2d(images.flatten(0, 1).unsqueeze(1), basis, stride=self.stride)
        coefficients = planes.unflatten(0, images.shape[:2])
        # The first image, which is no linear function of the data, by the most regular of the others.
        scale = torch.cat([deviation[:, -1:], deviation], 1)[..., None, None]
        relative = coefficients / scale
        energy = (1 + relative.square()).log().flatten(1, 2)
        agreement = torch.tanh(relative[:, :1] * relative[:, 1:]).flatten(1, 2)
        levels = self.noise((deviation / sigma[..., None]).log().flatten(1))
        hidden = gelu(_at_each_block(self.first, torch.cat([energy, agreement], 1)) + levels[..., None, None])
        hidden = hidden + gelu(self.around(hidden))
        gains = torch.tanh(_at_each_block(self.last, hidden)).view_as(coefficients)
        blocks = (gains * coefficients).sum(1)
        return conv_transpose2d(blocks, basis, stride=self.stride) * (self.stride / _SIZE) ** 2


def _at_each_block(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer applied to channels; on a CPU a product of matrices is quicker than a convolution of 1 x 1."""
    return (layer.weight @ x.flatten(2) + layer.bias[:, None]).unflatten(2, x.shape[2:])


def _deviation(covariance: Tensor, basis: Tensor) -> Tensor:
    """Standard deviation of noise in each band, given its covariance, `(B, n, 15, 15)`: `(B, n, 63)`."""
    # Of each cosine with itself, at all distances.
    overlaps = conv2d(basis.transpose(0, 1), basis, padding=_SIZE - 1, groups=_BANDS)[0]
    variance = covariance.flatten(2) @ overlaps.flatten(1).T
    return variance.clamp_min(1e-30).sqrt()
