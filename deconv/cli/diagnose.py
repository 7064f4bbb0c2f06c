"""``deconv diagnose``: what is wrong with a picture, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from ..imaging.formats import listing, split_name, written_ending
from .blind import Search, find_blur
from .inputs import read_source
from .left import wider_window
from .noise import estimate, overall
from .options import KernelSize, MaxPixels, Model, White
from .source import Source

__all__ = ["diagnose"]

# Above, a picture is too noisy to gain much; and the quality of a JPEG below which its blocks are seen first.
_NOISY, _COARSE = 0.05, 60


def diagnose(
    source: Annotated[Path, Argument(metavar="IN", help=f"The picture: {listing()}.")],
    as_json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
    kernel_size: KernelSize = None,
    model: Model = "auto",
    starts: Annotated[int, Option(metavar="N", help="How many starts the estimation has, 1 to 16.")] = 4,
    white: White = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Say whether a picture is blurred, how, how noisy it is, and which command is advised.

    \b
    Examples:
      deconv diagnose blurred.jpg
      deconv diagnose blurred.jpg --json
    """
    picture = read_source(source, None, white=white, max_pixels=max_pixels)
    facts = _facts(picture, Search(kernel_size=kernel_size, starts=starts, model=model, quiet=as_json))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if value is not None:
            typer.echo(f"{name.replace('_', ' '):<12} {_in_words(name, value)}")


def _facts(picture: Source, search: Search) -> dict[str, Any]:
    """What is found, by name, ready for JSON."""
    from ..blind.description import describe
    from ..imaging.clipping import clipped_ends
    from ..imaging.sharpness import blur_effect

    found, light = find_blur(picture, search)
    ends = clipped_ends(picture.batch, white=picture.clipped_at or float("inf"))
    noise = overall(estimate(picture, linear=False))
    blur = describe(found.psf) if found.found else None
    facts: dict[str, Any] = {
        "picture": f"{picture.batch.shape[-1]} x {picture.batch.shape[-2]} {picture.kind}",
        "blur": None if blur is None else blur.kind,
        "extent": None if blur is None else round(blur.extent, 1),
        "angle": None if blur is None or blur.angle is None else round(blur.angle),
        "found": blur.words if blur is not None else "; ".join(found.warnings),
        "light": "linear light" if light else "grey values",
        "noise": round(noise, 5),
        "white": round(float((ends > 0).double().mean()), 5),
        "black": round(float((ends < 0).double().mean()), 5),
        "jpeg_quality": None if picture.picture is None else picture.picture.quality,
        "blur_effect": round(blur_effect(picture.batch), 3),
    }
    return facts | {"advice": _advice(picture, facts, None if blur is None else blur.spec)}


def _advice(picture: Source, facts: dict[str, Any], spec: str | None) -> str:
    """The command to try next."""
    command = f"deconv deblur {picture.path} -o sharp{written_ending(split_name(picture.path)[1])}"
    if facts["blur"] is None:
        say = f"{command} --psf motion:LENGTH,ANGLE or --psf disk:RADIUS"
        return f"if it is blurred, say how, {say}, or widen the search, --kernel-size {wider_window(picture)}"
    if facts["noise"] > _NOISY or (facts["jpeg_quality"] or 100) < _COARSE:
        return f"{command} --denoise-only; there is too much noise to gain from more"
    return f"{command} --psf {spec}, or without --psf for what is estimated" if spec else command


def _in_words(name: str, value: Any) -> str:
    if name in ("noise", "white", "black"):
        return f"{value:.2%}" + {"noise": " of full scale", "white": " clipped", "black": " clipped"}[name]
    if name == "extent":
        return f"{value:g} pixels"
    if name == "angle":
        return f"{value} degrees"
    if name == "blur_effect":
        return f"{value:g}, from 0, sharp, to 1 (Crété et al., 2007)"
    return str(value)
