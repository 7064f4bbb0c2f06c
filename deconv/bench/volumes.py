"""``deconv bench restore --volumes``: Richardson-Lucy on simulated stacks, beside that of other programs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from rich.console import Console
from rich.table import Table

from deconv.imaging import degrade, psnr
from deconv.imaging.psf import gibson_lanni
from deconv.restore import richardson_lucy

from .output import check_writable, console_of_width, write_json

__all__ = ["main"]

# Photons in the brightest voxel of the blurred stack.
_PHOTONS = 300

_SIZE, _PSF = (40, 128, 128), (15, 31, 31)
_QUICK_SIZE, _QUICK_PSF = (12, 32, 32), (7, 11, 11)

_REDLIONFISH = "RedLionfish"
# The command of https://github.com/elgw/deconwolf.
_DECONWOLF = "dw"


@dataclass(frozen=True)
class _Stack:
    """Counts, the latent image in the same unit, and the psf."""

    name: str
    seen: np.ndarray
    sharp: np.ndarray
    psf: np.ndarray

    def quality(self, restored: np.ndarray) -> float:
        """PSNR in dB; the peak is the value that one voxel in a thousand exceeds."""
        peak = np.quantile(self.sharp, 0.999)
        return float(psnr(restored / peak, self.sharp / peak))


@dataclass
class _Run:
    """A restoration, the processor seconds that it took, and the quality and the seconds after each iteration."""

    restored: np.ndarray
    seconds: float
    iterations: int
    course: list[tuple[float, float]]


def main(
    *, num_iter: int = 30, quick: bool = False, json: Path | None = None, console: Console | None = None
) -> list[dict]:
    """Measure and print PSNR, processor seconds, those of an iteration, and those until RedLionfish's PSNR is reached.

    Four times ours: as it is by default, stopping by itself, without total variation for as many iterations as the
    others have, and so on the grid of RedLionfish, which is the frame: ours is larger by what the psf reaches. An
    iteration's time is that of many less that of one. RedLionfish runs on the processor. deconwolf takes part where its
    command `dw` is on the path; its time is that of the command. All see the same counts, whose surroundings are
    unknown.

    Parameters
    ----------
    num_iter : int
        Iterations of each, at most.
    quick : bool
        On small stacks: whether it runs, not how well.
    json : path, optional
        Where the rows go, too.
    console : Console, optional
        Where to print.

    Returns
    -------
    list of dict
        A row for each stack and method; what is not known is None.
    """
    console = console or console_of_width(100)
    check_writable("json", json)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        rivals = _rivals(console, Path(folder))
        for stack in _stacks(quick):
            runs = {}
            for name, run in {**_ours(), **rivals}.items():
                with console.status(f"{stack.name}, {name}"):
                    run(stack, 1)  # what is compiled or planned on the first call is not on the clock
                    runs[name] = run(stack, 1), run(stack, num_iter)
            reference = stack.quality(runs[_REDLIONFISH][1].restored) if _REDLIONFISH in runs else None
            found = [_row(stack, name, *pair, reference) for name, pair in runs.items()]
            console.print(_table(stack, found))
            rows += found
    write_json(json, rows)
    return rows


def _row(stack: _Stack, name: str, short: _Run, run: _Run, reference: float | None) -> dict:
    more = run.iterations - short.iterations
    reached = None
    if reference is not None:
        reached = next((seconds for quality, seconds in run.course if quality >= reference), None)
        if name == _REDLIONFISH:
            reached = run.seconds
    return {
        "stack": stack.name,
        "method": name,
        "psnr": stack.quality(run.restored),
        "iterations": run.iterations,
        "seconds": run.seconds,
        "seconds_per_iteration": (run.seconds - short.seconds) / more if more else None,
        "seconds_to_reference": reached,
    }


def _table(stack: _Stack, rows: list[dict]) -> Table:
    size = " x ".join(map(str, stack.seen.shape))
    title = f"{stack.name}, {size} voxels, observed {stack.quality(stack.seen):.2f} dB; processor seconds"
    table = Table(title=title, title_justify="left")
    for column in ("method", "PSNR dB", "iterations", "seconds", "of an iteration", "until RedLionfish's PSNR"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in rows:
        reached = row["seconds_to_reference"]
        table.add_row(
            row["method"],
            f"{row['psnr']:.2f}",
            str(row["iterations"]),
            f"{row['seconds']:.2f}",
            "" if row["seconds_per_iteration"] is None else f"{row['seconds_per_iteration']:.3f}",
            "" if reached is None else f"{reached:.2f}",
        )
    return table


def _ours() -> dict[str, Callable[[_Stack, int], _Run]]:
    return {
        "default": _method(),
        "stop='consensus'": _method(stop="consensus"),
        "tv=0": _method(tv=0.0),
        "tv=0, circular": _method(tv=0.0, boundary="circular"),
    }


def _method(**options) -> Callable[[_Stack, int], _Run]:
    def run(stack: _Stack, num_iter: int) -> _Run:
        begun = time.process_time()
        restored, info = richardson_lucy(stack.seen, stack.psf, num_iter=num_iter, info=True, **options)
        seconds = time.process_time() - begun
        # Again for the course: to look at every image costs time of its own.
        course: list[tuple[float, float]] = []
        looking = 0.0

        def look(_: int, image: np.ndarray) -> None:
            nonlocal looking
            started = time.process_time()
            course.append((stack.quality(image), started - begun - looking))
            looking += time.process_time() - started

        begun = time.process_time()
        richardson_lucy(stack.seen, stack.psf, num_iter=num_iter, callback=look, **options)
        return _Run(restored, seconds, info.iterations, course)

    return run


def _rivals(console: Console, folder: Path) -> dict[str, Callable[[_Stack, int], _Run]]:
    """What other programs are there, with a word on those that are not; a folder for what they leave on the disk."""
    found = {}
    if importlib.util.find_spec("RedLionfishDeconv"):
        found[_REDLIONFISH] = _redlionfish
    else:
        console.print("RedLionfish is not installed; pip install redlionfish puts it beside")
    command = shutil.which(_DECONWOLF)
    if command:
        found["deconwolf"] = _deconwolf(command, folder)
    else:
        console.print(f"deconwolf is not installed; its command {_DECONWOLF} on the path puts it beside")
    return {**found, "scikit-image": _scikit_image}


def _redlionfish(stack: _Stack, num_iter: int) -> _Run:
    from RedLionfishDeconv import doRLDeconvolutionFromNpArrays

    # In a stack of even size it takes the centre of an odd psf for one voxel before it is, and would move the result.
    sizes = zip(stack.seen.shape, stack.psf.shape, strict=True)
    psf = np.pad(stack.psf, [(int(n % 2 == 0 and k % 2 == 1), 0) for n, k in sizes])
    begun = time.process_time()
    restored = doRLDeconvolutionFromNpArrays(stack.seen, psf, niter=num_iter, method="cpu")
    return _Run(restored, time.process_time() - begun, num_iter, [])


def _deconwolf(command: str, folder: Path) -> Callable[[_Stack, int], _Run]:
    def run(stack: _Stack, num_iter: int) -> _Run:
        tifffile.imwrite(folder / "seen.tif", stack.seen)
        tifffile.imwrite(folder / "psf.tif", stack.psf.astype(np.float32))
        # Version 0.4.7 returns the result of the iteration before the last.
        options = {"iter": num_iter + 1, "threads": torch.get_num_threads(), "verbose": 0, "out": "restored.tif"}
        words = [f"--{name}={value}" for name, value in options.items()]
        begun = _childrens_seconds()
        subprocess.run(
            [command, *words, "--float", "--overwrite", "seen.tif", "psf.tif"],
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},  # where it keeps its plans
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = _childrens_seconds() - begun
        return _Run(tifffile.imread(folder / "restored.tif"), seconds, num_iter, [])

    return run


def _childrens_seconds() -> float:
    """Processor seconds of the processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _scikit_image(stack: _Stack, num_iter: int) -> _Run:
    from skimage.restoration import richardson_lucy

    begun = time.process_time()
    restored = richardson_lucy(stack.seen, stack.psf, num_iter=num_iter, clip=False, filter_epsilon=1e-6)
    return _Run(restored, time.process_time() - begun, num_iter, [])


def _stacks(quick: bool) -> Iterator[_Stack]:
    """Filaments, which are thin, and spheres, which are larger than the psf."""
    size, window = (_QUICK_SIZE, _QUICK_PSF) if quick else (_SIZE, _PSF)
    optics = {"wavelength": 0.52, "aperture": 1.2, "pixel": 0.1, "step": 0.25, "n_sample": 1.4}
    psf = gibson_lanni(window, z="sample", **optics).numpy()
    whole = tuple(n + k - 1 for n, k in zip(size, window, strict=True))
    inside = tuple(slice(k // 2, n - k // 2) for k, n in zip(window, whole, strict=True))
    for name, make in (("filaments", _filaments), ("spheres", _spheres)):
        random = np.random.default_rng(0)
        latent = make(whole, random)
        blurred = np.asarray(degrade(latent, psf)).clip(0)
        unit = _PHOTONS / blurred.max()
        seen = random.poisson(unit * blurred).astype(np.float32)
        yield _Stack(name, seen, unit * latent[inside], psf)


def _filaments(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    latent = np.zeros(shape, np.float32)
    along = np.linspace(0, 1, 4000)[:, None]
    for _ in range(3 + shape[0] // 2):
        start, end = random.uniform(0, shape, (2, 3))
        sway = random.uniform(-6, 6, 3) * [0.4, 1, 1] * np.sin(6 * along + random.uniform(0, 6))
        places = np.round(start + (end - start) * along + sway).astype(int)
        places = places[((places >= 0) & (places < shape)).all(1)]
        latent[tuple(places.T)] = random.uniform(0.5, 1)
    return gaussian_filter(latent, (0.3, 0.7, 0.7))


def _spheres(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * [2.5, 1, 1]
    latent = np.zeros(shape)
    for _ in range(3 + shape[0] // 2):
        radius, brightness = random.uniform(3, 10), random.uniform(0.3, 1)
        distance = np.sqrt(((grid - random.uniform(0, shape) * [2.5, 1, 1]) ** 2).sum(-1))
        latent = np.maximum(latent, brightness / (1 + np.exp(2 * np.minimum(distance - radius, 40))))
    return latent.astype(np.float32)
