"""What people install: a wheel, made from the source distribution, in an environment that has nothing of the tree."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import numpy as np
import pytest

import deconv

pytest.importorskip("pip")

ROOT = Path(__file__).parent.parent
MADE = ignore_patterns("__pycache__", "_build", "copied", "generated", "*.egg-info", ".ipynb_checkpoints")


def _run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _build(kind: str, tree: Path, target: Path) -> Path:
    """What the build backend that pyproject.toml names makes of a tree."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    _run(sys.executable, "-c", code, target, cwd=tree)
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for path in ROOT.iterdir():
        if path.name in {"data", "deconv", "docs", "findings", "gpu", "notebooks", "tests"}:
            copytree(path, tree / path.name, ignore=MADE)
        elif path.is_file():
            copy2(path, tree)
    return _build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    return _build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def scripts(wheel, tmp_path_factory) -> Path:
    """The folder of programs of an environment with the wheel, and with the dependencies that the tests run with."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)}, scheme="venv")
    # A folder that a .pth file names is searched, and its own .pth files, such as that of a tree, are not read.
    Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    scripts = Path(paths["scripts"])
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "install", "--no-index", "--no-deps", "--ignore-installed", wheel, cwd=home)
    return scripts


def test_source_distribution_has_what_its_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    assert tests | {"Makefile", "constraints.txt", "data/blind.jpg", "docs/conf.py", "CHANGELOG.md"} <= names


def test_wheel_has_every_file_of_the_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(root).as_posix()
        for root, package in ((ROOT, "deconv"), (ROOT / "gpu", "deconv_gpu"))
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    weights = {"deconv/prior/weights/flow.safetensors", "deconv/restore/weights/network.safetensors"}
    assert {"deconv/py.typed", "deconv_gpu/kernels/solve.cu"} | weights <= expected
    assert names == expected


def test_installed_package_says_what_it_is(scripts, tmp_path):
    code = (
        "from importlib.metadata import metadata\n"
        "found = metadata('deconv-toolkit')\n"
        "print(found['Version'], found['Author'], found['License-Expression'], sep='|')\n"
    )
    expected = f"{deconv.__version__}|deconv-toolkit developers|BSD-3-Clause\n"
    assert _run(scripts / "python", "-c", code, cwd=tmp_path) == expected


def test_installed_package_works(scripts, tmp_path):
    """Its own files are used, the shipped weights and CUDA sources read; importing it imports no benchmark."""
    code = (
        "import os, sys\n"
        "os.environ['DECONV_SOLVER'] = 'blocked'\n"  # which needs no compiling
        "import torch, deconv\n"
        "from importlib.resources import files\n"
        "assert deconv.__file__.startswith(sys.prefix), deconv.__file__\n"
        "assert not [name for name in sys.modules if name.startswith('deconv.bench')]\n"
        "assert any('__global__' in path.read_text() for path in (files('deconv_gpu') / 'kernels').iterdir())\n"
        "image = torch.rand(1, 1, 16, 16)\n"
        "print([deconv.prior.load_prior(name).log_prob(image, 0.1).isfinite().item() for name in ('gmm', 'flow')])\n"
    )
    assert _run(scripts / "python", "-c", code, cwd=tmp_path) == "[True, True]\n"


def test_installed_command_restores(scripts, tmp_path):
    image = np.random.default_rng(0).random((24, 24), dtype=np.float32)
    np.save(tmp_path / "in.npy", image)
    _run(
        scripts / "deconv",
        "deblur",
        "in.npy",
        "-o",
        "out.npy",
        "--psf",
        "gaussian:1",
        "--method",
        "wiener",
        cwd=tmp_path,
    )
    assert np.load(tmp_path / "out.npy").shape == image.shape
