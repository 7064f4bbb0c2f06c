"""Options of ``deconv deblur`` that do not go together, or are none."""

from __future__ import annotations

from typing import Any

from ..choices import check_choice
from .blind import model_of
from .inputs import fraction
from .methods import Choice, choose

__all__ = ["check_options"]


def check_options(
    *,
    method: str,
    budget: float | None,
    psf: list[str] | None,
    psf_from: str | None,
    denoise_only: bool,
    kernel_size: str | None,
    model: str,
    strength: float,
    sigma: str | None,
    on_doubt: str,
    **others: Any,
) -> tuple[Choice | None, float | None]:
    """The method, None for ``auto``, and the noise, None where it is to be estimated.

    Raises
    ------
    ValueError
        Naming the option, whatever the picture.
    """
    model_of(model)
    check_choice("--on-doubt", on_doubt, ("copy", "skip", "fail"))
    chosen = choose(method)
    if budget is not None and chosen is not None:
        raise ValueError(f"--budget: is for --method auto, given --method {chosen.name}")
    if budget is not None and not budget > 0:
        raise ValueError(f"--budget: expected a positive number of seconds, given {budget}")
    given = [flag for flag, value in (("--psf", psf), ("--psf-from", psf_from)) if value is not None]
    given += ["--denoise-only"] if denoise_only else []
    if len(given) > 1:
        raise ValueError(f"{given[1]}: is a psf of its own, and {given[0]} is given")
    if given and kernel_size is not None:
        raise ValueError(f"--kernel-size: is for a psf to be estimated, and {given[0]} is given")
    if not 0 < strength < float("inf"):
        raise ValueError(f"--strength: expected a positive number, given {strength:g}")
    level = None if sigma is None else fraction(sigma, "--sigma")
    return chosen, level
