"""``deconv demo``: a photograph blurred by a shaken camera, and restored by a layer before and after learning."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ..imaging.boundary import crop
from ..imaging.convolution import valid_margins
from ..imaging.degradation import degrade
from ..imaging.files import write_image
from ..imaging.metrics import psnr, ssim
from ..imaging.psf import camera_shake
from ..nn.recursive_deconv import RecursiveDeconv2d
from ..progress import ProgressBar

__all__ = ["run"]

_PHOTOGRAPH = "astronaut"
_LESSONS = ("camera", "chelsea", "coffee", "rocket", "moon", "brick")
_NOISE = 0.01
_CROP = 176
_STEPS = 14


def run(output_dir: Path) -> Path:
    """Run the demonstration; print what each step is worth and return the path of the picture.

    The photograph is one that the layer has not seen: it learns from crops of six others, blurred and
    disturbed in the same way. Everything is seeded, so that two runs print the same.
    """
    console = Console()
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    psf = camera_shake(19, seed=1)
    sharp = _photograph(_PHOTOGRAPH)
    observed, truth = _observe(sharp, psf, seed=0)

    # Learning begins at the textbook's filter, which takes the spectrum of images for flat.
    layer = RecursiveDeconv2d.from_psf(psf, noise_to_signal=_NOISE)
    started = time.perf_counter()
    before = _restore(layer, observed)
    restoring = time.perf_counter() - started
    started = time.perf_counter()
    _learn(layer, [_observe(_lesson(name), psf, seed=i + 1) for i, name in enumerate(_LESSONS)])
    learning = time.perf_counter() - started
    after = _restore(layer, observed)

    table = Table("", "PSNR", "SSIM", "seconds", title=f"{_PHOTOGRAPH}, camera shake, {_NOISE:.0%} noise")
    for column in table.columns[1:]:
        column.justify = "right"
    panels = []
    for name, image, seconds in (
        ("blurred", observed, None),
        ("restored, before learning", before, restoring),
        ("restored, after learning", after, learning),
    ):
        quality = float(psnr(image, truth))
        table.add_row(
            name,
            f"{quality:.2f} dB",
            f"{float(ssim(image, truth)):.3f}",
            "" if seconds is None else f"{seconds:.2f}",
        )
        panels.append((f"{name}: {quality:.2f} dB", image))
    console.print(table)
    path = output_dir / "deblurred.png"
    write_image(path, _compose([*panels, ("original", truth)]))
    console.print(f"{path}: blurred, before learning, after learning, original", soft_wrap=True)
    return path


def _photograph(name: str) -> Tensor:
    """A photograph that scikit-image ships, `(1, C, H, W)` in [0, 1]."""
    from skimage import data

    image = np.atleast_3d(getattr(data, name)())
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _lesson(name: str) -> Tensor:
    """The middle of a photograph, in grey."""
    image = _photograph(name).mean(1, keepdim=True)
    top, left = ((n - _CROP) // 2 for n in image.shape[2:])
    return image[..., top : top + _CROP, left : left + _CROP]


def _observe(sharp: Tensor, psf: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """What the camera records, and the part of the sharp photograph that it shows."""
    return degrade(sharp, psf, noise=_NOISE, seed=seed), crop(sharp, valid_margins(psf.shape))


@torch.no_grad()
def _restore(layer: RecursiveDeconv2d, observed: Tensor) -> Tensor:
    return layer(observed)


def _learn(layer: RecursiveDeconv2d, lessons: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Fit the layer to pairs of an observation and the truth, in the mean square."""
    observed, truth = (torch.cat(images) for images in zip(*lessons, strict=True))
    # Few parameters and no minibatches: a quasi-Newton method needs a dozen passes where Adam takes hundreds.
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=_STEPS, history_size=_STEPS, line_search_fn="strong_wolfe"
    )
    with ProgressBar("learning", _STEPS * 5 // 4) as progress:  # the optimiser's own bound on its evaluations

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (layer(observed) - truth).square().mean()
            loss.backward()
            progress.advance()
            return loss

        optimizer.step(closure)


def _compose(panels: Sequence[tuple[str, Tensor]]) -> np.ndarray:
    """The panels two by two, each under its caption, 8 bits."""
    import cv2

    gap, bar = 8, 30
    tiles = []
    for caption, image in panels:
        pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        tile = np.full((pixels.shape[0] + bar + gap, pixels.shape[1] + gap, 3), 255, np.uint8)
        tile[bar : bar + pixels.shape[0], : pixels.shape[1]] = pixels
        cv2.putText(tile, caption, (4, bar - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
