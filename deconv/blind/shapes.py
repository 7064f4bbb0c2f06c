r"""Blurs of one or two numbers: straight motion, defocus, Gaussian blur; the first two from the power spectrum.

A psf h turns the power S of the latent image into :math:`S |H|^2 + \sigma^2`. Photographs have
:math:`S = c \, |\omega|^{-2\beta}`, and the values of a periodogram P are independent, of exponential distribution. So,
with :math:`m = |\omega|^{-2\beta} |H|^2 + \lambda` and the likeliest scale c, for each frequency,

.. math:: -\log p(P \mid h) = \log \langle P / m \rangle + \langle \log m \rangle ,

whose least value over :math:`\beta` and :math:`\lambda` compares one (length, angle) or radius with another, and
with no blur. The zeros of H decide, which shift with each number.

References: Whittle, "Estimation and information in stationary time series", Arkiv för Matematik, 1953. Cannon, "Blind
deconvolution of spatially invariant image blurs with phase", IEEE Transactions on Acoustics, Speech and Signal
Processing, 1976. Field, "Relations between the statistics of natural images and the response properties of cortical
cells", Journal of the Optical Society of America A, 1987.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..imaging.psf import disk, gaussian, motion

__all__ = ["Kind", "Seen", "Shape", "Spectrum", "find_shapes"]

Kind = Literal["motion", "focus", "gaussian"]

# Pixels on each side of the tiles whose periodograms are averaged, and the lowest and highest frequency that counts, in
# cycles a pixel: below, a tile shows too little of a wave; above, there is more of the sampling than of the photograph.
_TILE, _LOWEST, _HIGHEST = 256, 0.02, 0.5
# The powers that the photograph may fall with, and the noise over the mean power of the latent image, up to where there
# is nothing but noise: without that hypothesis the widest disk, which lets nothing pass, explains white noise best.
_POWERS, _NOISES = (1.0, 1.25, 1.5), tuple(10.0 ** (-n / 2) for n in range(-3, 9))
# The first lengths, angles and radii, each so many times the last one or degrees after it; and of each kind so many are
# refined, in steps that are halved so often.
_SHORTEST, _SMALLEST, _RATIO, _DEGREES = 4.0, 1.4, 1.17, 10
_REFINED, _HALVINGS = 3, 5
# Multiples of a length that are tried.
_MULTIPLES = (2, 3)
_AT_ONCE = 8


@dataclass(frozen=True)
class Shape:
    """Straight motion, defocus, or Gaussian blur.

    Attributes
    ----------
    kind : {"motion", "focus", "gaussian"}
        Of which kind.
    size : float
        Length of the motion, radius of the disk, or standard deviation, in pixels.
    angle : float
        Of motion, in degrees, counter-clockwise from the horizontal.
    """

    kind: Kind
    size: float
    angle: float = 0.0

    def is_extreme(self, window: int) -> bool:
        """Whether it is about the smallest, or the largest, that is looked for in a window.

        What is likelier than no blur only there is neither: detail that is fine, or a straight edge, which looks the
        same after motion along it of any length.
        """
        least, largest = (_SHORTEST, window) if self.kind == "motion" else (_SMALLEST, (window - 1) / 2)
        return not 1.1 * least <= self.size <= 0.98 * largest

    def psf(self, window: tuple[int, int] | None = None) -> Tensor:
        """The psf `(kh, kw)`, by default in the least window."""
        if self.kind == "motion":
            return motion(self.size, self.angle, window)
        return disk(self.size, window) if self.kind == "focus" else gaussian(self.size, window)

    def beside(self, step: float) -> list[Shape]:
        """Those of `near` of which one number is another."""
        return [each for each in self.near(step) if (each.size == self.size) != (each.angle == self.angle)]

    def near(self, step: float) -> list[Shape]:
        """Those around it, in steps of a share of its size, and of the angle that moves the ends as far."""
        turn = math.degrees(2 * step)
        sizes = [self.size * (1 + sign * step) for sign in (-1, 0, 1)]
        angles = [(self.angle + sign * turn) % 180 for sign in (-1, 0, 1)] if self.kind == "motion" else [0.0]
        return [Shape(self.kind, size, angle) for size in sizes for angle in angles]

    def fits(self, window: int) -> bool:
        """Whether a window of that side has room for it; of a Gaussian, for three standard deviations to each side."""
        return {"motion": 1, "focus": 2, "gaussian": 6}[self.kind] * self.size < window

    def octaves(self) -> list[Shape]:
        """Those of half and twice the size."""
        return [Shape(self.kind, factor * self.size, self.angle) for factor in (0.5, 2.0)]


# A shape and by how much it is likelier than no blur, in nats a frequency.
Seen = tuple[float, Shape]


class Spectrum:
    """The power spectrum of a photograph, an average over tiles.

    Parameters
    ----------
    image : Tensor
        `(1, 1, H, W)`.
    """

    def __init__(self, image: Tensor) -> None:
        side = [min(_TILE, n) for n in image.shape[2:]]
        tiles = image[0, 0].unfold(0, side[0], max(1, side[0] // 2)).unfold(1, side[1], max(1, side[1] // 2))
        window = torch.outer(*(torch.hann_window(n, periodic=False, device=image.device) for n in side))
        power = image.new_zeros(side[0], side[1] // 2 + 1)
        for row in tiles:
            waves = torch.fft.rfft2((row - row.mean((-2, -1), keepdim=True)) * window)
            power += waves.abs().square().mean(0)
        power = (power / power.mean().clamp_min(1e-30)).cpu()
        rows, columns = torch.fft.fftfreq(side[0])[:, None], torch.fft.rfftfreq(side[1])
        frequency = torch.hypot(rows, columns)
        # Along the axes lies what the frame, the horizon and walls leave.
        seen = (frequency >= _LOWEST) & (frequency < _HIGHEST) & (rows != 0) & (columns != 0)
        self.rows, self.columns = (axis.expand_as(frequency)[seen] for axis in (rows, columns))
        self.power = power[seen]
        fall = frequency[seen] ** -2
        self.photographs = [fall**power / (fall**power).mean() for power in _POWERS]

    def gains(self, shapes: Sequence[Shape], noises: Sequence[float] = _NOISES) -> list[float]:
        """By how much each is likelier than no blur, in nats a frequency, under the likeliest of some noises."""
        none = self._scores(torch.ones(1, len(self.power)), noises)
        scores = [
            self._scores(torch.stack([self.transfer(shape) for shape in shapes[first : first + _AT_ONCE]]), noises)
            for first in range(0, len(shapes), _AT_ONCE)
        ]
        return (none - torch.cat(scores)).tolist()

    def transfer(self, shape: Shape) -> Tensor:
        r""":math:`|H|^2` at the frequencies that count."""
        if shape.kind == "motion":
            angle = math.radians(shape.angle)
            along = self.columns * math.cos(angle) - self.rows * math.sin(angle)
            return torch.sinc(shape.size * along).square()
        turns = 2 * math.pi * shape.size * torch.hypot(self.rows, self.columns)
        return (2 * torch.special.bessel_j1(turns) / turns).square()

    def _scores(self, transfers: Tensor, noises: Sequence[float]) -> Tensor:
        """Minus the log likelihood for each of some `(N, F)`, the least over powers and noises, `(N,)`."""
        best = transfers.new_full((len(transfers),), float("inf"))
        for photograph in self.photographs:
            latent = photograph * transfers
            for noise in noises:
                mean = latent + noise
                score = (self.power / mean).mean(1).log() + mean.log().mean(1)
                best = torch.minimum(best, score)
        return best


def find_shapes(image: Tensor, kinds: Sequence[Kind], window: tuple[int, int]) -> list[Seen]:
    """The likeliest straight motion and the likeliest defocus, and by how much each is likelier than no blur.

    Parameters
    ----------
    image : Tensor
        `(1, 1, H, W)`, grey.
    kinds : sequence of {"motion", "focus"}
        Which to try.
    window : tuple of int
        That the psf has to fit into, `(kh, kw)`.

    Returns
    -------
    list of tuple
        Of each kind the gain in nats a frequency, negative where no blur is likelier, and the shape, its numbers
        refined to about a hundredth.
    """
    spectrum = Spectrum(image)
    found: list[Seen] = []
    for kind in kinds:
        best = _near(spectrum, _sorted(spectrum, _grid(kind, min(window)), _NOISES[::2])[:_REFINED], window)
        if kind == "motion":
            # A length shares its zeros with twice and three times that, which a search from afar takes it for.
            _, shape = best[0]
            for longer in (replace(shape, size=times * shape.size) for times in _MULTIPLES):
                if _fits(longer, min(window)):
                    best += _near(spectrum, [(-math.inf, longer)], window)
        found.append(max(best, key=_gain_of))
    return found


def _near(spectrum: Spectrum, best: list[Seen], window: tuple[int, int]) -> list[Seen]:
    """The likeliest ones near some, the best first, in steps that are halved."""
    step = (_RATIO - 1) / 2
    for _ in range(_HALVINGS):
        near = {each for _, shape in best for each in shape.near(step) if _fits(each, min(window))}
        # Half and twice a length share zeros.
        near |= {each for _, shape in best[:1] for each in shape.octaves() if _fits(each, min(window))}
        best = _sorted(spectrum, sorted(near, key=astuple))[:_REFINED]
        step /= 2
    return best


def _grid(kind: Kind, window: int) -> list[Shape]:
    angles = range(0, 180, _DEGREES) if kind == "motion" else (0,)
    size = _SHORTEST if kind == "motion" else _SMALLEST
    shapes: list[Shape] = []
    while _fits(Shape(kind, size), window) or not shapes:
        shapes += [Shape(kind, size, float(angle)) for angle in angles]
        size *= _RATIO
    return shapes


def _fits(shape: Shape, window: int) -> bool:
    if shape.kind == "motion":
        return _SHORTEST <= shape.size <= window
    return _SMALLEST <= shape.size <= (window - 1) / 2


def _sorted(spectrum: Spectrum, shapes: Sequence[Shape], noises: Sequence[float] = _NOISES) -> list[Seen]:
    return sorted(zip(spectrum.gains(shapes, noises), shapes, strict=True), key=_gain_of, reverse=True)


def _gain_of(pair: Seen) -> float:
    return pair[0]
