"""``deconv bench restore``: the quality of every restoration method beside scikit-image's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from deconv.imaging import degrade, psf, psnr, read_image, ssim, valid_margins
from deconv.restore.methods import METHODS, as_method

from .output import check_writable, console_of_width, write_json
from .restore_rivals import rivals

__all__ = ["main", "quick_methods"]

# Seconds for a million samples, beyond which a method is only measured where it is asked for.
_SLOW = 30.0

Case = tuple[np.ndarray, torch.Tensor]


def main(
    *,
    root: Path | None = None,
    methods: Sequence[str] | None = None,
    against: Sequence[str] = (),
    noise: Sequence[float] = (0.005, 0.01, 0.03),
    json: Path | None = None,
    console: Console | None = None,
) -> list[dict]:
    """Measure and print mean PSNR, SSIM and processor seconds, by method and noise.

    Observations are the valid part of the blur, as cameras see. All methods have their defaults and are not told the
    noise; rivals get the image mirrored by the size of the psf, and the best of several balances, by the truth.

    Parameters
    ----------
    root : path, optional
        A folder with ``levin/kernels/*.png`` and ``set12/*.png``; by default scikit-image's pictures and our psfs.
    methods : sequence of str, optional
        Of `deconv.restore.METHODS`; by default those that are not slow.
    against : sequence of str
        Other libraries, see `deconv.bench.restore_rivals`.
    noise : sequence of float
        Standard deviations.
    json : path, optional
        Where the rows go, too.
    console : Console, optional
        Where to print.

    Returns
    -------
    list of dict
        A row for each method and noise.

    Raises
    ------
    ValueError
        Unknown methods or rivals, or a root without pictures.
    """
    console = console or console_of_width(100)
    check_writable("json", json)
    chosen = quick_methods() if methods is None else methods
    settings: dict[str, list[Callable]] = {name: [as_method(name)] for name in chosen}
    for name in against:
        settings |= rivals(name)
    cases = list(_bundled() if root is None else _from_folder(Path(root)))
    if not cases:
        raise ValueError(f"root: {root} has no levin/kernels/*.png and set12/*.png")
    rows = []
    for deviation in noise:
        observed = [(degrade(sharp, blur, noise=deviation, seed=0), sharp, blur) for sharp, blur in cases]
        found = [_row("(blurred)", deviation, observed, [lambda image, _: image])]
        for name, candidates in settings.items():
            with console.status(f"{name}, noise {deviation:.1%}"):
                found.append(_row(name, deviation, observed, candidates))
        console.print(_table(found, deviation, len(cases)))
        rows += found
        write_json(json, rows)
    return rows


def quick_methods() -> list[str]:
    """The methods of the table that are not slow, which are measured by default."""
    return [name for name, method in METHODS.items() if method.pace is None or method.pace <= _SLOW]


def _row(name: str, noise: float, observed: Sequence, candidates: Sequence[Callable]) -> dict:
    """Means over the observations; of several candidates the best result, and the time of one."""
    quality, structure, seconds = [], [], []
    for image, sharp, blur in observed:
        rows, columns = valid_margins(blur.shape)
        truth = sharp[rows[0] : rows[0] + image.shape[0], columns[0] : columns[0] + image.shape[1]]
        started = time.process_time()
        results = [candidate(image, blur) for candidate in candidates]
        seconds.append((time.process_time() - started) / len(candidates))
        restored = max(results, key=lambda result: float(psnr(result, truth))) if len(results) > 1 else results[0]
        quality.append(float(psnr(restored, truth)))
        structure.append(float(ssim(restored, truth)))
    means = {"psnr": np.mean(quality), "ssim": np.mean(structure), "seconds": np.mean(seconds)}
    return {"method": name, "noise": noise} | {key: float(value) for key, value in means.items()}


def _bundled() -> Iterator[Case]:
    from skimage import color, data

    pictures = [data.camera()[:256, 100:356], data.coins()[:256, :256], color.rgb2gray(data.astronaut())[:256, 120:376]]
    pictures = [(picture / 255 if picture.dtype == np.uint8 else picture).astype(np.float32) for picture in pictures]
    for blur in (psf.motion(15, 30), psf.disk(3.0), psf.gaussian(1.6), psf.camera_shake(17, seed=1)):
        for picture in pictures:
            yield picture, blur


def _from_folder(root: Path) -> Iterator[Case]:
    for path in sorted(root.glob("levin/kernels/*.png")):
        blur, _ = psf.from_file(path)
        for picture in sorted(root.glob("set12/*.png")):
            yield (read_image(picture) / 255).astype(np.float32), blur


def _table(rows: Sequence[dict], noise: float, count: int) -> Table:
    table = Table(title=f"{count} observations, noise {noise:.1%}", title_justify="left")
    table.add_column("method", no_wrap=True)
    for title in ("PSNR dB", "SSIM", "seconds"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(row["method"], f"{row['psnr']:.2f}", f"{row['ssim']:.3f}", f"{row['seconds']:.2f}")
    return table
