"""What an estimation returns, and the warnings that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

from torch import Tensor

from ..imaging.arrays import as_image_batch
from ..imaging.viewing import as_png_address, psf_close_up
from .confidence import Signs
from .description import describe
from .evidence import restored
from .observation import Observation, unit_of
from .picture_frame import NO_FRAME, PictureFrame
from .reject import THRESHOLDS

__all__ = ["KernelEstimate", "NoBlurFound", "NoImprovement", "UncertainBlur"]


class NoBlurFound(UserWarning):
    """No psf that is to be trusted was found; what was asked for is returned as it was."""


class UncertainBlur(UserWarning):
    """A psf was found that may well be wrong; look at what it restores before using it."""


class NoImprovement(UserWarning):
    """A photograph was restored with a psf that was found, but judged by what the result leaves unexplained and by its
    rings it is no better than it was, see `deconv.blind.comparison`."""


@dataclass(frozen=True, repr=False)
class KernelEstimate:
    """A psf estimated from a photograph, and how far it is to be trusted.

    Parameters
    ----------
    psf : Tensor
        `(kh, kw)`, float32, odd sizes, sum 1, nothing negative, the centre of mass at the centre to half a pixel; on
        the device of the photograph.
    photograph : array_like
        What it was estimated from.
    score : float
        Minus the log evidence per pixel, see `deconv.blind.evidence`; the lower the better, for one image.
    trace : tuple of Tensor
        The chosen psf at every scale, coarse to fine, the refined ones at the end.
    warnings : tuple of str
        Why the psf is that of no blur; empty where one was found.
    confidence : float
        Probability that the psf is right, in [0, 1], see `deconv.blind.confidence`; 0 where none was found.
    signs : Signs, optional
        What the confidence is computed from; None where nothing was tried.
    sigma : float or array_like, optional
        Standard deviation of the photograph's noise, as `estimate` was told.
    frame : PictureFrame
        What around the photograph was left out, see `deconv.blind.picture_frame`.
    """

    psf: Tensor
    photograph: Any
    score: float
    trace: tuple[Tensor, ...]
    warnings: tuple[str, ...] = ()
    confidence: float = 0.0
    signs: Signs | None = None
    sigma: Any = None
    frame: PictureFrame = NO_FRAME

    @cached_property
    def image(self) -> Any:
        """The photograph restored with the psf, quickly and grey: kind of array, layout, dtype and device of what was
        given; where no psf was found, the photograph itself. Computed when first asked for."""
        if not self.found:
            return self.photograph
        batch, back = as_image_batch(self.photograph)
        inside = self.frame.inside(batch)
        observation = Observation.of(inside, self.sigma)
        latent = restored(observation.image, self.psf[None, None], observation.sigma)
        unit = unit_of(inside)
        grey = (inside / unit).mean(1, keepdim=True)
        latent = (latent.to(batch) * grey.std(correction=0) + grey.mean()) * unit
        return back(self.frame.around(latent.expand_as(inside), batch))

    @property
    def found(self) -> bool:
        """Whether a psf was found; where none was to be trusted, `psf` is that of no blur."""
        return not self.warnings

    def _in_words(self) -> list[str]:
        """The psf, what it looks like in words, and how far it is to be trusted."""
        said = [describe(self.psf).words if self.found else "no blur is found that is to be trusted"]
        said += [f"confidence {self.confidence:.2f}"] if self.found else []
        said += [self.frame.words] if self.frame else []
        size = " x ".join(map(str, self.psf.shape))
        return [*said, *self.warnings, *self.cautions, f"{size} pixels, score {self.score:.4g}"]

    def __repr__(self) -> str:
        return f"KernelEstimate({'; '.join(self._in_words())})"

    def _repr_html_(self) -> str:
        """What `repr` says beside the psf, for notebooks."""
        said = self._in_words()
        picture = as_png_address(psf_close_up(self.psf))
        lines = "<br>".join(escape(line) for line in said)
        return (
            '<div style="display:flex;gap:1em;align-items:center">'
            f'<img alt="psf" width="96" style="image-rendering:pixelated" src="{picture}"><div>{lines}</div></div>'
        )

    @property
    def cautions(self) -> tuple[str, ...]:
        """What speaks against a psf that was found, in words; empty from a confidence of 0.8 on."""
        if not self.found or self.confidence >= THRESHOLDS.confidence:
            return ()
        return (f"the psf found may be wrong: it is right with a probability of {self.confidence:.2f}",)
