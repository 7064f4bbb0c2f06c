"""What `measure.sh` measures beyond tests and benchmarks, and its table."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

try:
    import torch
except ModuleNotFoundError:
    torch = None

Figure = tuple[str, str]
DEVICE = "cuda"


def main() -> int:
    """Check that there is a GPU, with ``--check``; else measure, and print the table of a directory of results."""
    if torch is None or not torch.cuda.is_available():
        why = "there is no torch" if torch is None else "torch finds none"
        print(f"gpu/measure.sh: needs a GPU, and {why}", file=sys.stderr)
        return 2
    if sys.argv[1] == "--check":
        return 0
    folder = Path(sys.argv[1])
    figures = [("GPU, torch", f"{torch.cuda.get_device_name()}, {torch.__version__}")]
    for part in (lambda: tests(folder), lambda: solver(folder), lambda: flows(folder), training, sampling, restoration):
        try:
            figures += part()
        except Exception as error:  # one figure that cannot be had does not take the others along
            figures.append((getattr(part, "__name__", "results"), f"failed: {type(error).__name__}: {error}"))
    width = max(len(name) for name, _ in figures)
    table = "\n".join(f"{name:<{width}}  {value}" for name, value in figures)
    (folder / "table.txt").write_text(table + "\n")
    print(table)
    return 0


def tests(folder: Path) -> Iterator[Figure]:
    """The last line of pytest."""
    yield "tests on the GPU", (folder / "tests.txt").read_text().strip().splitlines()[-1]


def solver(folder: Path) -> Iterator[Figure]:
    """Geometric means of the ratios to `conv2d`, and each row in graphs, with and without the newer kernels."""
    for name, what in (("solver", ""), ("solver-cells", ", by cells")):
        found = json.loads((folder / f"{name}.json").read_text())
        for mean, value in found["means"]["1"].items():
            yield f"solve / conv2d, {mean}{what}", "wrong" if value is None else f"{value:.2f}"
        for row in (*found["rows"], *found["few_images"]):
            case, times, ratio = row["case"], row["graphs"], row["graph_ratio"]
            size = "{batch} x {channels} x {height} x {width}, {kernel_height} x {kernel_width}".format(**case)
            if ratio is not None:
                yield f"{size} {case['support']}{what}", f"{1e6 * times['solve']:.1f} us, {ratio:.2f} of conv2d"


def flows(folder: Path) -> Iterator[Figure]:
    """Sampling 100 images and a training step."""
    with (folder / "flows.csv").open() as file:
        for row in csv.DictReader(file):
            if row["quantity"] in ("sample_100", "step"):
                yield f"bench flows: {row['flow']}, {row['quantity']}", f"{1e3 * float(row['value']):.2f} ms"


def training(steps: int = 100) -> Iterator[Figure]:
    """Images per second of the recipes, on random images; the log tells of the second half of the steps."""
    from deconv.training import RECIPES, Splits, StoredImages, train

    for recipe, shape, batch in (("mnist", (1, 28, 28), 64), ("mnist", (1, 28, 28), 1024), ("prior", (1, 64, 64), 8)):
        images = StoredImages(torch.randint(0, 256, (2048, *shape), dtype=torch.uint8))
        few = StoredImages(images.images[:64])
        changed = {"steps": steps, "batch_size": batch, "validate_every": steps // 2, "validation_images": 64}
        config = RECIPES[recipe].changed(settings=changed)
        with tempfile.TemporaryDirectory() as folder:
            train(config, folder, data=Splits(images, few, few), device=DEVICE, progress=False)
            rows = list(csv.DictReader((Path(folder) / "log.csv").open()))
        yield f"training, recipe {recipe}, batch {batch}", f"{float(rows[-1]['images_per_second']):.0f} images/s"


def sampling() -> Iterator[Figure]:
    """100 images of MNIST's and of CIFAR's shape, L = 2, K = 16, as called and in a CUDA graph."""
    from deconv.bench.flows_models import Backbone
    from deconv.bench.graphs import captured

    for name, shape in (("MNIST", (1, 28, 28)), ("CIFAR", (3, 32, 32))):
        model = Backbone(shape=shape, levels=2, steps=16, width=128).build("inverse", device=DEVICE).eval()
        z = torch.randn(100, torch.Size(shape).numel(), device=DEVICE)
        with torch.no_grad():
            decode = partial(model.decode, z)
            eager, graph = milliseconds(decode), milliseconds(captured(decode, 1))
        yield f"sampling 100 of {name}'s shape, L = 2, K = 16", f"{eager:.2f} ms, in a graph {graph:.2f} ms"


def restoration() -> Iterator[Figure]:
    """Methods of restoration, and blind estimation, of a photograph of 512 x 512."""
    from skimage.data import camera

    from deconv import blind, restore
    from deconv.imaging import degrade, psf

    kernel = psf.motion(15, 30)
    image = degrade(torch.as_tensor(camera() / 255.0, dtype=torch.float32), kernel).to(DEVICE)
    kernel = kernel.to(DEVICE)
    for name in ("wiener", "total_variation", "hyper_laplacian", "plug_and_play", "epll", "flow_map"):
        taken = milliseconds(lambda name=name: getattr(restore, name)(image, kernel), rounds=1)
        yield f"restore.{name}, 498 x 498", f"{taken / 1e3:.3f} s"
    taken = milliseconds(lambda: blind.estimate(image[:300, :300], 19, progress=False), rounds=1)
    yield "blind.estimate, 300 x 300", f"{taken / 1e3:.2f} s"


def milliseconds(function: Callable[[], object], rounds: int = 5) -> float:
    """The least time of some rounds, after one to warm up, until the device is done."""
    times = []
    for _ in range(rounds + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


if __name__ == "__main__":
    sys.exit(main())
