"""The table of flow layers under comparison: a new one is one more row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..solvers.geometry import Corner
from .butterfly import ButterflyLayer
from .cinc import CIncConvolution
from .emerging import EmergingConvolution
from .finc import FIncUnit
from .inverse_unit import InverseUnit
from .layer import Flow
from .macow import MaCowUnit
from .mintnet import MintNetUnit
from .periodic import PeriodicConvolution
from .self_normalizing import SelfNormalizingConvolution
from .woodbury import MemoryEfficientWoodbury

__all__ = ["FLOWS", "FlowLayer", "listing", "names"]


@dataclass(frozen=True)
class FlowLayer:
    """One row of `FLOWS`: what comes first in every step, before ActNorm, a 1 x 1 convolution and a coupling.

    Parameters
    ----------
    build : callable
        ``build(image_shape, kernel_size, corners)``: the layers, for images `(C, H, W)`, C a multiple of 4, and the
        corners that the inverse convolutions of this step solve from.
    summary : str
        Half a line for the command's help.
    source : str
        Where the layer was published.
    exact_inverse : bool
        Whether `inverse` undoes `forward` to rounding.
    differentiable_inverse : bool
        Whether gradients pass through `inverse`.
    any_size : bool
        Whether the layer takes images of other sizes than it was built for.

    Examples
    --------
    A layer of one's own is a row, too; `build_flow`, `deconv.training.train` and `load_model` then know its name:

    >>> import deconv
    >>> FLOWS["own"] = FlowLayer(lambda shape, size, corners: [InverseUnit(shape[0], size)], "one corner", "here")
    >>> deconv.build_flow("own", (1, 8, 8), levels=1, steps=2, width=8).sample(1).shape
    torch.Size([1, 1, 8, 8])
    >>> del FLOWS["own"]
    """

    build: Callable[[tuple[int, int, int], int, Sequence[Corner]], Sequence[Flow]]
    summary: str
    source: str
    exact_inverse: bool = True
    differentiable_inverse: bool = True
    any_size: bool = True


FLOWS: dict[str, FlowLayer] = {
    "inverse": FlowLayer(
        lambda shape, size, corners: [InverseUnit(shape[0], size, corners=corners)],
        "inverse convolutions; samples by plain ones",
        "Nagar and Varma, AISTATS 2025",
    ),
    "finc": FlowLayer(
        lambda shape, size, _: [FIncUnit(shape[0], size)],
        "convolutions from four corners, in four groups of channels",
        "Kallappa, Nagar and Varma, VISAPP 2023",
    ),
    "cinc": FlowLayer(
        lambda shape, size, _: [CIncConvolution(shape[0], size)],
        "a convolution padded on two sides",
        "Nagar, Dufraisse and Varma, 2021",
    ),
    "emerging": FlowLayer(
        lambda shape, size, _: [EmergingConvolution(shape[0], size)],
        "two masked convolutions in opposite orders",
        "Hoogeboom, van den Berg and Welling, ICML 2019",
    ),
    "glow": FlowLayer(
        lambda shape, size, _: [],
        "no more than the 1 x 1 convolution",
        "Kingma and Dhariwal, NeurIPS 2018",
    ),
    # The memory-efficient Woodbury transformation: the other one has a matrix with a row for every pixel.
    "woodbury": FlowLayer(
        lambda shape, size, _: [MemoryEfficientWoodbury(shape)],
        "low-rank mixing of channels, rows and columns",
        "Lu and Huang, NeurIPS 2020",
        any_size=False,
    ),
    "macow": FlowLayer(
        lambda shape, size, _: [MaCowUnit(shape[0], size, width=max(8, 2 * shape[0]))],
        "row by row, affine in networks that see the rows before",
        "Ma, Kong, Zhang and Hovy, NeurIPS 2019",
    ),
    "butterfly": FlowLayer(
        lambda shape, size, _: [ButterflyLayer(shape)],
        "a product of sparse matrices over all pixels",
        "Meng, Zhou, Choi, Dao and Ermon, ICML 2022",
        any_size=False,
    ),
    "snf": FlowLayer(
        lambda shape, size, _: [SelfNormalizingConvolution(shape[0], size)],
        "a convolution with a learnt, approximate inverse",
        "Keller, Peters, Jaini, Hoogeboom, Forre and Welling, ICML 2021",
        exact_inverse=False,
    ),
    "mintnet": FlowLayer(
        lambda shape, size, _: [MintNetUnit(shape[0], size)],
        "masked residual networks, inverted by iteration",
        "Song, Meng and Ermon, NeurIPS 2019",
        differentiable_inverse=False,
    ),
    "periodic": FlowLayer(
        lambda shape, size, _: [PeriodicConvolution(shape[0], size)],
        "a convolution of the periodic image, by Fourier transforms",
        "Hoogeboom, van den Berg and Welling, ICML 2019",
    ),
}


def names() -> str:
    """The names of all rows, for the help."""
    return ", ".join(FLOWS)


def listing() -> str:
    """The rows and what they are, for the help."""
    return "; ".join(f"{name} ({row.summary})" for name, row in FLOWS.items())
