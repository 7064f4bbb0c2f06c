"""Space to channels."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from ..nn.precision import in_float32
from .layer import Flow

__all__ = ["Squeeze"]


class Squeeze(Flow):
    """Each 2 x 2 block of pixels becomes four channels: `(B, C, H, W)` to `(B, 4 C, H / 2, W / 2)`, ladj 0.

    References
    ----------
    Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP", ICLR 2017, section 3.6.
    """

    @in_float32
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if x.ndim != 4 or x.shape[-2] % 2 or x.shape[-1] % 2:
            raise ValueError(f"x: must be (B, C, H, W) of even height and width to squeeze, given {tuple(x.shape)}")
        if not len(x):  # which pixel_unshuffle leaves in their shape
            return x.reshape(0, 4 * x.shape[1], x.shape[2] // 2, x.shape[3] // 2), x.new_zeros(0)
        return pixel_unshuffle(x, 2), x.new_zeros(x.shape[0])

    @in_float32
    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if z.ndim != 4 or z.shape[1] % 4:
            raise ValueError(f"z: must be (B, 4 C, H, W) to undo a squeeze, given {tuple(z.shape)}")
        return pixel_shuffle(z, 2), z.new_zeros(z.shape[0])
