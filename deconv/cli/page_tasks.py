"""What the page of ``deconv app`` has done to a picture, by the parts of ``deconv deblur``.

Every task is called with the picture's file, its folder and the settings, in a process of its own, writes what the page
shows into ``made`` and what is to be kept into ``saved``, and returns what the page says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from ..blind.comparison import why_not_better
from ..blind.description import describe
from ..blind.picture_frame import NO_FRAME, PictureFrame
from ..imaging.formats import split_name, written_ending
from ..imaging.psf import parse
from ..imaging.viewing import psf_close_up
from ..page.settings import ESTIMATED, FILE, Settings
from ..progress import ProgressBar
from .blind import Search, find_blur
from .blurs import Blur, read_blur
from .colours import restored_together
from .inputs import read_source
from .light import asked_light, in_light
from .methods import best, choose
from .noise import estimate as noise_levels
from .smoothing import noise_to_tell
from .source import Source

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXAMPLES", "estimate", "example", "open_picture", "preview", "restore", "save"]

# Photographs of scikit-image and what they are blurred by.
EXAMPLES = {
    "shaken": ("coffee", "shake:17,3"),
    "moved": ("astronaut", "motion:13,20"),
    "unfocused": ("chelsea", "disk:3"),
}

# Pictures of more pixels are restored in tiles of so many a side.
_LARGE, _TILE = 4_000_000, 1024

_NONE_FOUND = "no blur is found that is to be trusted; to try: say what it is, motion or disk, or a file of the psf"


@dataclass(frozen=True)
class _Work:
    """A picture, its folder, and how it is to be restored."""

    source: Path
    folder: Path
    settings: Settings
    max_pixels: int

    @property
    def picture(self) -> Source:
        return _read(self.source, self.max_pixels)

    @property
    def made(self) -> Path:
        return self.folder / "made"

    @property
    def known(self) -> bool:
        """The psf is not to be estimated."""
        return self.settings.psf != ESTIMATED

    @property
    def asked(self) -> list[Any]:
        """The settings that an estimate goes by."""
        return [self.settings.noise, self.settings.linear, self.settings.model]


def open_picture(source: Path, folder: Path, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """Show a picture, and say what it is."""
    work = _Work(source, folder, settings, max_pixels)
    picture = work.picture
    work.made.mkdir(exist_ok=True)
    _show(work.made / "before.png", picture.batch)
    height, width = picture.batch.shape[-2:]
    return {"width": width, "height": height, "kind": picture.kind, "photograph": picture.photograph}


def example(source: Path, folder: Path, settings: Settings, max_pixels: int, name: str) -> dict[str, Any]:
    """Blur a photograph that scikit-image brings along, and open it."""
    import skimage.data

    from ..imaging import as_image_batch, degrade, write_image
    from ..imaging.srgb import to_linear, to_srgb

    photograph, psf = EXAMPLES[name]
    with ProgressBar("blurring", 1, shown=False):
        sharp, _ = as_image_batch(getattr(skimage.data, photograph)()[:320, :400])
        write_image(source, to_srgb(degrade(to_linear(sharp), parse(psf), noise=0.002, seed=0).clamp(0, 1))[0])
    return open_picture(source, folder, settings, max_pixels)


def estimate(source: Path, folder: Path, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """Find the psf, and say what it looks like and how far it is to be trusted."""
    return _estimated(_Work(source, folder, settings, max_pixels))


def _estimated(work: _Work) -> dict[str, Any]:
    """The facts of an estimate, which is kept."""
    picture, settings = work.picture, work.settings
    started = time.perf_counter()
    linear = asked_light(picture, settings.linear)
    found, light = find_blur(picture, Search(model=settings.model, sigma=settings.noise, linear=linear, quiet=True))
    words = [describe(found.psf).words, *([found.frame.words] if found.frame else [])]
    facts = {
        "found": found.found,
        "words": "; ".join(words if found.found else found.warnings),
        "frame": asdict(found.frame),
        "cautions": list(found.cautions),
        "confidence": found.confidence,
        "size": list(found.psf.shape),
        "light": light,
        "seconds": time.perf_counter() - started,
        "asked": work.asked,
    }
    np.save(work.made / "psf.npy", found.psf.cpu().numpy())
    Image.fromarray(psf_close_up(found.psf)).save(work.made / "psf.png")
    (work.made / "psf.json").write_text(json.dumps(facts))
    return facts


def preview(source: Path, folder: Path, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """Restore a region, with what lies around it, to look at."""
    work = _Work(source, folder, settings, max_pixels)
    height, width = work.picture.batch.shape[-2:]
    x, y, w, h = settings.region or (0, 0, width, height)
    w, h = min(w, width - x), min(h, height - y)
    if w < 1 or h < 1:
        raise ValueError(f"region: {settings.region} lies outside of the picture, {width} x {height}")
    started = time.perf_counter()
    restored, facts = _restored(work, (x, y, w, h))
    _show(work.made / "preview.png", restored)
    return {**facts, "region": [x, y, w, h], "seconds": time.perf_counter() - started}


def restore(source: Path, folder: Path, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """Restore the whole picture; kept as floats until it is saved."""
    work = _Work(source, folder, settings, max_pixels)
    tiles = _tiles(work.picture.batch)
    started = time.perf_counter()
    restored, facts = _restored(work, None)
    np.save(work.made / "restored.npy", restored.cpu().numpy())
    _show(work.made / "restored.png", restored)
    command = ["deconv", "deblur", source.name, "-o", _saved_name(source, settings.ending), *settings.arguments()]
    command += [] if tiles is None else ["--tiles", str(tiles)]
    return {**facts, "seconds": time.perf_counter() - started, "command": command}


def save(source: Path, folder: Path, settings: Settings, max_pixels: int) -> dict[str, Any]:
    """Write the restored picture at the depth of the source, with all that its file holds."""
    work = _Work(source, folder, settings, max_pixels)
    picture = work.picture
    name = _saved_name(source, settings.ending)
    target = folder / "saved" / name
    target.parent.mkdir(exist_ok=True)
    restored = torch.from_numpy(np.load(work.made / "restored.npy"))
    picture.check_target(target, bits=None)
    lost = picture.write(target, restored, bits=None)
    return {"name": name, "bytes": target.stat().st_size, "notes": lost}


@lru_cache(maxsize=1)
def _read(source: Path, max_pixels: int) -> Source:
    """The picture; the last one stays, as most tasks are for it."""
    with ProgressBar("reading", 1, shown=False):
        return read_source(source, None, max_pixels=max_pixels)


@lru_cache(maxsize=2)
def _noise(source: Path, max_pixels: int, frame: PictureFrame, linear: bool) -> Tensor:
    """The noise of the whole picture inside of its frame."""
    with ProgressBar("measuring the noise", 1, shown=False):
        return noise_levels(_inside(_read(source, max_pixels), frame), linear=linear)


def _inside(picture: Source, frame: PictureFrame) -> Source:
    return picture.part(*frame.within(picture.batch.shape[-2:])) if frame else picture


def _show(path: Path, batch: Tensor) -> None:
    """As 8 bits, for the browser; quickly rather than small."""
    values = (batch[0].detach().cpu().clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
    Image.fromarray(values.squeeze(2) if values.shape[2] == 1 else values).save(path, compress_level=1)


def _blur(work: _Work) -> tuple[Blur, bool, dict[str, Any] | None]:
    """The psf, whether it has blurred light, and what `estimate` says of it, if it was estimated."""
    picture, settings = work.picture, work.settings
    if not work.known:
        before = work.made / "psf.json"
        facts = json.loads(before.read_text()) if before.exists() else {}
        if facts.get("asked") != work.asked:
            facts = _estimated(work)
        if not facts["found"]:
            raise ValueError(_NONE_FOUND)
        psf, frame = torch.from_numpy(np.load(work.made / "psf.npy")), PictureFrame(**facts["frame"])
        return Blur(psf, facts["words"], frame=frame), facts["light"], facts
    if settings.psf == FILE:
        files = sorted((work.folder / "psf").glob("*"))
        if not files:
            raise ValueError("psf: expected a file")
        blur = read_blur(str(files[0]))
    else:
        blur = Blur(parse(settings.psf), settings.psf)
    light = asked_light(picture, settings.linear)
    return blur, in_light(picture, blur, progress=False) if light is None else light, None


def _restored(work: _Work, region: tuple[int, int, int, int] | None) -> tuple[Tensor, dict[str, Any]]:
    """The picture, or a region of it, and what was done; a frame around it stays as it is."""
    whole, settings = work.picture.batch, work.settings
    blur, light, told = _blur(work)
    frame = blur.frame or NO_FRAME
    picture = _inside(work.picture, frame)
    chosen = choose(settings.method) or best(picture.batch, 60)
    sigma, words = noise_to_tell(
        picture,
        settings.noise,
        linear=light,
        known=work.known,
        strength=settings.strength,
        estimated=_noise(work.source, work.max_pixels, frame, light) if settings.noise is None else None,
        psf=blur.psf,
        psf_error=chosen.method.psf_error,
    )
    x, y, w, h = region or (0, 0, whole.shape[-1], whole.shape[-2])
    rows, columns = frame.within(whole.shape[-2:])
    left, right, top, bottom = (
        max(x, columns.start),
        min(x + w, columns.stop),
        max(y, rows.start),
        min(y + h, rows.stop),
    )
    if right <= left or bottom <= top:
        raise ValueError(f"region: {region} lies in the frame around the picture, which is sharp")
    seen = left - columns.start, top - rows.start, right - left, bottom - top
    outer, inner = _around(seen, picture.batch.shape[-2:], blur.size)
    part = picture.batch[..., outer[0], outer[1]]
    defaults = {
        "sigma": sigma,
        "white": picture.clipped_at,
        "colours": restored_together(chosen, picture, blur.psf),
        "mask": None if picture.known is None else picture.known[..., outer[0], outer[1]],
        "progress": False,
    }
    with redirect_stderr(StringIO()) as said:
        keywords = chosen.keywords({"linear": ("--linear", light)}, defaults)
        restored = chosen.restore(part, blur.psf, keywords, tile=_tiles(part))
    notes = [line.removeprefix("deconv: ") for line in said.getvalue().splitlines() if line]
    warning = None if told is None else why_not_better(part, restored, blur.psf, sigma=sigma, linear=light)
    facts = {"estimate": told, "warning": warning, "psf": blur.words, "noise": words, "light": light, "notes": notes}
    facts["method"] = chosen.name
    result = whole[..., y : y + h, x : x + w].to(restored).clone()
    result[..., top - y : bottom - y, left - x : right - x] = restored[..., inner[0], inner[1]]
    return result, facts


def _tiles(batch: Tensor) -> int | None:
    """Side of the tiles that a large picture is restored in, to bound the memory and to tell how far it is."""
    return _TILE if batch[0, 0].numel() > _LARGE else None


def _around(
    region: tuple[int, int, int, int], frame: Sequence[int], size: Sequence[int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of a region with twice a psf's size of what lies around it, and those of the region in there."""
    x, y, w, h = region
    outer, inner = [], []
    for start, length, n, around in ((y, h, frame[0], 2 * size[0]), (x, w, frame[1], 2 * size[1])):
        first = max(0, start - around)
        outer.append(slice(first, min(n, start + length + around)))
        inner.append(slice(start - first, start - first + length))
    return (outer[0], outer[1]), (inner[0], inner[1])


def _saved_name(source: Path, ending: str | None) -> str:
    """``holiday-sharp.jpg``: as the source, where that is written, or as asked."""
    stem, own = split_name(source)
    return f"{stem}-sharp{ending or written_ending(own)}"
