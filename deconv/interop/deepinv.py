"""Our restoration methods as reconstructors of deepinv, ``model(y, physics)``; deepinv itself is not needed."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..choices import check_choice
from ..restore import Restoration

__all__ = ["Reconstructor"]

# What deepinv calls our boundaries.
_BOUNDARIES = {
    "valid": "unknown",
    "circular": "circular",
    "reflect": "reflect",
    "replicate": "replicate",
    "constant": "zero",
    "zeros": "zero",
}


class Reconstructor(Restoration):
    """A restoration method as ``model(y, physics)``, as deepinv's `Reconstructor` is called.

    It reads off the physics what the method has to know: the blur, `physics.filter`; what lies outside the frame,
    `physics.padding`, circular where there is none, as in `BlurFFT`; and the noise, `physics.noise_model.sigma` of a
    `GaussianNoise`. Noise of any other kind, of which a sigma is but a part, is estimated. Options given to the
    constructor go before what the physics says.

    Parameters
    ----------
    method : str or callable
        As for `deconv.restore.Restoration`.
    learn : iterable of str
        As for `deconv.restore.Restoration`.
    **options : Any
        The method's keywords.

    Examples
    --------
    >>> model = Reconstructor("total_variation", num_iter=20)
    >>> model.method.name
    'total_variation'
    """

    def forward(self, y: Tensor, physics: Any, **options: Any) -> Tensor:
        """Restore y.

        Parameters
        ----------
        y : Tensor
            `(B, C, H, W)` or `(B, C, D, H, W)`.
        physics : Any
            What made y of the latent image: a blur of deepinv, or anything with its attributes.
        **options : Any
            Keywords for this call only, in the place of the model's own.

        Returns
        -------
        Tensor
            Of the size of y: with ``padding="valid"`` it is the field of view, as much smaller than the latent image as
            y is.

        Raises
        ------
        TypeError
            The physics is no blur: it has no filter, or leaves out pixels after it, as `Downsampling` does.
        ValueError
            A padding that is not known here.
        """
        psf = getattr(physics, "filter", None)
        if not isinstance(psf, Tensor) or hasattr(physics, "factor"):
            raise TypeError(f"physics: expected a blur with a filter, given {type(physics).__name__}")
        padding = getattr(physics, "padding", "circular")
        check_choice("physics.padding", padding, _BOUNDARIES)
        known: dict[str, Any] = {"boundary": _BOUNDARIES[padding]}
        noise: Any = getattr(physics, "noise_model", None)
        if "GaussianNoise" in (kind.__name__ for kind in type(noise).__mro__):
            known["sigma"] = noise.sigma.flatten() if isinstance(noise.sigma, Tensor) else noise.sigma
        given = {*self.options, *self.logarithms, *dict(self.named_buffers(recurse=False))}
        known = {name: value for name, value in known.items() if name not in given}
        return super().forward(y, _centred(psf, y.ndim - 2), **(known | options))


def _centred(psf: Tensor, space: int) -> Tensor:
    """With the centre of an even size where deepinv has it, at ``size // 2``: a row of zeros makes the size odd."""
    return F.pad(psf, [side for n in reversed(psf.shape[-space:]) for side in (0, 1 - n % 2)])
