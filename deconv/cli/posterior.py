"""``deconv deblur --posterior N``: draws of the latent image, their mean, and their deviation as a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .methods import DEFAULT, choose, warnings_in_lines
from .source import Source

if TYPE_CHECKING:
    from torch import Tensor

    from ..blind.picture_frame import PictureFrame
    from ..restore import Posterior

__all__ = ["METHOD_OF_DRAWS", "check_posterior", "draw", "framed", "posterior_files", "write_posterior"]

# The method whose prior the draws have.
METHOD_OF_DRAWS = "flow"

# Pixels between two samples of the strip.
_GAP = 4

# Up to which share of the pixels the heat map tells deviations apart; beyond, all are white.
_HOTTEST = 0.995


def check_posterior(count: int | None, method: str, **others: Any) -> None:
    """Refuse draws that make no sense.

    Raises
    ------
    ValueError
        For too few draws, another method, or an option (of `others`, by its name) that draws know nothing of.
    """
    if count is None:
        return
    if count < 2:
        raise ValueError(f"--posterior: expected at least 2 draws, given {count}")
    chosen = choose(method)
    if chosen is None or chosen.name not in (DEFAULT, METHOD_OF_DRAWS):
        raise ValueError(
            f"--posterior: is a method of its own, under the prior of {METHOD_OF_DRAWS}; given --method {method}"
        )
    for name, value in others.items():
        if value is not None and value is not False:
            raise ValueError(f"--{name.replace('_', '-')}: does not go with --posterior")


def posterior_files(output: Path, photograph: Source, bits: int | None) -> dict[str, Path]:
    """What is written beside `output`, by what it holds."""
    if photograph.volume is not None:
        raise ValueError("--posterior: is for pictures, and this is a stack")
    if output == Path("-"):
        raise ValueError("--posterior: writes several files, which standard output does not hold; give --output a name")
    named = {"deviation": "deviation.png", "samples": "samples.png"}
    if photograph.holds_floats(output, bits):
        named["numbers"] = "deviation.tif"
    return {what: output.with_name(f"{output.stem}-{ending}") for what, ending in named.items()}


def draw(count: int, image: Tensor, psf: Tensor, keywords: Mapping[str, Any]) -> Posterior[Tensor]:
    """So many draws, and what says how far they are to be trusted; keywords of the method that they go by."""
    from ..restore import flow_posterior

    with warnings_in_lines():
        return flow_posterior(image, psf, samples=count, **keywords)


def framed(posterior: Posterior[Tensor], frame: PictureFrame, image: Tensor) -> Posterior[Tensor]:
    """Draws of what is inside a frame, the frame of the image around them, of which nothing deviates."""
    return replace(
        posterior,
        samples=[frame.around(sample, image) for sample in posterior.samples],
        mean=frame.around(posterior.mean, image),
        deviation=frame.around(posterior.deviation, image.new_zeros(image.shape)),
    )


def write_posterior(files: Mapping[str, Path], posterior: Posterior[Tensor]) -> list[str]:
    """Write what `posterior_files` names; words for the summary line."""
    import torch

    from ..imaging import write_image

    deviation = posterior.deviation[0].cpu()
    grey = deviation.square().mean(0).sqrt()
    top = float(grey.flatten().quantile(_HOTTEST)) or 1.0
    write_image(files["deviation"], _heat(grey / top), bits=8)
    gap = torch.ones_like(posterior.mean[0, :, :, :1]).expand(-1, -1, _GAP)
    strip = [part for sample in posterior.samples for part in (gap, sample[0])][1:]
    write_image(files["samples"], torch.cat(strip, -1).cpu().clamp(0, 1), bits=8)
    if "numbers" in files:
        write_image(files["numbers"], deviation if len(deviation) > 1 else deviation[0], bits=32)
    root = float(grey.square().mean().sqrt())
    words = [f"deviation {root:.2%} of white, white in {files['deviation']} is {top:.2%} and more"]
    if posterior.r_hat == posterior.r_hat:
        words.append(f"R-hat {posterior.r_hat:.2f}, worth {posterior.effective_samples:.0f} independent draws")
    if posterior.acceptance == posterior.acceptance:
        words.append(f"{posterior.acceptance:.0%} of the trajectories accepted")
    return words


def _heat(values: Tensor) -> Tensor:
    """Black, red, yellow, white, from 0 to 1: `(H, W)` to `(3, H, W)`."""
    import torch

    return torch.stack([3 * values, 3 * values - 1, 3 * values - 2]).clamp(0, 1)
