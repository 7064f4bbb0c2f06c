"""``deconv bench restore``: the quality of every restoration method beside scikit-image's."""

from __future__ import annotations

import json as json_format
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from deconv.imaging import degrade, psf, psnr, read_image, ssim, valid_margins
from deconv.restore.module import method_named

from .restore_rivals import rivals

__all__ = ["METHODS", "main"]

METHODS = (
    "wiener",
    "tikhonov",
    "unsupervised_wiener",
    "richardson_lucy",
    "total_variation",
    "hyper_laplacian",
    "l0_gradient",
    "plug_and_play",
)

Case = tuple[np.ndarray, torch.Tensor]


def main(
    *,
    root: Path | None = None,
    methods: Sequence[str] = METHODS,
    against: Sequence[str] = (),
    noise: Sequence[float] = (0.005, 0.01, 0.03),
    json: Path | None = None,
    console: Console | None = None,
) -> list[dict]:
    """Measure and print mean PSNR, SSIM and processor seconds, by method and noise; return the rows.

    Observations are the valid part of the blur, as cameras see. All methods have their defaults and are not told the
    noise; rivals get the image mirrored by the size of the psf, and the best of several balances, by the truth.

    root: a folder with ``levin/kernels/*.png`` and ``set12/*.png``; None: scikit-image's pictures and our psfs.

    Raises
    ------
    ValueError: unknown methods or rivals, or a root without pictures.
    """
    console = console or Console(width=None if sys.stdout.isatty() else 100)
    settings: dict[str, list[Callable]] = {name: [method_named(name)] for name in methods}
    for name in against:
        settings |= rivals(name)
    cases = list(_bundled() if root is None else _from_folder(Path(root)))
    if not cases:
        raise ValueError(f"root: {root} has no levin/kernels/*.png and set12/*.png")
    rows = []
    for level in noise:
        observed = [(degrade(sharp, kernel, noise=level, seed=0), sharp, kernel) for sharp, kernel in cases]
        found = [_row("(blurred)", level, observed, [lambda image, _: image])]
        for name, candidates in settings.items():
            with console.status(f"{name}, noise {level:.1%}"):
                found.append(_row(name, level, observed, candidates))
        console.print(_table(found, level, len(cases)))
        rows += found
        if json is not None:
            json.write_text(json_format.dumps(rows, indent=2) + "\n")
    return rows


def _row(name: str, noise: float, observed: Sequence, candidates: Sequence[Callable]) -> dict:
    """Means over the observations; of several candidates the best result, and the time of one."""
    quality, structure, seconds = [], [], []
    for image, sharp, kernel in observed:
        rows, columns = valid_margins(kernel.shape)
        truth = sharp[rows[0] : rows[0] + image.shape[0], columns[0] : columns[0] + image.shape[1]]
        started = time.process_time()
        results = [candidate(image, kernel) for candidate in candidates]
        seconds.append((time.process_time() - started) / len(candidates))
        restored = max(results, key=lambda result: float(psnr(result, truth))) if len(results) > 1 else results[0]
        quality.append(float(psnr(restored, truth)))
        structure.append(float(ssim(restored, truth)))
    means = {"psnr": np.mean(quality), "ssim": np.mean(structure), "seconds": np.mean(seconds)}
    return {"method": name, "noise": noise} | {key: float(value) for key, value in means.items()}


def _bundled() -> Iterator[Case]:
    from skimage import color, data

    pictures = [data.camera()[:256, 100:356], data.coins()[:256, :256], color.rgb2gray(data.astronaut())[:256, 120:376]]
    pictures = [np.float32(picture / 255 if picture.dtype == np.uint8 else picture) for picture in pictures]
    for kernel in (psf.motion(15, 30), psf.disk(3.0), psf.gaussian(1.6), psf.camera_shake(17, seed=1)):
        for picture in pictures:
            yield picture, kernel


def _from_folder(root: Path) -> Iterator[Case]:
    for path in sorted(root.glob("levin/kernels/*.png")):
        kernel, _ = psf.from_file(path)
        for picture in sorted(root.glob("set12/*.png")):
            yield np.float32(read_image(picture) / 255), kernel


def _table(rows: Sequence[dict], noise: float, count: int) -> Table:
    table = Table(title=f"{count} observations, noise {noise:.1%}", title_justify="left")
    table.add_column("method", no_wrap=True)
    for title in ("PSNR dB", "SSIM", "seconds"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(row["method"], f"{row['psnr']:.2f}", f"{row['ssim']:.3f}", f"{row['seconds']:.2f}")
    return table
