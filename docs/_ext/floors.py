"""The floors of the package as a picture, drawn from the contract that the tests enforce."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # the site is built on what the developers have
    import tomli as tomllib

WORDS = {
    "deconv.cli": "the deconv command",
    "deconv.bench": "benchmarks",
    "deconv.page": "the local page",
    "deconv.training": "data, loop, checkpoints",
    "deconv.interop": "other libraries",
    "deconv.blind": "estimation of the psf",
    "deconv.restore": "restoration, psf known",
    "deconv.prior": "densities of photographs",
    "deconv.flows": "normalizing flows",
    "deconv.nn": "layers",
    "deconv.imaging": "psfs, images, files",
    "deconv.ops": "differentiable operations",
    "deconv.solvers": "raw solvers",
    "deconv.choices": "argument checks",
    "deconv.devices": "devices",
    "deconv.failures": "errors in a line",
    "deconv.foreign_arrays": "CuPy, dask, others",
    "deconv.lazy_names": "late imports",
    "deconv.progress": "progress bars",
}


def draw(app, config) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    root = Path(app.srcdir).parent
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    floors = [[part.strip(" ()") for part in layer.split("|")] for layer in layers]
    floors.append(["deconv_gpu"])
    figure, axis = plt.subplots(figsize=(7.5, 0.62 * len(floors)))
    figure.subplots_adjust(0, 0, 1, 1)
    for height, floor in enumerate(reversed(floors)):
        width = 10 / len(floor)
        for place, name in enumerate(floor):
            shade = "#e8eef5" if name != "deconv_gpu" else "#f5ece1"
            box = plt.Rectangle((place * width, height), width - 0.1, 0.82, facecolor=shade, edgecolor="#5b7083")
            axis.add_patch(box)
            words = WORDS.get(name, "CUDA kernels" if name == "deconv_gpu" else "")
            middle = place * width + width / 2 - 0.05
            size = min(10, 80 * width / len(name))
            axis.text(middle, height + 0.52, name, ha="center", va="center", family="monospace", fontsize=size)
            axis.text(middle, height + 0.21, words, ha="center", va="center", fontsize=8, color="#43525f")
    axis.set(xlim=(-0.1, 10.1), ylim=(-0.1, len(floors)))
    axis.axis("off")
    target = Path(app.srcdir) / "copied" / "floors.svg"
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, bbox_inches="tight")
    plt.close(figure)


def setup(app) -> dict[str, bool]:
    app.connect("config-inited", draw)
    return {"parallel_read_safe": True}
