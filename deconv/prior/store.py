"""Priors by name, to files and back."""

from __future__ import annotations

import os

from ..choices import check_choice
from ..ops.lasting import lasting
from .files import read_prior_file, write_prior_file
from .flow import FlowPrior
from .image_prior import ImagePrior
from .mixture import GaussianMixturePrior

__all__ = ["load_prior", "save_prior"]

_KINDS: dict[str, type[FlowPrior] | type[GaussianMixturePrior]] = {
    prior.kind: prior for prior in (FlowPrior, GaussianMixturePrior)
}


@lasting
def load_prior(prior: str | os.PathLike | ImagePrior) -> ImagePrior:
    """A prior by its name or from a file.

    Parameters
    ----------
    prior : str or path-like or ImagePrior
        A name of `SHIPPED`, a file that `save_prior` wrote, or a prior, which is given back as it is.

    Returns
    -------
    ImagePrior
        In evaluation mode, without gradients for its parameters, on the CPU.

    Raises
    ------
    FileNotFoundError
        Neither a name nor a file.
    ValueError
        The file holds no prior, one that is damaged, or one that is no density.

    Examples
    --------
    >>> load_prior("gmm").sample(3, 0.01).shape
    torch.Size([3, 63])
    """
    if not isinstance(prior, (str, os.PathLike)):
        return prior
    found = read_prior_file(prior)
    check_choice(f"prior: {found.name}: kind", found.kind, _KINDS)
    return found.build(_KINDS[found.kind].from_tensors)


def save_prior(prior: ImagePrior, path: str | os.PathLike) -> None:
    """Write a prior to a safetensors file, with a checksum. The file is there as a whole or not at all.

    Eigenvectors are kept in half precision; reading makes them orthonormal again.

    Parameters
    ----------
    prior : ImagePrior
        A `FlowPrior` or a `GaussianMixturePrior`.
    path : path-like
        Where to.

    Raises
    ------
    ValueError
        Another class of prior.
    """
    check_choice("prior: kind", prior.kind, _KINDS)
    write_prior_file(path, prior.kind, prior.config, prior.state_dict())
