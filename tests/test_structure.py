"""The architecture: floors, public names, a quick and silent import, text that speaks of the project alone."""

from __future__ import annotations

import ast
import doctest
import graphlib
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import deconv

ROOT = Path(__file__).parent.parent

PUBLIC = [
    "FlowPrior",
    "InverseConv2d",
    "InverseFlow",
    "RecursiveDeconv2d",
    "blind",
    "build_flow",
    "causal_conv2d",
    "causal_log_abs_det",
    "deblur",
    "degrade",
    "flow_map",
    "flows",
    "hyper_laplacian",
    "imaging",
    "interop",
    "inverse_conv2d",
    "inverse_gain_bound",
    "nn",
    "ops",
    "plug_and_play",
    "prior",
    "psnr",
    "restore",
    "richardson_lucy",
    "solvers",
    "spectral_factor",
    "ssim",
    "total_variation",
    "training",
    "view",
    "wiener",
]


def test_public_names_are_frozen():
    """People build on public names: they come and go on purpose only."""
    assert deconv.__all__ == PUBLIC


def test_floors():
    """Lower never imports higher; only the registry knows the CUDA kernels; they know nothing of the rest."""
    command = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_public_names_exist():
    for module in _modules():
        names = getattr(importlib.import_module(module), "__all__", None)
        assert names is not None or module.endswith("__main__"), f"{module} has no __all__"
        for name in names or ():
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_import_is_quick_and_silent():
    """Beyond torch, importing the package costs little and pulls in nothing heavy."""
    code = (
        "import sys, time, torch\n"
        "start = time.perf_counter()\n"
        "import deconv, deconv.imaging, deconv.nn, deconv.ops, deconv.restore\n"
        "assert time.perf_counter() - start < 2, time.perf_counter() - start\n"
        "heavy = {'numba', 'skimage', 'cv2', 'matplotlib', 'scipy', 'cupy', 'imageio', 'rich', 'typer'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stdout + result.stderr


def _modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(deconv.__path__, "deconv.")]
    bindings = map(importlib.util.find_spec, ("PyQt6", "PyQt5", "PySide6", "PySide2"))
    if importlib.util.find_spec("napari") is None or not any(bindings):
        found.remove("deconv.napari.widget")  # which napari alone imports, on a Qt
    return ["deconv", *found]


@pytest.mark.parametrize("module", _modules())
def test_examples_in_docstrings(module):
    if module.endswith("__main__"):
        pytest.skip("running it is running the command")
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


FILES = sorted(ROOT.glob("deconv/**/*.py"))


def test_files_stay_short():
    paths = [path for folder in ("deconv", "gpu", "tests") for path in ROOT.glob(f"{folder}/**/*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert not {path: count for path, count in lines.items() if count > 300}


def test_no_imports_in_circles():
    """Not even by way of imports inside of functions; those for types alone do not count."""
    graph = grimp.build_graph("deconv", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "deconv.ops.checks" in imports["deconv.ops.inverse_conv"]
    graphlib.TopologicalSorter(imports).prepare()  # raises, with the modules of the circle


# The field says latent image, padded domain, boundary, ranking score, intrinsic blur.
PRIVATE_WORDS = {"scene", "canvas", "seam", "promise", "softness"}


def _identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def test_names_are_those_of_the_field():
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {identifier}"
        for path in FILES
        for identifier in _identifiers(path)
        for word in re.findall("[a-z]+", re.sub("([A-Z])", r"_\1", identifier).lower())
        if word in PRIVATE_WORDS or word.removesuffix("s") in PRIVATE_WORDS
    }
    assert not found


def test_style():
    """What `make lint` asks of the committed text."""
    ruff = Path(sys.executable).parent / "ruff"
    if not ruff.exists():
        pytest.skip("ruff is not installed (pip install -e '.[dev]')")
    result = subprocess.run([ruff, "check", "."], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
