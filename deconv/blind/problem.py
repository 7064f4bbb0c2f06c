"""A photograph whose psf is sought: what is observed of it, and what the answers look like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..imaging.arrays import as_image_batch
from .confidence import Signs
from .evidence import Candidate
from .kernel_estimate import KernelEstimate
from .observation import Observation, widest_window, window_size
from .picture_frame import PictureFrame, find_frame
from .shape_fit import SHAPE_CONFIDENCE, fit_shape
from .shapes import Kind, Seen, find_shapes
from .support import delta

__all__ = ["MODELS", "Model", "Problem"]

Model = Literal["auto", "shake", "motion", "focus"]
MODELS: tuple[Model, ...] = ("auto", "shake", "motion", "focus")

_LEAST_SIDE = 32


@dataclass(frozen=True)
class Problem:
    """A photograph whose psf is sought.

    Attributes
    ----------
    image : array_like
        The photograph, as it was given.
    sigma : float or array_like, optional
        Standard deviation of its noise, if that was given.
    model : str
        What the blur may be.
    frame : PictureFrame
        What around the photograph is left out.
    observation : Observation
        The rest.
    size : tuple of int
        The widest window of the psf, `(kh, kw)`.
    window : tuple of int or None
        The window that was asked for; by default the least that has room for the psf.
    """

    image: Any
    sigma: Any
    model: Model
    frame: PictureFrame
    observation: Observation
    size: tuple[int, int]
    window: tuple[int, int] | None

    @classmethod
    def of(cls, image: Any, kernel_size: int | tuple[int, int] | None, *, model: Model, sigma: Any) -> Problem:
        """Check the photograph and the window, as `estimate` is given them."""
        batch, _ = as_image_batch(image)
        if len(batch) != 1:
            raise ValueError(f"image: expected one image, given {len(batch)}")
        height, width = batch.shape[2:]
        if min(height, width) < _LEAST_SIDE:
            raise ValueError(f"image: expected at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels, given {height} x {width}")
        window = None if kernel_size is None else window_size(kernel_size, (height, width))
        size = window or widest_window((height, width))
        frame = find_frame(batch, least=max(_LEAST_SIDE, *(2 * s for s in size)))
        if frame:
            batch = frame.inside(batch)
            size = window or widest_window((batch.shape[2], batch.shape[3]))
        return cls(image, sigma, model, frame, Observation.of(batch, sigma), size, window)

    @cached_property
    def shapes(self) -> list[Seen]:
        """The straight motions and disks that the power spectrum shows."""
        kinds: tuple[Kind, ...] = ("motion", "focus") if self.model in ("auto", "shake") else (self.model,)
        return find_shapes(self.observation.image, kinds, self.size)

    def fitted_shape(self, piece: Observation) -> Candidate | str:
        """The one of them that explains a piece of the observation, or why none is to be trusted."""
        return fit_shape(piece, self.shapes, self.size, self.window)

    def no_blur(self, reason: str, signs: Signs | None = None) -> KernelEstimate:
        """The answer where no psf is to be trusted, and why."""
        psf = delta(self.observation.image.new_zeros(self.size))
        return KernelEstimate(psf, self.image, float("nan"), (psf,), (reason,), signs=signs, frame=self.frame)

    def trusted(self, best: Candidate, probability: float, signs: Signs | None) -> KernelEstimate:
        """The answer where one is, with the probability that it is right."""
        told = {"signs": signs, "sigma": self.sigma, "frame": self.frame}
        return KernelEstimate(best.psf, self.image, best.score, best.trace, (), probability, **told)

    def of_shape(self, piece: Observation, reason: str | None = None, signs: Signs | None = None) -> KernelEstimate:
        """The answer where no other psf is to be trusted, and why: straight motion or defocus, if it may be that."""
        fitted = (reason or "") if self.model == "shake" else self.fitted_shape(piece)
        if isinstance(fitted, str):
            return self.no_blur(reason or fitted, signs)
        return self.trusted(fitted, SHAPE_CONFIDENCE, signs)
